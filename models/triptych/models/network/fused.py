"""The fused model: an encoder for each modality, a projector, a fusion, heads. Which ones is the builder's choice."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from triptych.models.network.collate import WindowBatch
from triptych.models.network.parts import Encoded, Encoder, Features, Fusion, Head, Projector


class FusedModel(nn.Module):
    """Run a batch through encoders, fusion and heads.

    Args:
        encoders: by modality (`video`, `audio`, `text`).
        heads: by the name of what they say.
        fusion: makes one vector for each window; without it heads read single modalities only.
        projector: brings the tokens to one width first; without it fusion and heads read them as encoded.
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
        """Return what each head says, [B, …]; a head is missing when no row has what it reads."""
        return self.apply_heads(self.features(self.encode(batch)))

    def encode(self, batch: WindowBatch) -> Mapping[str, Encoded]:
        """Return the tokens of each modality that any row has: the costly part, done once for any number of fusions."""
        return self.project(self.tokens(batch))

    def tokens(self, batch: WindowBatch) -> dict[str, Encoded]:
        """Return what the encoders themselves say of each modality that any row has."""
        return {modality: encoder(batch) for modality, encoder in sorted(self.encoders.items()) if batch.has(modality)}

    def project(self, tokens: Mapping[str, Encoded]) -> Mapping[str, Encoded]:
        """Bring the encoders' tokens to one width, if there is a projector."""
        brought: Mapping[str, Encoded] = tokens if self.projector is None else self.projector(tokens)
        return brought

    def features(self, encoded: Mapping[str, Encoded]) -> Features:
        """Fuse what was encoded."""
        return Features(encoded, self.fusion(encoded) if self.fusion is not None and encoded else None)

    def apply_heads(self, features: Features) -> dict[str, Tensor]:
        """Ask each head that has something to read."""
        there = set(features.encoded)
        if there:
            there.add(Head.TOKENS)
        if features.fused is not None:
            there.add(Head.FUSED)
        return {name: head(features) for name, head in self.heads.items() if head.source in there}
