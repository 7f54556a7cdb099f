"""Fusions that first make one vector of each modality: late, concatenation, a shared space."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.network.fusions.shape import FusionShape
from triptych.models.network.masked_math import masked_max, masked_mean, masked_softmax
from triptych.models.network.parts import Encoded, Fused, Fusion


class Pool(nn.Module):
    """Make one vector of the tokens of a modality: of their mean and their greatest numbers."""

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
        """Return [B, D]; a row without the modality gives what nothing gives, whoever calls must mask it."""
        vector: Tensor = self.think(torch.cat([masked_mean(encoded), masked_max(encoded)], -1))
        return vector


class LateFusion(Fusion):
    """Let each modality decide alone, and take the mean of those that are there.

    The heads on top are linear: the mean of vectors is the mean of the modalities' own logits.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.pools = nn.ModuleDict({name: Pool(shape.width, shape.dropout) for name in shape.modalities})

    def forward(self, encoded: Mapping[str, Encoded]) -> Fused:
        """Return the mean over the modalities of each row; zeros for a row without any."""
        vectors = torch.stack([self.pools[name](encoded[name]) for name in sorted(encoded)], 1)  # [B, M, D]
        present = torch.stack([encoded[name].present for name in sorted(encoded)], 1)
        return Fused(masked_mean(Encoded(vectors, present)))


class ConcatFusion(Fusion):
    """Put the vectors of all modalities side by side; a learnt vector stands where one is missing."""

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
        """Return [B, D]."""
        rows = next(iter(encoded.values())).mask.shape[0]
        return Fused(self.think(torch.cat([self._side(name, encoded.get(name), rows) for name in self.pools], -1)))

    def _side(self, name: str, encoded: Encoded | None, rows: int) -> Tensor:
        missing: Tensor = self.missing[name].expand(rows, -1)
        if encoded is None:
            return missing
        own: Tensor = self.pools[name](encoded)
        return torch.where(encoded.present.unsqueeze(-1), own, missing)


class SharedSpaceFusion(Fusion):
    """Bring each modality to the unit sphere of one space, and add up what is there by learnt weights.

    The vectors on the sphere (`Fused.shared`) can be drawn together where they show the same window, by a contrastive
    loss. Not to be confused with the base model's projection, which is random and fixed.
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
        """Return the weighted sum, thought over; and each modality's own place."""
        shared = {name: functional.normalize(self.pools[name](encoded[name]), dim=-1) for name in sorted(encoded)}
        places = torch.stack(list(shared.values()), 1) * self.gate.in_features**0.5  # [B, M, D]; numbers of about 1
        present = torch.stack([encoded[name].present for name in shared], 1)
        weights = masked_softmax(self.gate(places).squeeze(-1), present) * present
        together = (weights.unsqueeze(-1) * places).sum(1)
        return Fused(self.after(together + self.think(together)), shared=shared)
