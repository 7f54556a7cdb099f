"""One vector for each window, of whatever is present: a fixed projection of each modality into one space, added up.

Nothing here is trained. A random projection keeps angles nearly as they are, and the projections of different
modalities are nearly at right angles: so the cosine of two windows is about the mean of the cosines of what they share.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.network.parts import Encoded, Features, Fused, Fusion, Head

EMBEDDING = 256
_SEED = 20_260_101


class ProjectionFusion(Fusion):
    """Add up the projected means of the modalities, each of length 1 before, and make the sum of length 1.

    Args:
        dims: the numbers of a token, by the modality that takes part.
    """

    def __init__(self, dims: Mapping[str, int]) -> None:
        super().__init__()
        # numpy promises that this generator's numbers stay the same in every version; torch promises no such thing.
        random = np.random.RandomState(_SEED)
        self.matrices = nn.ParameterDict(
            {
                modality: nn.Parameter(
                    torch.from_numpy(random.standard_normal((dim, EMBEDDING)) / EMBEDDING**0.5).float(),
                    requires_grad=False,
                )
                for modality, dim in sorted(dims.items())
            }
        )

    def forward(self, encoded: Mapping[str, Encoded]) -> Fused:
        """Return a vector [B, 256]; zeros for a row without any of the modalities."""
        with torch.autocast(_device_type(encoded), enabled=False):
            return Fused(functional.normalize(self._sum(encoded), dim=-1))

    def frame_embeddings(self, encoded: Mapping[str, Encoded]) -> Tensor:
        """Return [B, T, 256]: the window as each of its pictures alone shows it; T is 1 where no row has a picture.

        Places of a row beyond its pictures, and the first of a row without any, show the window without pictures.
        """
        with torch.autocast(_device_type(encoded), enabled=False):
            rest = {modality: tokens for modality, tokens in encoded.items() if modality != "video"}
            window = self._sum(rest).unsqueeze(1) if rest else 0.0
            if "video" in encoded:
                video = encoded["video"]
                pictures = self._projected("video", video.tokens) * video.mask.unsqueeze(-1)  # [B, T, 256]
                window = window + pictures
            return functional.normalize(torch.as_tensor(window), dim=-1)

    def _sum(self, encoded: Mapping[str, Encoded]) -> Tensor:
        """Return [B, 256], not yet of length 1."""
        means = [self._projected(modality, _mean(tokens)) for modality, tokens in sorted(encoded.items())]
        return torch.stack(means).sum(0)

    def _projected(self, modality: str, vectors: Tensor) -> Tensor:
        projected: Tensor = functional.normalize(vectors.float(), dim=-1) @ self.matrices[modality]
        return projected


class EmbeddingHead(Head):
    """Say the fused vector itself."""

    source = Head.FUSED

    def forward(self, features: Features) -> Tensor:
        """Return [B, 256]."""
        if features.fused is None:
            raise TypeError("fused: expected a vector for each window, got None")
        return features.fused.vector


class FrameEmbeddingsHead(Head):
    """Say the window as each of its pictures alone shows it, for the novelty of what is short."""

    source = Head.FUSED

    def __init__(self, fusion: ProjectionFusion) -> None:
        super().__init__()
        self._frame_embeddings = fusion.frame_embeddings

    def forward(self, features: Features) -> Tensor:
        """Return [B, T, 256]."""
        return self._frame_embeddings(features.encoded)


def _mean(encoded: Encoded) -> Tensor:
    """Return the mean of the tokens that are there, [B, D]; zeros where none is."""
    there = encoded.mask.unsqueeze(-1)  # [B, N, 1]
    return torch.where(there, encoded.tokens.float(), 0.0).sum(1) / there.sum(1).clamp(min=1)


def _device_type(encoded: Mapping[str, Encoded]) -> str:
    return next(iter(encoded.values())).mask.device.type
