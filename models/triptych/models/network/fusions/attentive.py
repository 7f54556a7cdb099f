"""Fusions by attention between the tokens of all modalities: in full, through a bottleneck, and by queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from triptych.models.network.attention import CrossBlock, SelfBlock
from triptych.models.network.fusions.pooled import Pool
from triptych.models.network.fusions.shape import FusionShape
from triptych.models.network.masked_math import concat_tokens
from triptych.models.network.parts import Encoded, Fused, Fusion


class AttentionFusion(Fusion):
    """Let all tokens of all modalities, and one token for the whole window, look at one another.

    Args:
        shape: what it works on.
        blocks: how often they look.
        attention_heads: in how many ways at once.
        tokens: `all`; or `pooled`, one token for each modality: F = Attention(f_t, f_i, f_s).
    """

    def __init__(self, shape: FusionShape, *, blocks: int = 2, attention_heads: int = 4, tokens: str = "all") -> None:
        super().__init__()
        if tokens not in {"all", "pooled"}:
            raise ValueError(f"tokens: expected all or pooled, got {tokens!r}")
        self.window = nn.Parameter(0.02 * torch.randn(shape.width))
        pools = {name: Pool(shape.width, shape.dropout) for name in shape.modalities} if tokens == "pooled" else {}
        self.pools = nn.ModuleDict(pools)
        self.blocks = nn.ModuleList(SelfBlock(shape.width, attention_heads, shape.dropout) for _ in range(blocks))
        self.after = nn.LayerNorm(shape.width)

    def forward(self, encoded: Mapping[str, Encoded]) -> Fused:
        """Return what the token of the window has gathered."""
        if self.pools:
            encoded = {name: _pooled(self.pools[name], one) for name, one in encoded.items()}
        tokens, mask = prepend_window_token(self.window, concat_tokens(encoded))
        for block in self.blocks:
            tokens = block(tokens, mask)
        return Fused(self.after(tokens[:, 0]))


class BottleneckFusion(Fusion):
    """Let each modality look at itself and at a few tokens that all share (Nagrani et al., 2021, arXiv 2107.00135).

    The shared tokens are the mean of what the modalities that are there made of them.
    """

    def __init__(
        self, shape: FusionShape, *, blocks: int = 2, attention_heads: int = 4, bottleneck_tokens: int = 4
    ) -> None:
        super().__init__()
        self.shared = nn.Parameter(0.02 * torch.randn(bottleneck_tokens, shape.width))
        self.blocks = nn.ModuleList(
            nn.ModuleDict({name: SelfBlock(shape.width, attention_heads, shape.dropout) for name in shape.modalities})
            for _ in range(blocks)
        )
        self.after = nn.LayerNorm(shape.width)

    def forward(self, encoded: Mapping[str, Encoded]) -> Fused:
        """Return the mean of the shared tokens."""
        names = sorted(encoded)
        present = torch.stack([encoded[name].present for name in names], 1)  # [B, M]
        tokens = {name: encoded[name].tokens for name in names}
        shared = self.shared.expand(present.shape[0], -1, -1)  # [B, K, D]
        always = present.new_ones(shared.shape[:2])
        for blocks in self.blocks:
            said = []
            for name in names:
                mask = torch.cat([always, encoded[name].mask], 1)
                block = cast("nn.ModuleDict", blocks)[name]
                seen = block(torch.cat([shared, tokens[name]], 1), mask)
                said.append(seen[:, : shared.shape[1]])
                tokens[name] = seen[:, shared.shape[1] :]
            shared = _mean_of_present(torch.stack(said, 1), present, instead=shared)
        return Fused(self.after(shared.mean(1)))


class DecoderFusion(Fusion):
    """Let all tokens look at one another, then let a learnt query for each head look at them.

    Each head gets a vector of its own; the window's vector is the mean of all.
    """

    def __init__(
        self, shape: FusionShape, *, blocks: int = 1, decoder_blocks: int = 1, attention_heads: int = 4
    ) -> None:
        super().__init__()
        if not shape.heads:
            raise ValueError("heads: expected one at least, for a query each, got none")
        self._heads = shape.heads
        self.window = nn.Parameter(0.02 * torch.randn(shape.width))
        self.queries = nn.Parameter(0.02 * torch.randn(len(shape.heads), shape.width))
        self.blocks = nn.ModuleList(SelfBlock(shape.width, attention_heads, shape.dropout) for _ in range(blocks))
        self.between = nn.LayerNorm(shape.width)
        self.decoder = nn.ModuleList(
            CrossBlock(shape.width, attention_heads, shape.dropout) for _ in range(decoder_blocks)
        )
        self.after = nn.LayerNorm(shape.width)

    def forward(self, encoded: Mapping[str, Encoded]) -> Fused:
        """Return a vector for each head."""
        tokens, mask = prepend_window_token(self.window, concat_tokens(encoded))
        for block in self.blocks:
            tokens = block(tokens, mask)
        tokens = self.between(tokens)
        queries = self.queries.expand(tokens.shape[0], -1, -1)
        for block in self.decoder:
            queries = block(queries, tokens, mask)
        queries = self.after(queries)
        return Fused(queries.mean(1), by_head=dict(zip(self._heads, queries.unbind(1), strict=True)))


def prepend_window_token(window: Tensor, encoded: Encoded) -> tuple[Tensor, Tensor]:
    """Put a token that is always there before the others: [B, 1 + N, D] and [B, 1 + N]."""
    rows = encoded.mask.shape[0]
    tokens = torch.cat([window.expand(rows, 1, -1), encoded.tokens], 1)
    return tokens, torch.cat([encoded.mask.new_ones(rows, 1), encoded.mask], 1)


def _pooled(pool: nn.Module, encoded: Encoded) -> Encoded:
    return Encoded(pool(encoded).unsqueeze(1), encoded.present.unsqueeze(1))


def _mean_of_present(said: Tensor, present: Tensor, *, instead: Tensor) -> Tensor:
    """Return the mean over the modalities that are there of [B, M, K, D]; rows without any keep `instead`."""
    there = present[:, :, None, None]
    mean = torch.where(there, said, 0.0).sum(1) / there.sum(1).clamp(min=1)
    return torch.where(present.any(1)[:, None, None], mean, instead)
