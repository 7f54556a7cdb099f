"""An encoder of precomputed features, as feature data sets provide them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.network.collate import WindowBatch
from triptych.models.network.parts import Encoded, Encoder

_MAX_TOKENS = 50
_MAX_DEVIATIONS = 10.0
"""Features are clipped to this many standard deviations: some data sets have extreme outliers."""
_MIN_DEVIATION = 1e-4
_KERNEL_SIZE = 3


class FeatureEncoder(Encoder):
    """Encode features as tokens in time: standardise each dimension, and average neighbouring steps of long sequences.

    Args:
        modality: the modality whose features it reads.
        steps: the maximum number of steps per window, T.
        dims: dimensions of each step, D.
        dim: dimensions of a token.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, modality: str, steps: int, dims: int, dim: int = 128) -> None:
        super().__init__()
        self.dim = dim
        self._modality = modality
        self._stride = -(-steps // _MAX_TOKENS)
        self.register_buffer("mean", torch.zeros(dims))
        self.register_buffer("deviation", torch.ones(dims))
        self.into = nn.Linear(dims, dim)
        self.norm = nn.LayerNorm(dim)
        self.context = nn.Conv1d(dim, dim, _KERNEL_SIZE, padding=_KERNEL_SIZE // 2)

    def fit_normalization(self, features: Tensor) -> None:
        """Store the mean and deviation of each dimension of training features, float32 [N, D]."""
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0, correction=0).clamp(min=_MIN_DEVIATION))

    def forward(self, batch: WindowBatch) -> Encoded:
        """Return tokens float32 [B, ceil(T / stride), dim] of the features float32 [B, T, D]."""
        features = batch.features[self._modality]
        rows, steps, _ = features.shape
        lengths = torch.tensor(batch.feature_lengths[self._modality], device=features.device)
        present = torch.arange(steps, device=features.device)[None] < lengths[:, None]  # [B, T]
        standard = ((features - self.mean) / self.deviation).clamp(-_MAX_DEVIATIONS, _MAX_DEVIATIONS)
        tokens, mask = self._averaged(torch.where(present.unsqueeze(-1), standard, 0.0), present)
        token_mask = mask.unsqueeze(-1)  # [B, N, 1]
        x = self.into(tokens) * token_mask
        x = (
            x + functional.gelu(self.context((self.norm(x) * token_mask).transpose(1, 2)).transpose(1, 2))
        ) * token_mask
        times = torch.arange(mask.shape[1], device=features.device) * (self._stride / steps)
        return Encoded(x, mask, times.expand(rows, -1))

    def _averaged(self, features: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Average each `stride` steps that exist.

        Return float [B, N, D], and bool [B, N], true for tokens with any step.
        """
        rows, steps, dims = features.shape
        padding = -steps % self._stride
        counts = functional.pad(present, (0, padding)).view(rows, -1, self._stride).sum(2)  # [B, T] to [B, N]
        sums = functional.pad(features, (0, 0, 0, padding)).view(rows, -1, self._stride, dims).sum(2)
        return sums / counts.clamp(min=1).unsqueeze(-1), counts > 0
