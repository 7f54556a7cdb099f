"""The semantic space of 16 languages: the vectors of the sentence encoder, in which texts find windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from triptych.models.spaces.semantic_texts import SemanticTexts, build_semantic_texts

SPACE: Final = "semantic-1"
"""Name of the space, with its version. It changes with any weight of the space."""


class SemanticSpace:
    """The joint space of the models with the pretrained encoders. It is not thread-safe."""

    name = SPACE

    def __init__(self, texts: SemanticTexts) -> None:
        self._texts = texts

    @property
    def dimensions(self) -> int:
        """Return the length of a vector."""
        return self._texts.dimensions

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector of length 1 for each text, float32 [N, 512]. See `SemanticTexts.embed_texts`."""
        return self._texts.embed_texts(texts)


def build_semantic_space(weights_folder: Path, device: torch.device | None = None) -> SemanticSpace:
    """Load the space from the weights in the cache; on the CPU by default.

    Raises:
        UsageError: the weights were not downloaded.
    """
    return SemanticSpace(build_semantic_texts(weights_folder, device or torch.device("cpu")))
