"""The fused model: an encoder for each modality, a fusion, heads. Which ones is the builder's choice."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from triptych.worker.models.batch import WindowBatch
from triptych.worker.models.interfaces import Encoder, Features, Fusion, Head


class FusedModel(nn.Module):
    """Run a batch through encoders, fusion and heads.

    Args:
        encoders: by modality (`video`, `audio`, `text`).
        heads: by the name of what they say.
        fusion: makes one vector for each window; without it heads read single modalities only.
    """

    def __init__(
        self, encoders: Mapping[str, Encoder], heads: Mapping[str, Head], fusion: Fusion | None = None
    ) -> None:
        super().__init__()
        available = set(encoders) | ({Head.FUSED} if fusion else set())
        for name, head in heads.items():
            if head.source not in available:
                raise ValueError(f"head {name} reads {head.source}, expected one of {sorted(available)}")
        self.encoders = nn.ModuleDict(encoders)
        self.heads = nn.ModuleDict(heads)
        self.fusion = fusion

    def forward(self, batch: WindowBatch) -> dict[str, Tensor]:
        """Return what each head says, [B, …]; a head is missing when no row has what it reads."""
        encoded = {
            modality: encoder(batch) for modality, encoder in sorted(self.encoders.items()) if batch.rows_with(modality)
        }
        fused = self.fusion(encoded) if self.fusion is not None and encoded else None
        there = set(encoded) | ({Head.FUSED} if fused is not None else set())
        features = Features(encoded, fused)
        return {name: head(features) for name, head in self.heads.items() if head.source in there}
