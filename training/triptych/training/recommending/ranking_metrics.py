"""Measures of rankings, and bootstrap intervals of their means over users. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_TAIL: Final = 0.025
_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class MeanInterval:
    """A mean with the 95 % interval of a bootstrap over users, and the number of users."""

    mean: float
    low: float
    high: float
    users: int

    def __str__(self) -> str:
        """Return it as text."""
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


def ndcg_at(most: int, ranked: Sequence[int], relevant: Collection[int]) -> float:
    """Return the normalised discounted cumulative gain of the first items, each relevant or not (0 to 1)."""
    gain = sum(1 / np.log2(place + 2) for place, item in enumerate(ranked[:most]) if item in relevant)
    ideal = sum(1 / np.log2(place + 2) for place in range(min(most, len(relevant))))
    return float(gain / ideal) if ideal else 0.0


def recall_at(most: int, ranked: Sequence[int], relevant: Collection[int]) -> float:
    """Return the share of the relevant items that are among the first ones."""
    return sum(item in relevant for item in ranked[:most]) / len(relevant) if relevant else 0.0


def mean_interval(values: Sequence[float], resamples: int = 2_000) -> MeanInterval:
    """Return the mean of one number for each user. Of differences, it is a paired comparison."""
    array: NDArray[np.float64] = np.asarray(values, np.float64)
    rng = np.random.default_rng(_SEED)
    means = np.array([array[rng.integers(0, len(array), len(array))].mean() for _ in range(resamples)])
    low, high = np.quantile(means, [_TAIL, 1 - _TAIL])
    return MeanInterval(float(array.mean()), float(low), float(high), len(array))
