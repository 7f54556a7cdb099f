"""From the text of a cue to the token ids that the sentence encoder reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import sentencepiece

if TYPE_CHECKING:
    from torch import Tensor

UNKNOWN_ID = 0
START_ID = 1
END_ID = 2

Tokenize = Callable[[str], Sequence[int]]


class SentenceTokenizer:
    """Cut text into the pieces of a SentencePiece model, between a token that starts it and one that ends it."""

    def __init__(self, model: Tensor) -> None:
        """Take the model's own file, as bytes in a tensor: so it lies in the cache with the weights."""
        self._processor = sentencepiece.SentencePieceProcessor()
        self._processor.LoadFromSerializedProto(model.numpy().tobytes())

    def __call__(self, text: str) -> list[int]:
        """Return the ids; text in which nothing is left after normalisation is one unknown piece."""
        pieces: list[int] = self._processor.EncodeAsIds(text)
        return [START_ID, *(pieces or [UNKNOWN_ID]), END_ID]
