"""The tokenizer of the sentence encoder."""

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
    """Split text into the pieces of a SentencePiece model, between a start and an end token."""

    def __init__(self, model: Tensor) -> None:
        """Load the serialised SentencePiece model from a tensor, uint8 [bytes], as the weight cache stores it."""
        self._processor = sentencepiece.SentencePieceProcessor()
        self._processor.LoadFromSerializedProto(model.numpy().tobytes())

    def __call__(self, text: str) -> list[int]:
        """Return the token ids. Text that is empty after normalisation becomes a single unknown token."""
        pieces: list[int] = self._processor.EncodeAsIds(text)
        return [START_ID, *(pieces or [UNKNOWN_ID]), END_ID]
