"""Measures of a ranking of moments, with intervals. Pure.

A found moment earns the gain of its best window, the one whose evidence is shown. Each true moment counts once: a
second find of it earns nothing. nDCG is the discounted cumulated gain of Järvelin and Kekäläinen (2002, "Cumulated
gain-based evaluation of IR techniques", ACM TOIS 20(4)), with the linear gains 0, 1 and 2 and the discount
1 / log2(1 + rank) of later work, divided by that of the best possible ranking.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

DEPTH: Final = 10
FULL_GAIN: Final = 2
_RESAMPLES: Final = 2_000

Window = tuple[str, int]
"""A window: its stream and its number."""


@dataclass(frozen=True, slots=True)
class TrueMoment:
    """Windows of a stream that answer a query and follow one another; a gap of one window is bridged.

    Attributes:
        windows: gain of each window that has one.
    """

    windows: Mapping[Window, int]

    @property
    def gain(self) -> int:
        """The gain of its best window."""
        return max(self.windows.values())


@dataclass(frozen=True, slots=True)
class RankingMeasures:
    """How good one ranking is.

    Attributes:
        recall: moments with the full gain among the first ten, divided by their number, or by ten if there are more.
        ndcg: normalised discounted cumulated gain of the first ten.
        reciprocal_rank: 1 / rank of the first window with the full gain; 0 if none is among the first ten.
    """

    recall: float
    ndcg: float
    reciprocal_rank: float


def true_moments(gains: Mapping[Window, int]) -> list[TrueMoment]:
    """Join the windows with a gain to moments."""
    groups: list[dict[Window, int]] = []
    last: Window | None = None
    for window in sorted(window for window, gain in gains.items() if gain):
        if last is None or window[0] != last[0] or window[1] > last[1] + 2:
            groups.append({})
        groups[-1][window] = gains[window]
        last = window
    return [TrueMoment(group) for group in groups]


def measure_ranking(found: Sequence[Window], moments: Sequence[TrueMoment]) -> RankingMeasures:
    """Measure a ranking.

    Args:
        found: best window of each moment that was found, best first.
        moments: all true moments.

    Raises:
        ValueError: no true moment has the full gain, so nothing can be measured.
    """
    full = sum(moment.gain == FULL_GAIN for moment in moments)
    if not full:
        raise ValueError("expected a moment with the full gain, got none: this query cannot be measured")
    gains = _earned(found[:DEPTH], moments)
    best = sorted((moment.gain for moment in moments), reverse=True)[:DEPTH]
    hits = [rank for rank, gain in enumerate(gains, 1) if gain == FULL_GAIN]
    return RankingMeasures(len(hits) / min(DEPTH, full), _dcg(gains) / _dcg(best), 1 / hits[0] if hits else 0.0)


def _earned(found: Sequence[Window], moments: Sequence[TrueMoment]) -> list[int]:
    left = list(moments)
    gains = []
    for window in found:
        hit = next((moment for moment in left if window in moment.windows), None)
        gains.append(0 if hit is None else hit.windows[window])
        if hit is not None:
            left.remove(hit)
    return gains


def _dcg(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(1 + rank) for rank, gain in enumerate(gains, 1))


def bootstrap_interval(groups: Sequence[Sequence[float]], seed: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean of all values (percentile bootstrap), with whole groups resampled.

    Queries about one thing in two languages are a group: they are not independent.
    """
    sums, sizes = (np.asarray([f(group) for group in groups], np.float64) for f in (sum, len))
    drawn = np.random.default_rng(seed).integers(len(groups), size=(_RESAMPLES, len(groups)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
