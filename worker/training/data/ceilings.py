"""The best that anybody can do who sees some of the modalities: exact Bayes accuracies, by enumeration. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations

from triptych.worker.training.data.rules import Rules, modality_of

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
    wanted: list[Subset] = [(), *subsets(rules.modalities)]
    seen_of = {subset: [part for part in rules.parts if modality_of(part) in subset] for subset in wanted}
    weights: dict[Subset, dict[tuple[int, ...], list[int]]] = {
        subset: defaultdict(lambda: [0] * len(rules.labels)) for subset in wanted
    }
    total = 0
    for weight, shown in rules.outcomes():
        total += weight
        for subset, parts in seen_of.items():
            weights[subset][tuple([shown.parts[part] for part in parts])][shown.target] += weight
    return {subset: Fraction(sum(map(max, table.values())), total) for subset, table in weights.items()}
