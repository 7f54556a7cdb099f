"""A small network with a constant that is no parameter."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ScaledNetwork(nn.Module):
    """A convolution and a factor: two of them can have equal weights and different outputs."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv2d(3, 4, 3)
        self._factor = factor

    def forward(self, images: Tensor) -> Tensor:
        """Return float [N, 4, h, w] of images float [N, 3, H, W]."""
        features: Tensor = self.conv(images) * self._factor
        return features
