"""A fixed, untrained embedding of windows: a random projection of each modality into one space, summed.

A random projection approximately preserves angles (Johnson and Lindenstrauss, 1984), and the projections of different
modalities are nearly orthogonal. The cosine of two windows is therefore close to the mean of the cosines of the
modalities that both have.
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
    """Normalise the mean token of each modality, project it, sum the projections, and normalise the sum.

    Args:
        dims: dimensions of the tokens, by modality.
    """

    def __init__(self, dims: Mapping[str, int]) -> None:
        super().__init__()
        # NumPy guarantees that the stream of RandomState does not change between versions; torch does not.
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
        """Return the embedding float32 [B, 256] of length 1; zeros for rows without any modality."""
        with torch.autocast(_device_type(encoded), enabled=False):
            return Fused(functional.normalize(self._sum(encoded), dim=-1))

    def frame_embeddings(self, encoded: Mapping[str, Encoded]) -> Tensor:
        """Return the embeddings of each window with each of its frames alone, float32 [B, T, 256].

        T is 1 if no row has a frame. Entries beyond a row's frames, and the first entry of a row without frames, are
        the embedding without video.
        """
        with torch.autocast(_device_type(encoded), enabled=False):
            rest = {modality: tokens for modality, tokens in encoded.items() if modality != "video"}
            window = self._sum(rest).unsqueeze(1) if rest else 0.0  # [B, 1, 256]
            if "video" in encoded:
                video = encoded["video"]
                frames = self._projected("video", video.tokens) * video.mask.unsqueeze(-1)  # [B, T, 256]
                window = window + frames
            return functional.normalize(torch.as_tensor(window), dim=-1)

    def _sum(self, encoded: Mapping[str, Encoded]) -> Tensor:
        """Return the sum of the projections, float32 [B, 256], not normalised."""
        means = [self._projected(modality, _mean(tokens)) for modality, tokens in sorted(encoded.items())]
        return torch.stack(means).sum(0)

    def _projected(self, modality: str, vectors: Tensor) -> Tensor:
        """Normalise and project float [..., D] to float32 [..., 256]."""
        projected: Tensor = functional.normalize(vectors.float(), dim=-1) @ self.matrices[modality]
        return projected


class EmbeddingHead(Head):
    """Return the fused vector as the embedding."""

    source = Head.FUSED

    def forward(self, features: Features) -> Tensor:
        """Return the embedding, float32 [B, 256]."""
        if features.fused is None:
            raise TypeError("fused: expected one vector per window, got None")
        return features.fused.vector


class FrameEmbeddingsHead(Head):
    """Return one embedding per frame, to measure the novelty of short events."""

    source = Head.FUSED

    def __init__(self, fusion: ProjectionFusion) -> None:
        super().__init__()
        self._frame_embeddings = fusion.frame_embeddings

    def forward(self, features: Features) -> Tensor:
        """Return the embeddings, float32 [B, T, 256]."""
        return self._frame_embeddings(features.encoded)


def _mean(encoded: Encoded) -> Tensor:
    """Return the mean of the unmasked tokens, float32 [B, D]; zeros for rows without any."""
    mask = encoded.mask.unsqueeze(-1)  # [B, N, 1]
    return torch.where(mask, encoded.tokens.float(), 0.0).sum(1) / mask.sum(1).clamp(min=1)


def _device_type(encoded: Mapping[str, Encoded]) -> str:
    return next(iter(encoded.values())).mask.device.type
