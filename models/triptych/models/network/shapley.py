"""The contribution of each part of a window to a prediction, as exact Shapley values (Shapley, 1953).

The parts are either the modalities or time slices. The values are computed over all subsets of parts. The encoders run
once. Only the fusion runs again for each subset, in a single batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from math import factorial

import torch
from torch import Tensor

from triptych.models.network.parts import Encoded

Values = Callable[[Mapping[str, Encoded]], Tensor]
"""Computes the values to explain, float [R, K], from the tokens of R rows with some tokens masked."""

Part = Mapping[str, Tensor]
"""The tokens of one part, bool [B, N] by modality. Each token belongs to exactly one part."""


def shapley_values(
    encoded: Mapping[str, Encoded], values: Values, nothing: Tensor, chosen: Tensor
) -> dict[str, Tensor]:
    """Return the contribution of each modality to the chosen value of each row, float32 [B] by modality.

    The contributions add up to the value of all modalities minus the value of none. The contribution of a modality that
    a row does not have is 0.

    Args:
        encoded: the tokens, [B, N, D] by modality.
        values: computes the values to explain, [R, K].
        nothing: float32 [K], the values of a window without any data.
        chosen: int64 [B], the index of the value to explain for each row.
    """
    names = sorted(encoded)
    parts = [
        {name: one.mask if name == own else torch.zeros_like(one.mask) for name, one in encoded.items()}
        for own in names
    ]
    return dict(zip(names, _contributions(encoded, parts, values, nothing, chosen), strict=True))


def shapley_in_time(
    encoded: Mapping[str, Encoded], values: Values, nothing: Tensor, chosen: Tensor, *, slots: int
) -> Tensor:
    """Return the contribution of each of `slots` equal time slices of the window, float32 [B, slots].

    A slice consists of the tokens of all modalities that start in it. The contributions add up to the value of the
    whole window minus the value of an empty one. The contribution of a slice without tokens is 0.

    Args:
        encoded: the tokens, [B, N, D] by modality, with times.
        values: see `shapley_values`.
        nothing: see `shapley_values`.
        chosen: see `shapley_values`.
        slots: number of slices. The fusion runs 2^slots - 1 times.
    """
    own = {name: _slots(one, slots) for name, one in encoded.items()}
    parts = [{name: one.mask & (own[name] == slot) for name, one in encoded.items()} for slot in range(slots)]
    return torch.stack(_contributions(encoded, parts, values, nothing, chosen), -1)


def shares(contributions: Mapping[str, Tensor], modalities: Sequence[str]) -> Tensor:
    """Return each modality's share, float32 [B, M]: |contribution| / sum of |contributions|; zeros if all are 0."""
    some = next(iter(contributions.values()))
    sizes = torch.stack([contributions[name].abs() if name in contributions else some * 0 for name in modalities], -1)
    return sizes / sizes.sum(-1, keepdim=True).clamp(min=1e-9)


def _contributions(
    encoded: Mapping[str, Encoded], parts: Sequence[Part], values: Values, nothing: Tensor, chosen: Tensor
) -> list[Tensor]:
    """Return the contribution of each part, float32 [B]."""
    players = range(len(parts))
    subsets = [subset for size in range(1, len(parts) + 1) for subset in combinations(players, size)]
    members = torch.tensor(
        [[player in subset for player in players] for subset in subsets], device=nothing.device
    )  # [S, P]
    masked = {
        name: _mask_parts(one, torch.stack([part[name] for part in parts]), members) for name, one in encoded.items()
    }
    all_values = values(masked).float()  # [S·B, K]
    present = torch.stack([one.present for one in masked.values()]).any(0)  # [S·B]
    all_values = torch.where(present.unsqueeze(-1), all_values, nothing)
    picked = all_values.gather(1, chosen.repeat(len(subsets)).unsqueeze(-1)).view(len(subsets), -1)
    subset_values = torch.cat([nothing[chosen].float().unsqueeze(0), picked])  # [1 + S, B]
    return [_contribution(player, ((), *subsets), subset_values) for player in players]


def _contribution(player: int, subsets: Sequence[tuple[int, ...]], subset_values: Tensor) -> Tensor:
    """Return the mean of what a part adds to each subset without it, [B], weighted by how often the subset precedes it.

    The differences are computed before summing, so a part that changes nothing contributes exactly 0.
    """
    without = [subset for subset in subsets if player not in subset]
    joined_by = [subsets.index(tuple(sorted((*subset, player)))) for subset in without]
    others = len(subsets).bit_length() - 2
    weights = [factorial(len(one)) * factorial(others - len(one)) / factorial(others + 1) for one in without]
    added = subset_values[joined_by] - subset_values[[subsets.index(one) for one in without]]  # [S / 2, B]
    return (torch.tensor(weights, device=subset_values.device).unsqueeze(-1) * added).sum(0)


def _mask_parts(encoded: Encoded, parts: Tensor, members: Tensor) -> Encoded:
    """Return the tokens once per subset, [S·B, N, D], with everything masked that is not in the subset.

    Args:
        encoded: tokens [B, N, D].
        parts: the tokens of each part, bool [P, B, N].
        members: the parts of each subset, bool [S, P].
    """
    copies = members.shape[0]
    mask = (members[:, :, None, None] & parts).any(1).flatten(0, 1)  # [S, P, B, N] to [S·B, N]
    # The tokens already contain their times, but some fusions read the times as well.
    times = None if encoded.times is None else encoded.times.repeat(copies, 1)
    return Encoded(encoded.tokens.repeat(copies, 1, 1), mask, times)


def _slots(encoded: Encoded, slots: int) -> Tensor:
    """Return the index of the time slice in which each token starts, int64 [B, N]."""
    if encoded.times is None:
        raise ValueError("times: expected tokens with times, got None")
    return (encoded.times * slots).long().clamp(0, slots - 1)
