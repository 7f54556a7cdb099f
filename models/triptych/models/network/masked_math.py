"""Arithmetic on masked tokens. The result is finite even for rows in which every token is masked."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from triptych.models.network.parts import Encoded

_FAR_BELOW = -1e4
"""Score of masked tokens. It is finite, so that softmax over a fully masked row gives equal weights, not NaN."""


def masked_mean(encoded: Encoded) -> Tensor:
    """Return the mean over the unmasked tokens, [B, N, D] to [B, D]; zeros for rows without any."""
    mask = encoded.mask.unsqueeze(-1)  # [B, N, 1]
    return torch.where(mask, encoded.tokens, 0.0).sum(1) / mask.sum(1).clamp(min=1)


def masked_max(encoded: Encoded) -> Tensor:
    """Return the elementwise maximum over the unmasked tokens, [B, N, D] to [B, D]; zeros for rows without any."""
    mask = encoded.mask.unsqueeze(-1)
    greatest = torch.where(mask, encoded.tokens, _FAR_BELOW).amax(1)
    return torch.where(encoded.present.unsqueeze(-1), greatest, 0.0)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Return the softmax of float [B, ..., N] over the entries of the last dimension where `mask`, bool, is true."""
    return torch.where(mask, scores, _FAR_BELOW).softmax(-1)


def concat_tokens(encoded: Mapping[str, Encoded], *, keep_empty: bool = False) -> Encoded:
    """Concatenate the tokens of all modalities, in the order of their names: [B, N_m, D] each to [B, sum of N_m, D].

    Positions that are masked in every row are removed, unless `keep_empty` is true. On a GPU they are always kept,
    because removing them would require a synchronisation with the device.
    """
    parts = [encoded[name] for name in sorted(encoded)]
    tokens, mask = torch.cat([part.tokens for part in parts], 1), torch.cat([part.mask for part in parts], 1)
    times = torch.cat(
        [part.tokens.new_zeros(part.mask.shape) if part.times is None else part.times for part in parts], 1
    )
    if keep_empty or mask.device.type != "cpu" or torch.compiler.is_exporting():
        return Encoded(tokens, mask, times)
    used = mask.any(0)
    return Encoded(tokens[:, used], mask[:, used], times[:, used])


def mask_modalities(encoded: Mapping[str, Encoded], keep: Mapping[str, Tensor]) -> dict[str, Encoded]:
    """Mask the modalities of the rows for which `keep`, bool [B] by modality, is false."""
    return {name: one._replace(mask=one.mask & keep[name].unsqueeze(-1)) for name, one in encoded.items()}
