"""What each modality contributed to an answer: exact Shapley values over all subsets of the modalities that are there.

The encoders ran once; only the fusion runs again for each subset, all subsets in one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from math import factorial

import torch
from torch import Tensor

from triptych.worker.models.interfaces import Encoded
from triptych.worker.models.masked import keep_modalities

Values = Callable[[Mapping[str, Encoded]], Tensor]
"""What is to be explained of each row, [R, K], of what is left of the modalities."""


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
    subsets = [subset for size in range(1, len(names) + 1) for subset in combinations(names, size)]
    rows = chosen.shape[0]
    repeated = {name: _repeated(encoded[name], len(subsets)) for name in names}
    keep = {name: _kept(name, subsets, encoded[name].mask) for name in names}
    masked = keep_modalities(repeated, keep)
    all_values = values(masked).float()  # [S·B, K]
    present = torch.stack([one.present for one in masked.values()]).any(0)
    all_values = torch.where(present.unsqueeze(-1), all_values, nothing)
    picked = all_values.gather(1, chosen.repeat(len(subsets)).unsqueeze(-1)).view(len(subsets), rows)
    worth: dict[tuple[str, ...], Tensor] = {(): nothing[chosen], **dict(zip(subsets, picked, strict=True))}
    return {name: _contribution(name, names, worth) for name in names}


def shares(contributions: Mapping[str, Tensor], modalities: Sequence[str]) -> Tensor:
    """Return [B, M]: |contribution| over the sum of all; zeros where nothing contributed."""
    some = next(iter(contributions.values()))
    sizes = torch.stack([contributions[name].abs() if name in contributions else some * 0 for name in modalities], -1)
    return sizes / sizes.sum(-1, keepdim=True).clamp(min=1e-9)


def _contribution(name: str, names: Sequence[str], worth: Mapping[tuple[str, ...], Tensor]) -> Tensor:
    others = [other for other in names if other != name]
    total = torch.zeros_like(worth[()])
    for size in range(len(names)):
        weight = factorial(size) * factorial(len(names) - size - 1) / factorial(len(names))
        for subset in combinations(others, size):
            total = total + weight * (worth[tuple(sorted((*subset, name)))] - worth[subset])
    return total


def _repeated(encoded: Encoded, times: int) -> Encoded:
    # Times are in the tokens already, but a fusion may read them once more.
    when = None if encoded.times is None else encoded.times.repeat(times, 1)
    return Encoded(encoded.tokens.repeat(times, 1, 1), encoded.mask.repeat(times, 1), when)


def _kept(name: str, subsets: Sequence[tuple[str, ...]], mask: Tensor) -> Tensor:
    return torch.cat([mask.new_full(mask.shape[:1], name in subset) for subset in subsets])
