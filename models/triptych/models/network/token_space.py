"""One space for the tokens of all modalities: of one width, each marked with what it is and when it was."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from triptych.models.network.parts import Encoded, Projector

_FREQUENCIES = 6


class TokenSpace(Projector):
    """Project each modality linearly, and add a vector for the modality and one for the time in the window.

    The time's vector is the same for all modalities, so that "at the same moment" can be learnt.

    Args:
        dims: the numbers of a token, by modality.
        width: of the tokens that come out.
    """

    periods: Tensor

    def __init__(self, dims: Mapping[str, int], width: int) -> None:
        super().__init__()
        self.project = nn.ModuleDict(
            {name: nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, width)) for name, dim in sorted(dims.items())}
        )
        self.modality = nn.ParameterDict({name: nn.Parameter(0.02 * torch.randn(width)) for name in sorted(dims)})
        self.time = nn.Linear(2 * _FREQUENCIES, width, bias=False)
        # Half a wave over the window, then twice as many each: near and far moments both differ.
        self.register_buffer("periods", math.pi * 2.0 ** torch.arange(_FREQUENCIES), persistent=False)

    def forward(self, encoded: Mapping[str, Encoded]) -> dict[str, Encoded]:
        """Return [B, N, width] for each modality."""
        return {name: self._placed(name, one) for name, one in encoded.items()}

    def _placed(self, name: str, encoded: Encoded) -> Encoded:
        tokens: Tensor = self.project[name](encoded.tokens.float()) + self.modality[name]
        if encoded.times is not None:
            angles = encoded.times.unsqueeze(-1) * self.periods  # [B, N, F]
            tokens = tokens + self.time(torch.cat([angles.sin(), angles.cos()], -1))
        return encoded._replace(tokens=tokens)
