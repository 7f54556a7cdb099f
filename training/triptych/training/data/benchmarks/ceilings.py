"""The best that anybody can do who sees some of the modalities: exact Bayes accuracies, by enumeration. Pure."""

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
    """Yield every subset but the empty one, smallest first."""
    for size in range(1, len(modalities) + 1):
        yield from combinations(modalities, size)


def bayes_ceilings(rules: Rules) -> dict[Subset, Fraction]:
    """Return the greatest expected accuracy for each subset of the modalities; of the empty one, by naming a majority.

    Whoever sees a subset does best to name, of the labels that agree with what they see, the most likely.
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
    """Return a number for each row, the same for equal ones."""
    key = np.zeros(len(rows), np.int64)
    for column in rows.T:
        key = np.unique(key * (column.max() + 1) + column, return_inverse=True)[1]
    return key
