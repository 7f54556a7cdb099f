"""How two models differ on a window."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.serving.models import saying
from triptych.models.prediction import HeadScore, PredictedLabel, WindowPrediction
from triptych.worker.serving.comparison import HeadDifference, differences, total_variation

scores = st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1))


def test_another_best_label_differs_and_the_distance_is_total_variation() -> None:
    """Of 0.9 and 0.1 against 0.4 and 0.6, half a window's weight is elsewhere."""
    (difference,) = differences(saying(0.9), saying(0.4))
    assert difference.differs
    assert difference.distance == pytest.approx(0.5)
    assert differences(saying(0.9), saying(0.9)) == (HeadDifference("mood", differs=False, distance=0),)


def test_only_heads_that_both_have_are_compared() -> None:
    """A number has no labels; what only one of them says is no difference."""
    number = WindowPrediction(predictions={"score": (HeadScore("score", 3.5, None),)})
    assert differences(number, number) == ()
    assert differences(saying(0.5), number) == ()
    assert differences(saying(0.5), WindowPrediction()) == ()


def test_observed_labels_are_compared_too() -> None:
    """The labels of pictures and of sound count as heads."""
    one = WindowPrediction(visual=(PredictedLabel("dog", 0.6), PredictedLabel("cat", 0.2)))
    other = WindowPrediction(visual=(PredictedLabel("cat", 0.6),))
    (difference,) = differences(one, other)
    assert (difference.head, difference.differs) == ("observations.visual", True)
    assert difference.distance == pytest.approx(0.5)


@given(scores, scores)
def test_the_distance_is_one_of_numbers_between_0_and_1(one: dict[str, float], other: dict[str, float]) -> None:
    """Symmetric, 0 for the same, for scores that sum to more than 1 as well."""
    distance = total_variation(one, other)
    assert 0 <= distance <= 1
    assert math.isclose(distance, total_variation(other, one))
    assert total_variation(one, one) == 0
