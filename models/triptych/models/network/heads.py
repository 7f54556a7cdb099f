"""Heads of trained models. Each is linear: what a fusion makes of a window is only read off."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.network.masked_math import concat_tokens, masked_softmax
from triptych.models.network.parts import Encoded, Features, Head


class HeadReadout(nn.Module):
    """Get a head the vector that it reads: its own of what is fused, or one gathered from tokens.

    Args:
        name: of the head.
        source: `fused`, `tokens` (of all modalities) or a modality.
        width: of tokens and fused vectors.
        index: read this token of the modality alone; None gathers all by learnt weights.
    """

    def __init__(self, name: str, source: str, *, width: int, index: int | None = None) -> None:
        super().__init__()
        if index is not None and source in {Head.FUSED, Head.TOKENS}:
            raise ValueError(f"index: expected the source to be a modality, got {source}")
        self._name, self._source, self._index = name, source, index
        self.norm = nn.LayerNorm(width) if source != Head.FUSED else None
        self.weigh = nn.Linear(width, 1) if source != Head.FUSED and index is None else None

    def forward(self, features: Features) -> Tensor:
        """Return [B, D]."""
        if self.norm is None:
            if features.fused is None:
                raise TypeError("fused: expected a vector for each window, got None")
            return features.fused.by_head.get(self._name, features.fused.vector)
        everything = self._source == Head.TOKENS
        encoded = concat_tokens(features.encoded) if everything else features.encoded[self._source]
        tokens: Tensor = self.norm(encoded.tokens)
        return tokens[:, self._index] if self.weigh is None else _gathered(self.weigh(tokens), tokens, encoded)


def _gathered(scores: Tensor, tokens: Tensor, encoded: Encoded) -> Tensor:
    weights = masked_softmax(scores.squeeze(-1), encoded.mask) * encoded.mask  # [B, N]
    return (weights.unsqueeze(-1) * tokens).sum(1)


class LogitsHead(Head):
    """Score labels, of which one holds or several may: logits [B, K]."""

    def __init__(self, reader: HeadReadout, source: str, *, width: int, labels: int) -> None:
        super().__init__()
        self.source = source
        self.reader = reader
        self.fc = nn.Linear(width, labels)

    def forward(self, features: Features) -> Tensor:
        """Return [B, K]."""
        logits: Tensor = self.fc(self.reader(features))
        return logits


class RegressionHead(Head):
    """Say a number for each window, [B], in the units of the targets.

    The mean and the deviation of the targets are kept, so that what is learnt are numbers of about 1.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, reader: HeadReadout, source: str, *, width: int) -> None:
        super().__init__()
        self.source = source
        self.reader = reader
        self.fc = nn.Linear(width, 1)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))

    def forward(self, features: Features) -> Tensor:
        """Return [B]."""
        standard: Tensor = self.fc(self.reader(features)).squeeze(-1)
        return standard * self.deviation + self.mean


class UnitVectorHead(Head):
    """Say where the window lies, [B, D] of length 1."""

    def __init__(self, reader: HeadReadout, source: str, *, width: int, dims: int) -> None:
        super().__init__()
        self.source = source
        self.reader = reader
        self.fc = nn.Linear(width, dims)

    def forward(self, features: Features) -> Tensor:
        """Return [B, D]."""
        return functional.normalize(self.fc(self.reader(features)).float(), dim=-1)
