"""Comparing the predictions of two models."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.serving.models import prediction_of
from triptych.models.prediction import HeadScore, PredictedLabel, WindowPrediction
from triptych.worker.serving.comparison import HeadDifference, differences, total_variation

scores = st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1))


def test_heads_with_different_top_labels_differ_and_the_distance_is_total_variation() -> None:
    """The distance of (0.9, 0.1) and (0.4, 0.6) is 0.5."""
    (difference,) = differences(prediction_of(0.9), prediction_of(0.4))
    assert difference.differs
    assert difference.distance == pytest.approx(0.5)
    assert differences(prediction_of(0.9), prediction_of(0.9)) == (HeadDifference("mood", differs=False, distance=0),)


def test_only_heads_that_both_have_are_compared() -> None:
    """Regression heads have no labels, and a head that only one model has is not a difference."""
    number = WindowPrediction(predictions={"score": (HeadScore("score", 3.5, None),)})
    assert differences(number, number) == ()
    assert differences(prediction_of(0.5), number) == ()
    assert differences(prediction_of(0.5), WindowPrediction()) == ()


def test_observed_labels_are_compared_too() -> None:
    """The visual and the sound labels count as heads."""
    one = WindowPrediction(visual=(PredictedLabel("dog", 0.6), PredictedLabel("cat", 0.2)))
    other = WindowPrediction(visual=(PredictedLabel("cat", 0.6),))
    (difference,) = differences(one, other)
    assert (difference.head, difference.differs) == ("observations.visual", True)
    assert difference.distance == pytest.approx(0.5)


@given(scores, scores)
def test_the_distance_is_symmetric_and_between_0_and_1(one: dict[str, float], other: dict[str, float]) -> None:
    """It is 0 for equal scores, also for scores that sum to more than 1."""
    distance = total_variation(one, other)
    assert 0 <= distance <= 1
    assert math.isclose(distance, total_variation(other, one))
    assert total_variation(one, one) == 0
