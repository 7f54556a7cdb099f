"""Arithmetic on tokens of which some are not there. Rows without any stay finite."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from triptych.models.network.parts import Encoded

_FAR_BELOW = -1e4
"""A score that no weight is left of; finite, so that a row without any token gives equal weights, not NaN."""


def masked_mean(encoded: Encoded) -> Tensor:
    """Return the mean of the tokens that are there, [B, D]; zeros where none is."""
    there = encoded.mask.unsqueeze(-1)  # [B, N, 1]
    return torch.where(there, encoded.tokens, 0.0).sum(1) / there.sum(1).clamp(min=1)


def masked_max(encoded: Encoded) -> Tensor:
    """Return the greatest of the tokens that are there by number, [B, D]; zeros where none is."""
    there = encoded.mask.unsqueeze(-1)
    greatest = torch.where(there, encoded.tokens, _FAR_BELOW).amax(1)
    return torch.where(encoded.present.unsqueeze(-1), greatest, 0.0)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Return the softmax of scores [B, …, N] over those that are there."""
    return torch.where(mask, scores, _FAR_BELOW).softmax(-1)


def concat_tokens(encoded: Mapping[str, Encoded], *, keep_empty: bool = False) -> Encoded:
    """Put the tokens of all modalities side by side, in the order of their names.

    What no row has is left out, unless all is wanted `whole`. On a GPU nothing is left out: to ask it what is there
    would mean to wait for it.
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
    """Take modalities away from rows: what `keep` (bool [B], by modality) does not keep becomes masked."""
    return {name: one._replace(mask=one.mask & keep[name].unsqueeze(-1)) for name, one in encoded.items()}
