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

from triptych.models.network.parts import Encoded

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
    own = torch.tensor([[player in subset for player in players] for subset in subsets], device=nothing.device)
    left = {name: _left(one, torch.stack([part[name] for part in parts]), own) for name, one in encoded.items()}
    all_values = values(left).float()  # [S·B, K]
    present = torch.stack([one.present for one in left.values()]).any(0)
    all_values = torch.where(present.unsqueeze(-1), all_values, nothing)
    picked = all_values.gather(1, chosen.repeat(len(subsets)).unsqueeze(-1)).view(len(subsets), -1)
    worth = torch.cat([nothing[chosen].float().unsqueeze(0), picked])  # [1 + S, B]
    return [_contribution(player, ((), *subsets), worth) for player in players]


def _contribution(player: int, subsets: Sequence[tuple[int, ...]], worth: Tensor) -> Tensor:
    """Return what a player adds to each subset without him, [B], weighed by how often just these come before him.

    Subtracted one from one: who changes nothing contributes 0, and not what is left of rounding.
    """
    without = [subset for subset in subsets if player not in subset]
    joined_by = [subsets.index(tuple(sorted((*subset, player)))) for subset in without]
    others = len(subsets).bit_length() - 2
    weights = [factorial(len(own)) * factorial(others - len(own)) / factorial(others + 1) for own in without]
    added = worth[joined_by] - worth[[subsets.index(own) for own in without]]  # [S / 2, B]
    return (torch.tensor(weights, device=worth.device).unsqueeze(-1) * added).sum(0)


def _left(encoded: Encoded, parts: Tensor, own: Tensor) -> Encoded:
    """Return the tokens once for each subset, [S·B, N, D], with what its parts leave of the mask.

    Args:
        encoded: [B, N, D].
        parts: which tokens each part is made of, bool [P, B, N].
        own: which parts each subset has, bool [S, P].
    """
    times = own.shape[0]
    mask = (own[:, :, None, None] & parts).any(1).flatten(0, 1)  # [S, P, B, N] to [S·B, N]
    # Times are in the tokens already, but a fusion may read them once more.
    when = None if encoded.times is None else encoded.times.repeat(times, 1)
    return Encoded(encoded.tokens.repeat(times, 1, 1), mask, when)


def _slots(encoded: Encoded, slots: int) -> Tensor:
    if encoded.times is None:
        raise ValueError("times: expected tokens that have their times, got none")
    return (encoded.times * slots).long().clamp(0, slots - 1)
