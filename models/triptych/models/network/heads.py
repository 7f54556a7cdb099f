"""The heads of trained models. All are linear: the fusion does the computation, and the heads only read its result."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.network.masked_math import concat_tokens, masked_softmax
from triptych.models.network.parts import Encoded, Features, Head


class HeadReadout(nn.Module):
    """Select the vector that a head reads: the head's vector of the fusion, or a pooled vector of tokens.

    Args:
        name: name of the head.
        source: `fused`, `tokens` (those of all modalities) or a modality.
        width: dimensions D of tokens and fused vectors.
        index: read only the token with this index; None pools all tokens with learnt attention weights.
    """

    def __init__(self, name: str, source: str, *, width: int, index: int | None = None) -> None:
        super().__init__()
        if index is not None and source in {Head.FUSED, Head.TOKENS}:
            raise ValueError(f"index: expected a modality as source, got {source}")
        self._name, self._source, self._index = name, source, index
        self.norm = nn.LayerNorm(width) if source != Head.FUSED else None
        self.weigh = nn.Linear(width, 1) if source != Head.FUSED and index is None else None

    def forward(self, features: Features) -> Tensor:
        """Return the vector, float [B, D]."""
        if self.norm is None:
            if features.fused is None:
                raise TypeError("fused: expected one vector per window, got None")
            return features.fused.by_head.get(self._name, features.fused.vector)
        everything = self._source == Head.TOKENS
        encoded = concat_tokens(features.encoded) if everything else features.encoded[self._source]
        tokens: Tensor = self.norm(encoded.tokens)
        return tokens[:, self._index] if self.weigh is None else _attention_pool(self.weigh(tokens), tokens, encoded)


def _attention_pool(scores: Tensor, tokens: Tensor, encoded: Encoded) -> Tensor:
    """Pool tokens [B, N, D] with the softmax of scores [B, N, 1] to [B, D]; zeros for rows without any token."""
    weights = masked_softmax(scores.squeeze(-1), encoded.mask) * encoded.mask  # [B, N]
    return (weights.unsqueeze(-1) * tokens).sum(1)


class LogitsHead(Head):
    """Predict the logits of K labels, for multiclass and multilabel tasks."""

    def __init__(self, reader: HeadReadout, source: str, *, width: int, labels: int) -> None:
        super().__init__()
        self.source = source
        self.reader = reader
        self.fc = nn.Linear(width, labels)

    def forward(self, features: Features) -> Tensor:
        """Return the logits, float [B, K]."""
        logits: Tensor = self.fc(self.reader(features))
        return logits


class RegressionHead(Head):
    """Predict one number per window, in the units of the targets.

    The mean and the deviation of the targets are buffers, so the linear layer learns standardised values.
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
        """Return the numbers, float [B]."""
        standard: Tensor = self.fc(self.reader(features)).squeeze(-1)
        return standard * self.deviation + self.mean


class UnitVectorHead(Head):
    """Predict an embedding of the window."""

    def __init__(self, reader: HeadReadout, source: str, *, width: int, dims: int) -> None:
        super().__init__()
        self.source = source
        self.reader = reader
        self.fc = nn.Linear(width, dims)

    def forward(self, features: Features) -> Tensor:
        """Return the embedding, float32 [B, D] of length 1."""
        return functional.normalize(self.fc(self.reader(features)).float(), dim=-1)
