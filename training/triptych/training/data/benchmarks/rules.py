"""The rules of a generated benchmark: independent random factors, and what each modality shows of them. Pure.

Examples are drawn from the same definition that `ceilings.py` enumerates, so the ceilings are exact for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import lcm, prod
from random import Random


@dataclass(frozen=True, slots=True)
class Factor:
    """One independent random factor.

    Attributes:
        name: key of its value in `Rules.show`.
        weights: probabilities of its values 0, 1, …; they sum to 1.
        symmetric: whether the ceilings are equal for all values, so that enumeration needs only one.
    """

    name: str
    weights: tuple[Fraction, ...]
    symmetric: bool = False

    def __post_init__(self) -> None:
        if sum(self.weights) != 1:
            raise ValueError(f"factor {self.name}: expected weights that sum to 1, got {sum(self.weights)}")


@dataclass(frozen=True, slots=True)
class RenderedFactors:
    """What one outcome of the factors shows.

    Attributes:
        target: the true label.
        parts: values of the components by name, see `Rules.parts`.
    """

    target: int
    parts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Rules:
    """Define a benchmark.

    Attributes:
        name: name of the benchmark.
        labels: names of the target's values.
        parts: names of each component's values. A component named `MODALITY/WHAT` or `MODALITY/WHAT/N` (the Nth frame)
            is visible in that modality; one without a slash is not visible in the window.
        factors: the random factors.
        show: returns the outcome for a value of each factor.
    """

    name: str
    labels: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]
    factors: tuple[Factor, ...]
    show: Callable[[Mapping[str, int]], RenderedFactors]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Return the modalities with visible components, in the order of `parts`."""
        return tuple(dict.fromkeys(modality_of(part) for part in self.parts if "/" in part))

    def draw(self, rng: Random) -> RenderedFactors:
        """Return a random outcome."""
        return self.show({factor.name: _pick(factor.weights, rng) for factor in self.factors})

    def outcomes(self) -> Iterator[tuple[int, RenderedFactors]]:
        """Yield every outcome with its integer weight. A symmetric factor contributes only its first value."""
        names = [factor.name for factor in self.factors]
        for choice in product(*(_weighted_values(factor) for factor in self.factors)):
            values = dict(zip(names, (value for value, _ in choice), strict=True))
            yield prod(weight for _, weight in choice), self.show(values)


def modality_of(part: str) -> str:
    """Return the modality of a component."""
    return part.partition("/")[0]


def uniform(count: int) -> tuple[Fraction, ...]:
    """Return the weights of equally likely values."""
    return (Fraction(1, count),) * count


def _weighted_values(factor: Factor) -> Sequence[tuple[int, int]]:
    """Return the values with integer weights, because enumeration with fractions takes ten times as long."""
    if factor.symmetric:
        return [(0, 1)]
    whole = lcm(*(weight.denominator for weight in factor.weights))
    return [(value, int(weight * whole)) for value, weight in enumerate(factor.weights)]


def _pick(weights: Sequence[Fraction], rng: Random) -> int:
    point = rng.random()
    for value, weight in enumerate(weights):
        point -= weight.numerator / weight.denominator
        if point < 0:
            return value
    return len(weights) - 1
