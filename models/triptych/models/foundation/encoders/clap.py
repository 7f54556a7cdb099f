"""CLAP in the library transformers: sounds and texts in one space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.models.foundation.encoders.joint_encoder import EmbeddedModality, device_of, unit_vectors
from triptych.models.foundation.files.libraries import load_pretrained, load_pretrained_model
from triptych.models.foundation.files.model_files import ModelFiles

SOUND_ARCHITECTURES: Final = ("clap",)
_MAX_TEXT_TOKENS: Final = 77
"""The length that CLAP was trained with."""
_SOUNDS_AT_ONCE: Final = 8


class ClapEncoder:
    """Embed sounds and texts with CLAP, each sound independently of chance and of the other sounds.

    Args:
        files: the files of the model.
        device: the device to run on.
    """

    modality: EmbeddedModality = "audio"

    def __init__(self, files: ModelFiles, device: torch.device) -> None:
        self.network = load_pretrained_model("AutoModel", files).to(device)
        self._sounds = load_pretrained("AutoFeatureExtractor", files)
        self._tokens = load_pretrained("AutoTokenizer", files)
        # The extractor's own default is fusion, and its four spectrograms crash a model without it.
        self._truncation = "fusion" if self.network.config.audio_config.enable_fusion else "rand_trunc"
        self.sample_rate_hz = int(self._sounds.sampling_rate)
        self.max_samples = int(self._sounds.nb_max_samples)
        self.dimensions = int(self.embed_texts(["a"]).shape[1])

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return a vector of length 1 for each text, float32 [N, D]. A long text is cut off."""
        inputs = self._tokens(
            list(texts), padding="max_length", truncation=True, max_length=_MAX_TEXT_TOKENS, return_tensors="pt"
        )
        return unit_vectors(self.network.get_text_features(**inputs.to(device_of(self.network))))

    @torch.no_grad()
    def embed_sounds(self, sounds: Sequence[NDArray[np.float32]]) -> Tensor:
        """Return a vector of length 1 for each mono sound float32 [S], 0 < S <= `max_samples`: float32 [N, D].

        Raises:
            ValueError: a sound is empty or too long. Of a long one the extractor would take a random part.
        """
        lengths = [len(sound) for sound in sounds if not 0 < len(sound) <= self.max_samples]
        if lengths:
            raise ValueError(f"expected sounds of 1 to {self.max_samples} samples, got {lengths[0]}")
        parts = [
            unit_vectors(self.network.get_audio_features(**self._inputs(sounds[first : first + _SOUNDS_AT_ONCE])))
            for first in range(0, len(sounds), _SOUNDS_AT_ONCE)
        ]
        return torch.cat(parts)

    def _inputs(self, sounds: Sequence[NDArray[np.float32]]) -> Any:  # noqa: ANN401 - a batch of transformers
        inputs = self._sounds(
            list(sounds), sampling_rate=self.sample_rate_hz, truncation=self._truncation, return_tensors="pt"
        )
        # The extractor marks a random one of short sounds as long; none of ours is.
        inputs["is_longer"] = torch.zeros(len(sounds), 1, dtype=torch.bool)
        return inputs.to(device_of(self.network))
