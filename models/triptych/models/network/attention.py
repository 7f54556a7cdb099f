"""Transformer blocks over tokens of which some are not there, with the norm first (pre-LN).

Every row must have one token at least that is there: softmax over nothing has no answer. The fusions see to it with a
token of their own.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

_WIDENING = 2


class Attention(nn.Module):
    """Let queries look at tokens, in several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width: expected a multiple of {heads} heads, got {width}")
        self._heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return [B, Q, D] of queries [B, Q, D], tokens [B, N, D] and the mask [B, N] of those that are there."""
        query = self._split(self.query(queries))
        key, value = (self._split(one) for one in self.key_value(tokens).chunk(2, -1))
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        out: Tensor = self.out(seen.transpose(1, 2).flatten(2))  # [B, H, Q, D/H] to [B, Q, D]
        return out

    def weights(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return how much each token looks at each, [B, N, N], the mean over the heads: what `forward` weighs by."""
        query = self._split(self.query(tokens))
        key = self._split(self.key_value(tokens).chunk(2, -1)[0])
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        weights: Tensor = scores.masked_fill(~mask[:, None, None, :], float("-inf")).softmax(-1).mean(1)
        return weights

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self._heads, -1).transpose(1, 2)  # [B, N, D] to [B, H, N, D/H]


class SelfBlock(nn.Module):
    """Let tokens look at one another, then think each for itself."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.think = _feed_forward(width, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return [B, N, D]."""
        normed = self.before(tokens)
        tokens = tokens + self.dropout(self.attention(normed, normed, mask))
        thought: Tensor = tokens + self.think(tokens)
        return thought


class CrossBlock(nn.Module):
    """Let queries look at one another and at tokens, then think each for itself."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.among = SelfBlock(width, heads, dropout)
        self.before = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.think = _feed_forward(width, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return [B, Q, D]; the tokens come normed."""
        queries = self.among(queries, mask.new_ones(queries.shape[:2]))
        queries = queries + self.dropout(self.attention(self.before(queries), tokens, mask))
        thought: Tensor = queries + self.think(queries)
        return thought


def _feed_forward(width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, _WIDENING * width),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(_WIDENING * width, width),
        nn.Dropout(dropout),
    )
