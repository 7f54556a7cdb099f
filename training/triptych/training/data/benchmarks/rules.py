"""How a generated benchmark comes by its truth: independent factors, and what each modality shows of them. Pure.

One definition serves twice: examples are drawn from it, and `ceilings.py` enumerates it. So the exact ceilings hold for
the very examples that are drawn.
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
    """One independent thing that chance decides.

    Attributes:
        name: how `show` finds it.
        weights: how likely each of its values 0, 1, … is; they sum to 1.
        symmetric: whether the ceilings are the same for each of its values, so that enumeration takes one only.
    """

    name: str
    weights: tuple[Fraction, ...]
    symmetric: bool = False

    def __post_init__(self) -> None:
        if sum(self.weights) != 1:
            raise ValueError(f"factor {self.name}: expected weights that sum to 1, got {sum(self.weights)}")


@dataclass(frozen=True, slots=True)
class RenderedFactors:
    """What one outcome of the factors looks like.

    Attributes:
        target: the true label.
        parts: what can be seen, heard or read, by the part's name; see `Rules.parts`.
    """

    target: int
    parts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Rules:
    """Define a benchmark.

    Attributes:
        name: of the benchmark.
        labels: what the target's values mean.
        parts: what the values of each part mean, by the part's name. `MODALITY/WHAT` or `MODALITY/WHAT/N` (the Nth
            picture) is shown by that modality; a name without a slash is known to nobody who only sees the window.
        factors: what chance decides.
        show: what follows, from the value of each factor by its name.
    """

    name: str
    labels: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]
    factors: tuple[Factor, ...]
    show: Callable[[Mapping[str, int]], RenderedFactors]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Return the modalities that show anything, in the order of the parts."""
        return tuple(dict.fromkeys(modality_of(part) for part in self.parts if "/" in part))

    def draw(self, rng: Random) -> RenderedFactors:
        """Let chance decide."""
        return self.show({factor.name: _pick(factor.weights, rng) for factor in self.factors})

    def outcomes(self) -> Iterator[tuple[int, RenderedFactors]]:
        """Yield every outcome and its whole-numbered weight; of a symmetric factor only its first value."""
        names = [factor.name for factor in self.factors]
        for choice in product(*(_weighted_values(factor) for factor in self.factors)):
            values = dict(zip(names, (value for value, _ in choice), strict=True))
            yield prod(weight for _, weight in choice), self.show(values)


def modality_of(part: str) -> str:
    """Return the modality that shows a part."""
    return part.partition("/")[0]


def uniform(count: int) -> tuple[Fraction, ...]:
    """Return the weights of so many equally likely values."""
    return (Fraction(1, count),) * count


def _weighted_values(factor: Factor) -> Sequence[tuple[int, int]]:
    """Return the values with weights made whole: enumerating with fractions takes ten times as long."""
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
