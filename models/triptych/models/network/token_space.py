"""A common space for the tokens of all modalities, with embeddings of modality and time."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from triptych.models.network.parts import Encoded, Projector

_FREQUENCIES = 6


class TokenSpace(Projector):
    """Project each modality linearly, and add an embedding of the modality and one of the time within the window.

    The time embedding consists of sines and cosines of several frequencies (Vaswani et al., 2017, arXiv 1706.03762).
    All modalities share it, so that a fusion can learn that tokens are simultaneous.

    Args:
        dims: dimensions of the input tokens, by modality.
        width: dimensions of the output tokens.
    """

    periods: Tensor

    def __init__(self, dims: Mapping[str, int], width: int) -> None:
        super().__init__()
        self.project = nn.ModuleDict(
            {name: nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, width)) for name, dim in sorted(dims.items())}
        )
        self.modality = nn.ParameterDict({name: nn.Parameter(0.02 * torch.randn(width)) for name in sorted(dims)})
        self.time = nn.Linear(2 * _FREQUENCIES, width, bias=False)
        # From half a period per window, doubling each time, so that both near and far times are distinguished.
        self.register_buffer("periods", math.pi * 2.0 ** torch.arange(_FREQUENCIES), persistent=False)

    def forward(self, encoded: Mapping[str, Encoded]) -> dict[str, Encoded]:
        """Return the projected tokens, float [B, N, width] for each modality, given [B, N, D_in]."""
        return {name: self._embed(name, one) for name, one in encoded.items()}

    def _embed(self, name: str, encoded: Encoded) -> Encoded:
        """Project tokens of one modality, [B, N, D_in] to [B, N, width], and add embeddings of modality and time."""
        tokens: Tensor = self.project[name](encoded.tokens.float()) + self.modality[name]
        if encoded.times is not None:
            angles = encoded.times.unsqueeze(-1) * self.periods  # [B, N, F]
            tokens = tokens + self.time(torch.cat([angles.sin(), angles.cos()], -1))
        return encoded._replace(tokens=tokens)
