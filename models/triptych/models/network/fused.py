"""The fused model: one encoder per modality, an optional projector, a fusion and heads.

The layout follows `LateFusion` of TorchMultimodal (facebookresearch/multimodal, 2022), with masks for missing
modalities.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from triptych.models.network.collate import WindowBatch
from triptych.models.network.parts import Encoded, Encoder, Features, Fusion, Head, Projector


class FusedModel(nn.Module):
    """Run a batch through encoders, projector, fusion and heads.

    Args:
        encoders: by modality (`video`, `audio`, `text`).
        heads: by the name of their output.
        fusion: computes one vector per window; without it, heads can only read single modalities.
        projector: projects the tokens to one dimension first; without it, fusion and heads read the encoders' tokens.
    """

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        heads: Mapping[str, Head],
        fusion: Fusion | None = None,
        *,
        projector: Projector | None = None,
    ) -> None:
        super().__init__()
        available = {*encoders, Head.TOKENS} | ({Head.FUSED} if fusion else set())
        for name, head in heads.items():
            if head.source not in available:
                raise ValueError(f"head {name} reads {head.source}, expected one of {sorted(available)}")
        self.encoders = nn.ModuleDict(encoders)
        self.projector = projector
        self.fusion = fusion
        self.heads = nn.ModuleDict(heads)

    def forward(self, batch: WindowBatch) -> dict[str, Tensor]:
        """Return the output of each head by name, float [B, ...]. A head is missing if no row has its source."""
        return self.apply_heads(self.features(self.encode(batch)))

    def encode(self, batch: WindowBatch) -> Mapping[str, Encoded]:
        """Return the projected tokens [B, N, D] of each modality that any row has.

        This is the expensive part of the network. It runs once, however often the fusion runs on its result.
        """
        return self.project(self.tokens(batch))

    def tokens(self, batch: WindowBatch) -> dict[str, Encoded]:
        """Return the output of the encoders, [B, N, D_in], for each modality that any row has."""
        return {modality: encoder(batch) for modality, encoder in sorted(self.encoders.items()) if batch.has(modality)}

    def project(self, tokens: Mapping[str, Encoded]) -> Mapping[str, Encoded]:
        """Project the encoders' tokens to one dimension, if there is a projector."""
        projected: Mapping[str, Encoded] = tokens if self.projector is None else self.projector(tokens)
        return projected

    def features(self, encoded: Mapping[str, Encoded]) -> Features:
        """Fuse encoded modalities, and return the input of the heads."""
        return Features(encoded, self.fusion(encoded) if self.fusion is not None and encoded else None)

    def apply_heads(self, features: Features) -> dict[str, Tensor]:
        """Return the output of each head whose source is present, float [B, ...] by name."""
        there = set(features.encoded)
        if there:
            there.add(Head.TOKENS)
        if features.fused is not None:
            there.add(Head.FUSED)
        return {name: head(features) for name, head in self.heads.items() if head.source in there}
