"""The exact ceilings agree with the published values and with generated examples."""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction
from functools import cache
from itertools import combinations
from math import sqrt
from random import Random

import pytest

from triptych.training.data.benchmarks.ceilings import Subset, bayes_ceilings, subsets
from triptych.training.data.benchmarks.rules import Factor, RenderedFactors, Rules, modality_of, uniform
from triptych.training.data.benchmarks.tasks import RULES

PUBLISHED = {
    "sentiment": (0.556, 0.630, 1.0),
    "sentiment-pair": (0.556, 1.0, 1.0),
    "quorum": (0.600, 0.600, 0.733),
    "refer": (0.213, 0.385, 1.0),
    "decider": (0.400, 0.700, 1.0),
}
"""One modality, the best pair, all. Those of `refer` come from a simulation: exact are .2142 and .3835."""


@pytest.fixture(scope="module", params=RULES)
def name(request: pytest.FixtureRequest) -> str:
    """Each benchmark."""
    return str(request.param)


@pytest.fixture(scope="module")
def ceilings(name: str) -> dict[Subset, Fraction]:
    """Its ceilings."""
    return _ceilings(name)


def test_ceilings_match_the_published_values(name: str, ceilings: dict[Subset, Fraction]) -> None:
    """The best single modality, the best pair and all three."""
    best = [max(float(ceilings[subset]) for subset in ceilings if len(subset) == size) for size in (1, 2)]
    assert [*best, float(ceilings[RULES[name].modalities])] == pytest.approx(PUBLISHED[name], abs=0.002)


def test_ceilings_never_fall_with_more_modalities(ceilings: dict[Subset, Fraction]) -> None:
    """A ceiling is at least that of each smaller subset."""
    for subset, ceiling in ceilings.items():
        for fewer in combinations(subset, max(0, len(subset) - 1)):
            assert ceiling >= ceilings[fewer]


def test_ceilings_of_refer_are_exact() -> None:
    """As fractions that were counted by hand."""
    found = _ceilings("refer")
    assert found["video",] == Fraction(257, 1_200)
    assert found["video", "text"] == Fraction(767, 2_000)
    assert found["video", "audio"] == Fraction(1, 3)
    assert found["audio", "text"] == Fraction(1, 10)


def test_the_bayes_decision_reaches_the_ceiling_on_examples() -> None:
    """Examples and enumeration have the same distribution."""
    rules = RULES["quorum"]
    draws = [rules.draw(Random(f"draw {number}")) for number in range(6_000)]
    for subset, ceiling in _ceilings("quorum").items():
        if subset:
            right = sum(_best_guess(rules, subset, shown) == shown.target for shown in draws) / len(draws)
            assert right == pytest.approx(float(ceiling), abs=3 * sqrt(0.25 / len(draws)))


def test_examples_have_the_enumerated_distribution_of_targets(name: str) -> None:
    """The marginal distribution of the target."""
    rules = RULES[name]
    counts = Counter(rules.draw(Random(f"{name} {number}")).target for number in range(3_000))
    likely: dict[int, int] = defaultdict(int)
    if name == "refer":
        likely = dict.fromkeys(range(10), 1)
    else:
        for weight, shown in rules.outcomes():
            likely[shown.target] += weight
    for target, weight in likely.items():
        assert counts[target] / 3_000 == pytest.approx(weight / sum(likely.values()), abs=0.03)


def test_subsets_come_smallest_first() -> None:
    """All but the empty one."""
    assert list(subsets(("video", "text"))) == [("video",), ("text",), ("video", "text")]


def test_invisible_components_do_not_raise_ceilings() -> None:
    """A component without a slash is ground truth and cannot be observed."""
    rules = Rules(
        "coin", ("head", "tail"), {"secret": ("head", "tail"), "video/side": ("head", "tail")},
        (Factor("side", uniform(2)),),
        lambda values: RenderedFactors(values["side"], {"secret": values["side"], "video/side": 0}),
    )  # fmt: skip
    assert rules.modalities == ("video",)
    assert bayes_ceilings(rules) == {(): Fraction(1, 2), ("video",): Fraction(1, 2)}


def test_weights_that_do_not_sum_to_one_are_rejected() -> None:
    """A mistake in the rules must not become a wrong ceiling."""
    with pytest.raises(ValueError, match="sum to 1"):
        Factor("side", (Fraction(1, 2), Fraction(1, 3)))


@cache
def _ceilings(name: str) -> dict[Subset, Fraction]:
    """Enumerate once: `refer` has 120,000 outcomes."""
    return bayes_ceilings(RULES[name])


def _best_guess(rules: Rules, subset: Subset, shown: RenderedFactors) -> int:
    """Vote, which is the Bayes decision for equally reliable witnesses: the most frequent digit; any on a tie."""
    named = Counter(value for part, value in shown.parts.items() if modality_of(part) in subset)
    assert set(shown.parts) == set(rules.parts)
    return named.most_common(1)[0][0]
