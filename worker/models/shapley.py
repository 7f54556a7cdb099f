"""What each part of a window contributed to an answer: exact Shapley values over all subsets of the parts.

Parts are the modalities, or stretches of time. The encoders ran once; only the fusion runs again for each subset, all
subsets in one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from math import factorial

import torch
from torch import Tensor

from triptych.worker.models.interfaces import Encoded

Values = Callable[[Mapping[str, Encoded]], Tensor]
"""What is to be explained of each row, [R, K], of what is left of the modalities."""

Part = Mapping[str, Tensor]
"""The tokens that a part is made of, bool [B, N] by modality. No token is in two parts, every token is in one."""


def shapley_values(
    encoded: Mapping[str, Encoded], values: Values, nothing: Tensor, chosen: Tensor
) -> dict[str, Tensor]:
    """Return the contribution of each modality to the chosen value of each row, [B] by modality.

    They add up to the value of all modalities less that of none. A modality that a row lacks contributes nothing.

    Args:
        encoded: the tokens.
        values: computes the value of every column.
        nothing: [K], the values of a window of which nothing is known.
        chosen: [B], the column that is to be explained.
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
    """Return the contribution of each of so many equal stretches of the window, [B, slots].

    A stretch is made of the tokens of all modalities that begin in it. The contributions add up to the value of the
    whole window less that of nothing; a stretch in which nothing begins contributes nothing.

    Args:
        encoded: the tokens, all with their times.
        values: as for `shapley_values`.
        nothing: likewise.
        chosen: likewise.
        slots: the fusion runs 2^slots - 1 times.
    """
    own = {name: _slots(one, slots) for name, one in encoded.items()}
    parts = [{name: one.mask & (own[name] == slot) for name, one in encoded.items()} for slot in range(slots)]
    return torch.stack(_contributions(encoded, parts, values, nothing, chosen), -1)


def shares(contributions: Mapping[str, Tensor], modalities: Sequence[str]) -> Tensor:
    """Return [B, M]: |contribution| over the sum of all; zeros where nothing contributed."""
    some = next(iter(contributions.values()))
    sizes = torch.stack([contributions[name].abs() if name in contributions else some * 0 for name in modalities], -1)
    return sizes / sizes.sum(-1, keepdim=True).clamp(min=1e-9)


def _contributions(
    encoded: Mapping[str, Encoded], parts: Sequence[Part], values: Values, nothing: Tensor, chosen: Tensor
) -> list[Tensor]:
    """Return the contribution of each part, [B]."""
    players = range(len(parts))
    subsets = [subset for size in range(1, len(parts) + 1) for subset in combinations(players, size)]
    left = {
        name: _left(one, [[parts[player][name] for player in own] for own in subsets]) for name, one in encoded.items()
    }
    all_values = values(left).float()  # [S·B, K]
    present = torch.stack([one.present for one in left.values()]).any(0)
    all_values = torch.where(present.unsqueeze(-1), all_values, nothing)
    picked = all_values.gather(1, chosen.repeat(len(subsets)).unsqueeze(-1)).view(len(subsets), -1)
    worth: dict[tuple[int, ...], Tensor] = {(): nothing[chosen], **dict(zip(subsets, picked, strict=True))}
    return [_contribution(player, players, worth) for player in players]


def _contribution(player: int, players: Sequence[int], worth: Mapping[tuple[int, ...], Tensor]) -> Tensor:
    others = [other for other in players if other != player]
    total = torch.zeros_like(worth[()])
    for size in range(len(players)):
        weight = factorial(size) * factorial(len(players) - size - 1) / factorial(len(players))
        for subset in combinations(others, size):
            total = total + weight * (worth[tuple(sorted((*subset, player)))] - worth[subset])
    return total


def _left(encoded: Encoded, subsets: Sequence[Sequence[Tensor]]) -> Encoded:
    """Return the tokens once for each subset, [S·B, N, D], with what its parts leave of the mask."""
    times = len(subsets)
    mask = torch.cat([torch.stack(list(kept)).any(0) for kept in subsets])
    # Times are in the tokens already, but a fusion may read them once more.
    when = None if encoded.times is None else encoded.times.repeat(times, 1)
    return Encoded(encoded.tokens.repeat(times, 1, 1), mask, when)


def _slots(encoded: Encoded, slots: int) -> Tensor:
    if encoded.times is None:
        raise ValueError("times: expected tokens that have their times, got none")
    return (encoded.times * slots).long().clamp(0, slots - 1)
