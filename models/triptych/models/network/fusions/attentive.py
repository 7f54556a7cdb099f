"""Fusions by attention between the tokens of all modalities: full, through a bottleneck, and with queries per head."""

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
    """Self-attention over the tokens of all modalities and one token for the window (like [CLS] in BERT).

    Args:
        shape: the sizes of the fusion.
        blocks: number of transformer blocks.
        attention_heads: number of attention heads.
        tokens: `all`, or `pooled` for one token per modality: F = Attention(f_text, f_image, f_sound).
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
        """Return the vector float [B, D] of the window token, given tokens [B, N_m, D] by modality."""
        if self.pools:
            encoded = {name: _pooled(self.pools[name], one) for name, one in encoded.items()}
        tokens, mask = prepend_window_token(self.window, concat_tokens(encoded))
        for block in self.blocks:
            tokens = block(tokens, mask)
        return Fused(self.after(tokens[:, 0]))


class BottleneckFusion(Fusion):
    """Self-attention within each modality and a few shared bottleneck tokens (Nagrani et al., 2021, arXiv 2107.00135).

    After each block, the bottleneck tokens are averaged over the present modalities.
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
        """Return the mean of the bottleneck tokens, float [B, D], given tokens [B, N_m, D] by modality."""
        names = sorted(encoded)
        present = torch.stack([encoded[name].present for name in names], 1)  # [B, M]
        tokens = {name: encoded[name].tokens for name in names}
        shared = self.shared.expand(present.shape[0], -1, -1)  # [B, K, D]
        always = present.new_ones(shared.shape[:2])
        for blocks in self.blocks:
            updates = []
            for name in names:
                mask = torch.cat([always, encoded[name].mask], 1)
                block = cast("nn.ModuleDict", blocks)[name]
                updated = block(torch.cat([shared, tokens[name]], 1), mask)
                updates.append(updated[:, : shared.shape[1]])
                tokens[name] = updated[:, shared.shape[1] :]
            shared = _mean_of_present(torch.stack(updates, 1), present, instead=shared)
        return Fused(self.after(shared.mean(1)))


class DecoderFusion(Fusion):
    """Self-attention over all tokens, then a decoder with one learnt query per head.

    The queries follow DETR (Carion et al., 2020, arXiv 2005.12872). Each head gets its own vector. The vector of the
    window is their mean.
    """

    def __init__(
        self, shape: FusionShape, *, blocks: int = 1, decoder_blocks: int = 1, attention_heads: int = 4
    ) -> None:
        super().__init__()
        if not shape.heads:
            raise ValueError("heads: expected at least one head, got none")
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
        """Return one vector float [B, D] per head and their mean, given tokens [B, N_m, D] by modality."""
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
    """Prepend an unmasked token [D] to tokens [B, N, D]; return tokens float [B, 1 + N, D] and mask bool [B, 1 + N]."""
    rows = encoded.mask.shape[0]
    tokens = torch.cat([window.expand(rows, 1, -1), encoded.tokens], 1)
    return tokens, torch.cat([encoded.mask.new_ones(rows, 1), encoded.mask], 1)


def _pooled(pool: nn.Module, encoded: Encoded) -> Encoded:
    """Pool tokens [B, N, D] into one token per row, [B, 1, D]."""
    return Encoded(pool(encoded).unsqueeze(1), encoded.present.unsqueeze(1))


def _mean_of_present(updates: Tensor, present: Tensor, *, instead: Tensor) -> Tensor:
    """Return the mean over the present modalities of [B, M, K, D], float [B, K, D]. Rows without any keep `instead`."""
    mask = present[:, :, None, None]
    mean = torch.where(mask, updates, 0.0).sum(1) / mask.sum(1).clamp(min=1)
    return torch.where(present.any(1)[:, None, None], mean, instead)
