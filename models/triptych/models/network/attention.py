"""Transformer blocks over masked tokens, with layer norm before each sublayer (pre-LN).

Pre-LN: Xiong et al., 2020, arXiv 2002.04745. Each row must have at least one unmasked token, because softmax over an
empty set is undefined. The fusions add a token that is never masked.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

_FEED_FORWARD_FACTOR = 2


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al., 2017, arXiv 1706.03762) of queries over tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width: expected a multiple of {heads} heads, got {width}")
        self._heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Attend from queries to the unmasked tokens.

        Args:
            queries: float [B, Q, D].
            tokens: float [B, N, D], keys and values.
            mask: bool [B, N], true for tokens that exist.

        Returns:
            float [B, Q, D].
        """
        query = self._split(self.query(queries))
        key, value = (self._split(one) for one in self.key_value(tokens).chunk(2, -1))
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        out: Tensor = self.out(attended.transpose(1, 2).flatten(2))  # [B, H, Q, D/H] to [B, Q, D]
        return out

    def weights(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the attention weights of `forward` among tokens, averaged over the heads: float [B, N, N]."""
        query = self._split(self.query(tokens))
        key = self._split(self.key_value(tokens).chunk(2, -1)[0])
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        weights: Tensor = scores.masked_fill(~mask[:, None, None, :], float("-inf")).softmax(-1).mean(1)
        return weights

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self._heads, -1).transpose(1, 2)  # [B, N, D] to [B, H, N, D/H]


class SelfBlock(nn.Module):
    """A transformer encoder block: self-attention, then a feed-forward network."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.think = _feed_forward(width, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the updated tokens, float [B, N, D], given tokens [B, N, D] and their mask, bool [B, N]."""
        normed = self.before(tokens)
        tokens = tokens + self.dropout(self.attention(normed, normed, mask))
        updated: Tensor = tokens + self.think(tokens)
        return updated


class CrossBlock(nn.Module):
    """A transformer decoder block: self-attention of queries, cross-attention to tokens, feed-forward network."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.among = SelfBlock(width, heads, dropout)
        self.before = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.think = _feed_forward(width, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the updated queries, float [B, Q, D].

        Args:
            queries: float [B, Q, D].
            tokens: float [B, N, D], already normalised.
            mask: bool [B, N], true for tokens that exist.
        """
        queries = self.among(queries, mask.new_ones(queries.shape[:2]))
        queries = queries + self.dropout(self.attention(self.before(queries), tokens, mask))
        updated: Tensor = queries + self.think(queries)
        return updated


def _feed_forward(width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, _FEED_FORWARD_FACTOR * width),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(_FEED_FORWARD_FACTOR * width, width),
        nn.Dropout(dropout),
    )
