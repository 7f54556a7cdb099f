"""Texts of 16 languages as vectors of the semantic space."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from triptych.models.pretrained.sentence import FEATURES, SentenceEncoder
from triptych.models.pretrained.sentence_loading import load_sentence_encoder, load_sentence_tokenizer
from triptych.models.pretrained.tokenizer import SentenceTokenizer
from triptych.models.spaces.semantic_heads import TextCentring
from triptych.models.spaces.semantic_weights import SemanticWeights

_MOST_TOKENS: Final = 256
_CACHED_TEXTS: Final = 4_096


class SemanticTexts:
    """Embed texts with the sentence encoder. It is not thread-safe.

    Each text runs alone, so its vector does not depend on the other texts of a call. Vectors of recent texts are kept.
    """

    dimensions = FEATURES

    def __init__(
        self, encoder: SentenceEncoder, centring: TextCentring, tokenizer: SentenceTokenizer, device: torch.device
    ) -> None:
        self._encoder = encoder.eval().to(device)
        self._centring = centring.eval().to(device)
        self._tokenize = tokenizer
        self._device = device
        self._recent: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector of length 1 for each text, float32 [N, 512]. It blocks while the encoder runs.

        Raises:
            ValueError: a text is empty.
        """
        vectors = [self._embed(text) for text in texts]
        return np.stack(vectors) if vectors else np.empty((0, self.dimensions), np.float32)

    def _embed(self, text: str) -> NDArray[np.float32]:
        if not text.strip():
            raise ValueError("text: expected words, got an empty text")
        known = self._recent.get(text)
        if known is None:
            known = self._recent[text] = self._encode(text)
            if len(self._recent) > _CACHED_TEXTS:
                self._recent.popitem(last=False)
        else:
            self._recent.move_to_end(text)
        return known

    @torch.inference_mode()
    def _encode(self, text: str) -> NDArray[np.float32]:
        ids = torch.tensor(self._tokenize(text)[:_MOST_TOKENS], device=self._device)
        vector: NDArray[np.float32] = self._centring(self._encoder.encode(ids)[0]).cpu().numpy()
        return vector


def build_semantic_texts(weights: SemanticWeights, weights_folder: Path, device: torch.device) -> SemanticTexts:
    """Load the sentence encoder and its tokenizer, or share those that a model of this process has on the CPU.

    Raises:
        UsageError: the weights were not downloaded.
    """
    return SemanticTexts(
        load_sentence_encoder(weights_folder),
        TextCentring(weights),
        load_sentence_tokenizer(weights_folder),
        device,
    )
