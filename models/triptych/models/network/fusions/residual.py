"""A fusion that adds an attention term to the mean of the modalities' own vectors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from triptych.models.network.attention import Attention
from triptych.models.network.fusions.shape import FusionShape
from triptych.models.network.masked_math import masked_mean
from triptych.models.network.parts import Encoded, Fused, Fusion


class ResidualFusion(Fusion):
    """Add to the mean vector f_m of each modality a correction by attention over the other modalities.

    F is the mean of f_m + Attention(f_m, {f_n: n != m}) over the present modalities. With one present modality, F is
    f_m: a head reads the same vector as it would without a fusion, and further modalities correct it instead of
    replacing it. With two modalities, F can be any linear function of both, and a different one of each alone.

    f_m is the mean of the modality's tokens, and the attention term is added without a feed-forward network. The fusion
    has few parameters, so it does not overfit on few examples from pretrained encoders.

    Args:
        shape: the sizes of the fusion.
        attention_heads: number of attention heads.
    """

    def __init__(self, shape: FusionShape, *, attention_heads: int = 4) -> None:
        super().__init__()
        width = shape.width
        self.before = nn.LayerNorm(width)
        self.role = nn.ParameterDict({name: nn.Parameter(0.02 * torch.randn(width)) for name in shape.modalities})
        self.attention = Attention(width, attention_heads)
        for parameter in self.attention.out.parameters():
            nn.init.zeros_(parameter)  # before training, the attention term is zero

    def forward(self, encoded: Mapping[str, Encoded]) -> Fused:
        """Return the vector float [B, D], given tokens [B, N_m, D] by modality; zeros for rows without any."""
        names = sorted(encoded)
        alone = torch.stack([masked_mean(encoded[name]) for name in names], 1)  # [B, M, D]
        present = torch.stack([encoded[name].present for name in names], 1)
        if len(names) == 1:
            return Fused(masked_mean(Encoded(alone, present)))
        roles = torch.stack([self.role[name] for name in names])
        queries: Tensor = self.before(alone) + roles  # [B, M, D]
        added = torch.stack([self._attend(queries, present, index) for index in range(len(names))], 1)
        return Fused(masked_mean(Encoded(alone + added, present)))

    def _attend(self, queries: Tensor, present: Tensor, index: int) -> Tensor:
        """Return the attention of modality `index` over the other present ones, [B, D]; zeros if there are none."""
        others = [other for other in range(queries.shape[1]) if other != index]
        mask = present[:, others]
        has_others = mask.any(1, keepdim=True)
        # Softmax over an empty set is undefined: rows without others attend to anything, and the result is discarded.
        attended = self.attention(queries[:, index, None], queries[:, others], mask | ~has_others)  # [B, 1, D]
        return torch.where(has_others, attended.squeeze(1), 0.0)
