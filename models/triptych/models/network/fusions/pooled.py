"""Fusions that pool each modality into one vector first: late fusion, concatenation and a shared space.

Baltrusaitis et al. (2019, arXiv 1705.09406) survey the approaches.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.network.fusions.shape import FusionShape
from triptych.models.network.masked_math import masked_max, masked_mean, masked_softmax
from triptych.models.network.parts import Encoded, Fused, Fusion


class Pool(nn.Module):
    """Pool the tokens of a modality into one vector, from their mean and elementwise maximum."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.think = nn.Sequential(
            nn.LayerNorm(2 * width),
            nn.Linear(2 * width, width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
        )

    def forward(self, encoded: Encoded) -> Tensor:
        """Return float [B, D] of tokens [B, N, D].

        Rows without the modality get a constant vector, which the caller must mask.
        """
        vector: Tensor = self.think(torch.cat([masked_mean(encoded), masked_max(encoded)], -1))
        return vector


class LateFusion(Fusion):
    """Average the vectors of the present modalities.

    With linear heads, the mean of the vectors equals the mean of the logits of each modality alone.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.pools = nn.ModuleDict({name: Pool(shape.width, shape.dropout) for name in shape.modalities})

    def forward(self, encoded: Mapping[str, Encoded]) -> Fused:
        """Return the vector float [B, D], given tokens [B, N_m, D] by modality; zeros for rows without any."""
        vectors = torch.stack([self.pools[name](encoded[name]) for name in sorted(encoded)], 1)  # [B, M, D]
        present = torch.stack([encoded[name].present for name in sorted(encoded)], 1)
        return Fused(masked_mean(Encoded(vectors, present)))


class ConcatFusion(Fusion):
    """Concatenate the vectors of all modalities, followed by a feed-forward network.

    A learnt vector replaces a missing modality.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        width = shape.width
        self.pools = nn.ModuleDict({name: Pool(width, shape.dropout) for name in shape.modalities})
        self.missing = nn.ParameterDict({name: nn.Parameter(0.02 * torch.randn(width)) for name in shape.modalities})
        self.think = nn.Sequential(
            nn.LayerNorm(width * len(shape.modalities)),
            nn.Linear(width * len(shape.modalities), 2 * width),
            nn.GELU(),
            nn.Dropout(shape.dropout),
            nn.Linear(2 * width, width),
            nn.LayerNorm(width),
        )

    def forward(self, encoded: Mapping[str, Encoded]) -> Fused:
        """Return the vector float [B, D], given tokens [B, N_m, D] by modality."""
        rows = next(iter(encoded.values())).mask.shape[0]
        return Fused(self.think(torch.cat([self._vector(name, encoded.get(name), rows) for name in self.pools], -1)))

    def _vector(self, name: str, encoded: Encoded | None, rows: int) -> Tensor:
        """Return the modality's vector [B, D], or the learnt one for rows without the modality."""
        missing: Tensor = self.missing[name].expand(rows, -1)
        if encoded is None:
            return missing
        own: Tensor = self.pools[name](encoded)
        return torch.where(encoded.present.unsqueeze(-1), own, missing)


class SharedSpaceFusion(Fusion):
    """Map each modality to the unit sphere of one space, and sum the present ones with learnt weights.

    A contrastive loss (Radford et al., 2021, arXiv 2103.00020) can align the vectors `Fused.shared` of the same window.
    Unlike the projection of the base model, this one is trained.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.pools = nn.ModuleDict({name: Pool(shape.width, shape.dropout) for name in shape.modalities})
        self.gate = nn.Linear(shape.width, 1)
        self.think = nn.Sequential(
            nn.Linear(shape.width, 2 * shape.width), nn.GELU(), nn.Linear(2 * shape.width, shape.width)
        )
        self.after = nn.LayerNorm(shape.width)

    def forward(self, encoded: Mapping[str, Encoded]) -> Fused:
        """Return the vector [B, D] and unit vectors [B, D] by modality, given tokens float [B, N_m, D] by modality."""
        shared = {name: functional.normalize(self.pools[name](encoded[name]), dim=-1) for name in sorted(encoded)}
        vectors = torch.stack(list(shared.values()), 1) * self.gate.in_features**0.5  # [B, M, D], scaled to about 1
        present = torch.stack([encoded[name].present for name in shared], 1)
        weights = masked_softmax(self.gate(vectors).squeeze(-1), present) * present
        total = (weights.unsqueeze(-1) * vectors).sum(1)  # [B, D]
        return Fused(self.after(total + self.think(total)), shared=shared)
