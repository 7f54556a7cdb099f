"""Attention rollout (Abnar and Zuidema, 2020, arXiv 2005.00928): how much of each token reaches the window's vector.

It is meant for inspection only: what a network attends to is not the same as what decides. See the shares for that.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from triptych.models.network.attention import SelfBlock
from triptych.models.network.fusions.attentive import AttentionFusion, prepend_window_token
from triptych.models.network.masked_math import concat_tokens
from triptych.models.network.parts import Encoded, Fusion


def attention_rollout(fusion: Fusion | None, encoded: Mapping[str, Encoded]) -> dict[str, Tensor] | None:
    """Return the weight of each token in the window's vector, float32 [B, N] by modality.

    The weights and that of the window token itself add up to 1. Return None for a fusion without self-attention over
    all tokens, and for pooled tokens, which have no time.
    """
    if not isinstance(fusion, AttentionFusion) or fusion.pools:
        return None
    tokens, mask = prepend_window_token(fusion.window, concat_tokens(encoded, keep_empty=True))
    rolled = torch.eye(tokens.shape[1]).expand(tokens.shape[0], -1, -1)
    for block in fusion.blocks:
        attended = _weights(block, tokens, mask)
        # The residual connection carries half of a token past the attention.
        rolled = (attended + torch.eye(tokens.shape[1])) / 2 @ rolled
        tokens = block(tokens, mask)
    names = sorted(encoded)
    parts = torch.split(rolled[:, 0, 1:], [encoded[name].mask.shape[1] for name in names], 1)
    return dict(zip(names, parts, strict=True))


def _weights(block: nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:
    """Return the attention weights of a block, float [B, N, N], for tokens [B, N, D]."""
    if not isinstance(block, SelfBlock):
        raise TypeError(f"block: expected a SelfBlock, got {type(block).__name__}")
    return block.attention.weights(block.before(tokens), mask)
