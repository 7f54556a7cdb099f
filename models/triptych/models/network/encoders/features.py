"""An encoder of features that somebody else has computed of a modality, as data sets of them have it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.network.collate import WindowBatch
from triptych.models.network.parts import Encoded, Encoder

_MOST_TOKENS = 50
_FARTHEST = 10.0
"""So many deviations from the mean a feature may lie at most: some sets have numbers that no other is near."""
_LEAST_DEVIATION = 1e-4
_NEIGHBOURS = 3


class FeatureEncoder(Encoder):
    """Encode features as tokens in time: each number by its own spread, neighbours averaged where there are many.

    Args:
        modality: whose features it reads.
        steps: of a window at most, T.
        dims: numbers of each step.
        dim: numbers of a token.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, modality: str, steps: int, dims: int, dim: int = 128) -> None:
        super().__init__()
        self.dim = dim
        self._modality = modality
        self._stride = -(-steps // _MOST_TOKENS)
        self.register_buffer("mean", torch.zeros(dims))
        self.register_buffer("deviation", torch.ones(dims))
        self.into = nn.Linear(dims, dim)
        self.norm = nn.LayerNorm(dim)
        self.context = nn.Conv1d(dim, dim, _NEIGHBOURS, padding=_NEIGHBOURS // 2)

    def fit_normalization(self, features: Tensor) -> None:
        """Take mean and deviation of each number from training features, [N, D]."""
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0, correction=0).clamp(min=_LEAST_DEVIATION))

    def forward(self, batch: WindowBatch) -> Encoded:
        """Return [B, ceil(T / stride), D]."""
        features = batch.features[self._modality]
        rows, steps, _ = features.shape
        lengths = torch.tensor(batch.feature_lengths[self._modality], device=features.device)
        there = torch.arange(steps, device=features.device)[None] < lengths[:, None]  # [B, T]
        standard = ((features - self.mean) / self.deviation).clamp(-_FARTHEST, _FARTHEST)
        tokens, mask = self._averaged(torch.where(there.unsqueeze(-1), standard, 0.0), there)
        mine = mask.unsqueeze(-1)
        x = self.into(tokens) * mine
        x = (x + functional.gelu(self.context((self.norm(x) * mine).transpose(1, 2)).transpose(1, 2))) * mine
        times = torch.arange(mask.shape[1], device=features.device) * (self._stride / steps)
        return Encoded(x, mask, times.expand(rows, -1))

    def _averaged(self, features: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean of each so many steps that are there, [B, N, D], and whether any is, [B, N]."""
        rows, steps, dims = features.shape
        short = -steps % self._stride
        counts = functional.pad(there, (0, short)).view(rows, -1, self._stride).sum(2)  # [B, T] to [B, N]
        sums = functional.pad(features, (0, 0, 0, short)).view(rows, -1, self._stride, dims).sum(2)
        return sums / counts.clamp(min=1).unsqueeze(-1), counts > 0
