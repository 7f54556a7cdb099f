"""Ceilings: exact Bayes accuracies for each subset of modalities, by enumeration. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from triptych.training.data.benchmarks.rules import Rules, modality_of

Subset = tuple[str, ...]
"""Some modalities, in the order of `MODALITIES`."""


def subsets(modalities: Sequence[str]) -> Iterator[Subset]:
    """Yield all non-empty subsets, smallest first."""
    for size in range(1, len(modalities) + 1):
        yield from combinations(modalities, size)


def bayes_ceilings(rules: Rules) -> dict[Subset, Fraction]:
    """Return the maximum expected accuracy for each subset of modalities. The empty subset gives the majority class.

    The best decision for given observations is the most probable label among the outcomes that agree with them.
    """
    parts = [part for part in rules.parts if "/" in part]
    table = np.array([
        (weight, shown.target, *(shown.parts[part] for part in parts)) for weight, shown in rules.outcomes()
    ])  # fmt: skip
    weights, targets, shown = table[:, 0], table[:, 1], table[:, 2:]
    ceilings: dict[Subset, Fraction] = {}
    for subset in ((), *subsets(rules.modalities)):
        columns = [place for place, part in enumerate(parts) if modality_of(part) in subset]
        seen = _numbered(shown[:, columns])
        by_label = np.zeros((seen.max() + 1, len(rules.labels)), np.int64)
        np.add.at(by_label, (seen, targets), weights)
        ceilings[subset] = Fraction(int(by_label.max(axis=1).sum()), int(weights.sum()))
    return ceilings


def _numbered(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number for each row [R, C], equal for equal rows: int64 [R]."""
    key = np.zeros(len(rows), np.int64)
    for column in rows.T:
        key = np.unique(key * (column.max() + 1) + column, return_inverse=True)[1]
    return key
