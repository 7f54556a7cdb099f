"""Metrics on examples that were computed by hand, and on distributions with a known truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from triptych.training.evaluation.calibration import calibration, softmax
from triptych.training.evaluation.classification import (
    classification,
    measured_error,
    paired_difference,
    standard_error,
    tagging,
    wilson_interval,
)
from triptych.training.evaluation.regression import regression
from triptych.training.evaluation.robustness import robustness
from triptych.training.fit_temperature import fit_temperature

TRUTH = np.array([0, 0, 0, 0, 1, 1, 2, 2])
NAMED = np.array([0, 0, 0, 1, 1, 0, 2, 2])


def test_classification_metrics_match_a_hand_count() -> None:
    """Of four cats three are found, of two dogs one, of two birds both."""
    found = classification(TRUTH, NAMED, ("cat", "dog", "bird"))
    assert found.confusion == ((3, 1, 0), (1, 1, 0), (0, 0, 2))
    assert found.accuracy == 0.75
    assert found.standard_error == pytest.approx((0.75 * 0.25 / 8) ** 0.5)
    assert found.balanced_accuracy == pytest.approx((0.75 + 0.5 + 1) / 3)
    assert [scores.precision for scores in found.by_class] == [0.75, 0.5, 1]
    assert [scores.recall for scores in found.by_class] == [0.75, 0.5, 1]
    assert found.f1_macro == pytest.approx((0.75 + 0.5 + 1) / 3)
    assert found.f1_weighted == pytest.approx((0.75 * 4 + 0.5 * 2 + 1 * 2) / 8)
    assert [scores.support for scores in found.by_class] == [4, 2, 2]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_that_a_few_examples_have_is_uncertain(share: float) -> None:
    """None right of four says little; of ten thousand, much."""
    assert standard_error(share, 4) == 0
    assert measured_error(share, 4) == pytest.approx((2 / 8 * 6 / 8 / 8) ** 0.5)
    assert measured_error(share, 10_000) < 2e-4


def test_a_label_without_examples_is_ignored() -> None:
    """It has no recall and is left out of the balanced accuracy."""
    found = classification(TRUTH, NAMED, ("cat", "dog", "bird", "fish"))
    assert found.balanced_accuracy == pytest.approx(0.75)
    assert found.by_class[3].support == 0


def test_sets_of_labels_are_compared_label_by_label() -> None:
    """`exact` needs the whole set."""
    truth = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 0]], bool)
    named = np.array([[1, 0, 0], [0, 0, 1], [1, 0, 1]], bool)
    found = tagging(truth, named, ("a", "b", "c"))
    assert found.exact == pytest.approx(1 / 3)
    assert found.f1_micro == pytest.approx(2 * 3 / (4 + 4))
    assert found.f1_macro == pytest.approx((1 + 0 + 2 / 3) / 3)


def test_regression_metrics_match_a_hand_count() -> None:
    """Error, correlation, sign, and the nearest of seven classes."""
    truth = np.array([-2.0, -0.4, 0.0, 1.6, 3.0])
    predicted = np.array([-1.0, 0.2, 0.4, 2.0, 5.0])
    found = regression(truth, predicted)
    assert found.mae == pytest.approx((1 + 0.6 + 0.4 + 0.4 + 2) / 5)
    assert found.correlation == pytest.approx(np.corrcoef(truth, predicted)[0, 1])
    assert found.acc2 == pytest.approx(4 / 5)
    assert found.acc2_nonzero == pytest.approx(3 / 4)
    assert found.acc7 == pytest.approx(4 / 5)
    assert regression(truth, np.zeros(5)).correlation is None


def test_a_paired_difference_has_an_interval() -> None:
    """On a hundred examples, one model is right ten times more often."""
    better, worse = np.arange(100) < 80, np.arange(100) < 70
    found = paired_difference(better, worse)
    assert found.mean == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx((0.0372, 0.1589), abs=1e-3)


def test_models_that_agree_on_a_few_examples_may_still_differ() -> None:
    """The interval has a width, contains the difference, and stays within its bounds."""
    same = paired_difference(np.ones(12, bool), np.ones(12, bool))
    assert (same.mean, same.low, same.high) == pytest.approx((0, -0.140, 0.140), abs=1e-3)
    all_better = paired_difference(np.ones(12, bool), np.zeros(12, bool))
    assert all_better.low == pytest.approx(0.626, abs=1e-3)
    assert (all_better.mean, all_better.high) == (1, 1)


@pytest.mark.parametrize(("right", "count"), [(12, 12), (0, 12), (6, 12), (1, 1), (95, 100), (1_999, 2_000)])
def test_the_interval_of_a_share_is_wilsons(right: int, count: int) -> None:
    """It equals that of SciPy, and has a width where all examples are right."""
    expected = binomtest(right, count).proportion_ci(method="wilson")
    found = wilson_interval(right / count, count)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert found.low < found.high


def test_nothing_is_known_without_examples() -> None:
    """The share may be anything."""
    assert (wilson_interval(0, 0).low, wilson_interval(0, 0).high) == (0, 1)


def _drawn(count: int, sharpened: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels from known probabilities, and return overconfident logits. They are calibrated for a factor of 1."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 1.5, (count, 4))
    probabilities = softmax(logits)
    truth = (probabilities.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    return logits * sharpened, truth


def test_true_probabilities_have_no_calibration_error() -> None:
    """Part of the sampling bias is removed, and the interval contains 0."""
    logits, truth = _drawn(2_000, 1.0)
    found = calibration(softmax(logits), truth)
    assert found.ece < 0.02 < found.ece_counted
    assert found.low == 0
    assert found.high < 0.03
    assert sum(each.count for each in found.bins) == 2_000
    assert {each.count for each in found.bins} == {200}


def test_overconfidence_is_measured_and_corrected() -> None:
    """The logits are three times too large, so the temperature is three."""
    logits, truth = _drawn(4_000, 3.0)
    before = calibration(softmax(logits), truth)
    temperature = fit_temperature(torch.from_numpy(logits), torch.from_numpy(truth), "multiclass")
    after = calibration(softmax(logits, temperature), truth)
    assert before.ece > 0.1
    assert before.low < before.ece < before.high
    assert temperature == pytest.approx(3, rel=0.06)
    assert after.ece < 0.015


def test_robustness_is_an_area_and_a_gap() -> None:
    """A straight line from 1 to 0.5, and late fusion that starts lower and loses more."""
    curve = robustness("audio", (0.0, 0.5, 1.0), (1.0, 0.75, 0.5), (0.9, 0.5, 0.1))
    assert curve.relative == pytest.approx(0.75)
    assert curve.effective == pytest.approx((0 + 0.15) / 4 + (0.15 + 0.3) / 4)
