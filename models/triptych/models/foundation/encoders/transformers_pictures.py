"""Dual encoders of pictures and texts in the library transformers: CLIP, SigLIP, SigLIP 2."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.models.foundation.encoders.joint_encoder import EmbeddedModality, device_of, unit_vectors, useful_side
from triptych.models.foundation.files.libraries import load_pretrained, load_pretrained_model
from triptych.models.foundation.files.model_files import ModelFiles

PICTURE_ARCHITECTURES: Final = ("siglip", "siglip2", "clip")
_PICTURES_AT_ONCE: Final = 16


class TransformersPictures:
    """Embed pictures and texts with a dual encoder of transformers and its own preprocessing.

    Args:
        files: the files of the model.
        device: the device to run on.
    """

    modality: EmbeddedModality = "video"

    def __init__(self, files: ModelFiles, device: torch.device) -> None:
        self.network = load_pretrained_model("AutoModel", files).to(device)
        self._pictures = load_pretrained("AutoImageProcessor", files)
        self._tokens = load_pretrained("AutoTokenizer", files)
        self.max_side = useful_side(_input_side(self._pictures))
        # SigLIP was trained on lower-case texts, padded to the full length and read without a mask.
        self._lower = files.architecture.startswith("siglip")
        self._max_tokens = int(self.network.config.text_config.max_position_embeddings)
        self.dimensions = int(self.embed_texts(["a"]).shape[1])

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return a vector of length 1 for each text, float32 [N, D]. A long text is cut off."""
        inputs = self._tokens(
            [text.lower() if self._lower else text for text in texts],
            padding="max_length",
            truncation=True,
            max_length=self._max_tokens,
            return_tensors="pt",
        )
        if self._lower:
            inputs.pop("attention_mask", None)
        return unit_vectors(self.network.get_text_features(**inputs.to(device_of(self.network))))

    def embed_words(self, texts: Sequence[str]) -> Tensor:
        """Return the same as `embed_texts`."""
        return self.embed_texts(texts)

    @torch.no_grad()
    def embed_pictures(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Return a vector of length 1 for each RGB picture uint8 [H, W, 3], float32 [N, D]."""
        parts = [
            unit_vectors(self.network.get_image_features(**self._inputs(pictures[first : first + _PICTURES_AT_ONCE])))
            for first in range(0, len(pictures), _PICTURES_AT_ONCE)
        ]
        return torch.cat(parts)

    def _inputs(self, pictures: Sequence[NDArray[np.uint8]]) -> Any:  # noqa: ANN401 - a batch of transformers
        inputs = self._pictures(images=list(pictures), input_data_format="channels_last", return_tensors="pt")
        return inputs.to(device_of(self.network))


def _input_side(processor: Any) -> int:  # noqa: ANN401 - a processor of transformers
    """Return the side of the pictures that a processor makes, in pixels."""
    patches = getattr(processor, "max_num_patches", None)
    if patches:  # NaFlex keeps the proportions: a square picture has these sides
        return int(processor.patch_size) * isqrt(int(patches))
    return max(int(side) for side in dict(processor.size).values() if side is not None)
