"""Dual encoders of pictures and texts in the library open_clip, such as MobileCLIP2 and PE-Core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.models.foundation.encoders.joint_encoder import EmbeddedModality, device_of, unit_vectors, useful_side
from triptych.models.foundation.files.libraries import LOAD_ERRORS, foundation_library
from triptych.models.foundation.files.model_files import OPEN_CLIP_CONFIG, ModelFiles
from triptych.schemas.errors import UsageError

_PICTURES_AT_ONCE: Final = 16
_log = structlog.get_logger(__name__)


class OpenClipPictures:
    """Embed pictures and texts with a model of open_clip and its own preprocessing.

    Args:
        files: the files of the model, with `open_clip_config.json` and, if its tokenizer is one of transformers, the
            files of the tokenizer.
        device: the device to run on.
    """

    modality: EmbeddedModality = "video"

    def __init__(self, files: ModelFiles, device: torch.device) -> None:
        if not (files.folder / OPEN_CLIP_CONFIG).exists():
            raise UsageError(f"{files.source}: expected {OPEN_CLIP_CONFIG} in {files.folder}, found none")
        library = foundation_library("open_clip")
        name = f"local-dir:{files.folder}"
        try:
            network, self._transform = library.create_model_from_pretrained(name, weights_only=True)
            self._tokenize = library.get_tokenizer(name)
        except LOAD_ERRORS as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UsageError(f"{files.source}: open_clip cannot load it: {reason}") from error
        self.network = network.eval().requires_grad_(requires_grad=False).to(device)
        self.max_side = useful_side(int(np.max(self.network.visual.preprocess_cfg["size"])))
        self._to_picture = foundation_library("PIL.Image").fromarray
        self.dimensions = int(self.embed_texts(["a"]).shape[1])
        _log.info("foundation_model_loaded", source=str(files.source), type="open_clip", sha256=files.sha256)

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return a vector of length 1 for each text, float32 [N, D]. A long text is cut off."""
        return unit_vectors(self.network.encode_text(self._tokenize(list(texts)).to(device_of(self.network))))

    def embed_words(self, texts: Sequence[str]) -> Tensor:
        """Return the same as `embed_texts`."""
        return self.embed_texts(texts)

    @torch.no_grad()
    def embed_pictures(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Return a vector of length 1 for each RGB picture uint8 [H, W, 3], float32 [N, D]."""
        parts = []
        for first in range(0, len(pictures), _PICTURES_AT_ONCE):
            tensors = [self._transform(self._to_picture(each)) for each in pictures[first : first + _PICTURES_AT_ONCE]]
            parts.append(unit_vectors(self.network.encode_image(torch.stack(tensors).to(device_of(self.network)))))
        return torch.cat(parts)
