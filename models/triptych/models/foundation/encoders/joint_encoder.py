"""The protocol of dual encoders: pictures or sounds, and texts, as vectors of one space.

An encoder knows nothing of windows. `window_space.py` makes a joint space of it, and `window_encoder.py` an encoder of
trained models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

EmbeddedModality = Literal["video", "audio"]


class JointEncoder(Protocol):
    """Embeds texts, and either pictures or sounds. It is not thread-safe. No gradients are computed."""

    modality: EmbeddedModality
    dimensions: int
    network: nn.Module

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return a vector of length 1 for each text, float32 [N, D], on the device of the network."""


class PictureEncoder(JointEncoder, Protocol):
    """Embeds pictures and texts."""

    @property
    def max_side(self) -> int:
        """Return the length of the longer side, in pixels, above which a picture brings nothing more."""

    def embed_words(self, texts: Sequence[str]) -> Tensor:
        """Return a vector of length 1 for each text that is asked for, not one that asks: float32 [N, D].

        It differs from `embed_texts` only for models with instructions for queries and for documents.
        """

    def embed_pictures(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Return a vector of length 1 for each RGB picture uint8 [H, W, 3], of any size: float32 [N, D]."""


class SoundEncoder(JointEncoder, Protocol):
    """Embeds sounds and texts."""

    @property
    def sample_rate_hz(self) -> int:
        """Return the sample rate that the encoder hears."""

    @property
    def max_samples(self) -> int:
        """Return the length of the longest sound that the encoder hears as a whole."""

    def embed_sounds(self, sounds: Sequence[NDArray[np.float32]]) -> Tensor:
        """Return a vector of length 1 for each mono sound float32 [S], 0 < S <= `max_samples`: float32 [N, D]."""


def useful_side(input_side: int) -> int:
    """Return the longer side of a picture, in pixels, from which an encoder makes its input of this size.

    Twice as many: an encoder that crops makes the shorter side its input, and the longer one is often almost twice it.
    """
    return 2 * input_side


def device_of(network: nn.Module) -> torch.device:
    """Return the device of a network's first parameter."""
    return next(network.parameters()).device


def unit_vectors(vectors: Any) -> Tensor:  # noqa: ANN401 - a tensor, or an output object of transformers
    """Return vectors of length 1, float32 [N, D]; of an output object of transformers, its pooled output."""
    tensor = vectors if isinstance(vectors, Tensor) else vectors.pooler_output
    return functional.normalize(tensor.float(), dim=-1)
