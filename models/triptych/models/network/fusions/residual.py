"""Fusion in which each modality speaks for itself, and attention adds what it means beside the others."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from triptych.models.network.attention import Attention
from triptych.models.network.fusions.shape import FusionShape
from triptych.models.network.masked_math import masked_mean
from triptych.models.network.parts import Encoded, Fused, Fusion


class ResidualFusion(Fusion):
    """Add to what each modality says alone, f_m, what attention to the others makes of it.

    F = the mean of f_m + Attention(f_m, {f_n: n ≠ m}) over the modalities that are there. One that comes alone has
    nobody to look at: F is f_m itself, so that a head over it does exactly what it would do for that modality only, and
    a modality that comes in addition corrects instead of replacing. f_m is the mean of the modality's tokens, and what
    attention sees is added as it is: little can be learnt by heart from few examples of pretrained encoders. With two
    modalities, F is any linear function of both, and of each where it comes alone another one.

    Args:
        shape: what it works on.
        attention_heads: in how many ways a modality looks at the others at once.
    """

    def __init__(self, shape: FusionShape, *, attention_heads: int = 4) -> None:
        super().__init__()
        width = shape.width
        self.before = nn.LayerNorm(width)
        self.role = nn.ParameterDict({name: nn.Parameter(0.02 * torch.randn(width)) for name in shape.modalities})
        self.attention = Attention(width, attention_heads)
        for parameter in self.attention.out.parameters():
            nn.init.zeros_(parameter)  # before training, everybody only speaks for himself

    def forward(self, encoded: Mapping[str, Encoded]) -> Fused:
        """Return the mean over the modalities of each row; zeros for a row without any."""
        names = sorted(encoded)
        alone = torch.stack([masked_mean(encoded[name]) for name in names], 1)  # [B, M, D]
        present = torch.stack([encoded[name].present for name in names], 1)
        if len(names) == 1:
            return Fused(masked_mean(Encoded(alone, present)))
        roles = torch.stack([self.role[name] for name in names])
        looking: Tensor = self.before(alone) + roles
        added = torch.stack([self._beside(looking, present, place) for place in range(len(names))], 1)
        return Fused(masked_mean(Encoded(alone + added, present)))

    def _beside(self, looking: Tensor, present: Tensor, place: int) -> Tensor:
        """Return what the modality at a place means beside the others, [B, D]; zeros where there are none."""
        others = [other for other in range(looking.shape[1]) if other != place]
        there = present[:, others]
        accompanied = there.any(1, keepdim=True)
        # Softmax over nobody has no answer: a row without others looks at anything, and what it sees is dropped.
        seen = self.attention(looking[:, place, None], looking[:, others], there | ~accompanied)
        return torch.where(accompanied, seen.squeeze(1), 0.0)
