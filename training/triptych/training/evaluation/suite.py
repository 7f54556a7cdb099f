"""The evaluation of a model: subsets of modalities, calibration, noise, leak tests and further test splits."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from triptych.models.window import PreparedWindow
from triptych.training.data.benchmarks.ceilings import Subset, bayes_ceilings, subsets
from triptych.training.data.benchmarks.rules import Rules
from triptych.training.data.example import MODALITIES, Dataset
from triptych.training.data.pools.cache import TrackProgress, no_progress
from triptych.training.evaluation.calibration import Calibration, calibration, softmax
from triptych.training.evaluation.classification import (
    AccuracyDifference,
    Classification,
    ShareInterval,
    Tagging,
    classification,
    measured_error,
    paired_difference,
    standard_error,
    tagging,
    wilson_interval,
)
from triptych.training.evaluation.perturbation import LEVELS, keep_only, shuffle_modalities, with_noise
from triptych.training.evaluation.predictions import Numbers, Predict, Predictions, View, predict_views
from triptych.training.evaluation.regression import Regression, regression
from triptych.training.evaluation.robustness import NoiseCurve, robustness

Scores = Classification | Tagging | Regression

LEAK_ERRORS: Final = 3.0
"""Number of standard errors by which an accuracy may exceed its ceiling by chance."""


@dataclass(frozen=True, slots=True)
class EvaluationSize:
    """Maximum number of examples: of the main test, and of each test of noise, shuffling and further splits."""

    examples: int = 2_000
    examples_aside: int = 512
    seed: int = 0


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """A model to evaluate.

    Attributes:
        predict: runs the model on windows.
        reads: modalities that it reads.
        temperature: divides its logits to get confidences, as when it is served.
    """

    predict: Predict
    reads: tuple[str, ...] = MODALITIES
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class SubsetScores:
    """Scores with only some modalities present. `ceiling` is the Bayes accuracy for these modalities, if known."""

    modalities: Subset
    scores: Scores
    ceiling: float | None


@dataclass(frozen=True, slots=True)
class ShuffleTest:
    """Accuracy for the label of one modality's example when the other modalities come from other examples.

    Without a leak it cannot exceed what the modality alone allows. `limit` is that modality's ceiling if it is known,
    else the model's own accuracy with it. `standard_error` is of `limit`, `interval` of `accuracy`.
    """

    anchor: str
    accuracy: float
    standard_error: float
    limit: float
    count: int
    interval: ShareInterval

    @property
    def passed(self) -> bool:
        """Return whether the accuracy stays below the limit, within sampling error."""
        return self.accuracy <= self.limit + LEAK_ERRORS * self.standard_error


@dataclass(frozen=True, slots=True)
class ConfidenceCalibration:
    """Calibration at a temperature of 1 and at the model's own temperature."""

    temperature: float
    before: Calibration
    after: Calibration


@dataclass(frozen=True, slots=True)
class FurtherTest:
    """Accuracy on a further test split, with components of a kind that training does not have."""

    split: str
    count: int
    accuracy: float
    standard_error: float
    interval: ShareInterval


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All results. What does not apply to the kind of task is None or empty.

    `advantage` is the accuracy of all modalities minus that of the best single modality, on the same examples.
    """

    data: str
    split: str
    labels: tuple[str, ...]
    fused: Scores
    by_subset: tuple[SubsetScores, ...]
    best_single: SubsetScores
    advantage: AccuracyDifference | None = None
    confidence: ConfidenceCalibration | None = None
    noise: tuple[NoiseCurve, ...] = ()
    shuffled: tuple[ShuffleTest, ...] = ()
    elsewhere: tuple[FurtherTest, ...] = ()

    @property
    def leaks(self) -> tuple[SubsetScores, ...]:
        """Return the subsets that exceed their ceiling. If there are any, information leaks into the inputs."""
        return tuple(
            result
            for result in self.by_subset
            if isinstance(result.scores, Classification)
            and result.ceiling is not None
            and result.scores.accuracy
            > result.ceiling + LEAK_ERRORS * standard_error(result.ceiling, result.scores.count)
        )


def evaluate(
    dataset: Dataset, model: EvaluatedModel, *, split: str = "test", size: EvaluationSize | None = None,
    rules: Rules | None = None, track: TrackProgress[Any] = no_progress,
) -> Evaluation:  # fmt: skip
    """Evaluate a model on a data set.

    Args:
        dataset: the data set.
        model: the model.
        split: split to evaluate on.
        size: maximum number of examples.
        rules: rules of a generated benchmark, for the ceilings.
        track: shows progress.
    """
    size = size or EvaluationSize()
    runner = _SuiteRunner(dataset, model, size, track)
    present = tuple(modality for modality in _present_modalities(dataset, split) if modality in model.reads)
    views: dict[Hashable, View] = {subset: partial(_keep_only, modalities=subset) for subset in subsets(present)}
    predictions = runner.predict(split, views, size.examples)
    ceilings = {} if rules is None else {subset: float(ceiling) for subset, ceiling in bayes_ceilings(rules).items()}
    by_subset = tuple(
        SubsetScores(subset, _scores(dataset, predictions, subset), ceilings.get(subset)) for subset in subsets(present)
    )
    best_single = max(
        (result for result in by_subset if len(result.modalities) == 1), key=lambda result: quality(result.scores)
    )
    fused = next(result.scores for result in by_subset if result.modalities == present)
    found = Evaluation(dataset.task.name, split, dataset.task.labels, fused, by_subset, best_single)
    return _with_multiclass_results(found, runner, predictions) if dataset.task.kind == "multiclass" else found


def quality(scores: Scores) -> float:
    """Return the score that models are compared by. Greater is better."""
    match scores:
        case Classification():
            return scores.accuracy
        case Tagging():
            return scores.f1_macro
        case Regression():
            return -scores.mae


class _SuiteRunner:
    """Runs one model on one data set."""

    def __init__(
        self, dataset: Dataset, model: EvaluatedModel, size: EvaluationSize, track: TrackProgress[Any]
    ) -> None:
        self.dataset, self.model, self.size = dataset, model, size
        self._track = track

    def predict(self, split: str, views: Mapping[Hashable, View], limit: int) -> Predictions:
        return predict_views(
            self.dataset, split, self.model.predict, views, limit=limit, seed=self.size.seed, track=self._track
        )


def _with_multiclass_results(found: Evaluation, runner: _SuiteRunner, predictions: Predictions) -> Evaluation:
    """Add the results that only a multiclass task has."""
    full = found.by_subset[-1].modalities
    limits = {result.modalities[0]: result for result in found.by_subset if len(result.modalities) == 1}
    return Evaluation(
        found.data, found.split, found.labels, found.fused, found.by_subset, found.best_single,
        advantage=_advantage(predictions, full, found.best_single.modalities),
        confidence=_confidence(predictions, full, runner.model.temperature),
        noise=_noise(runner, found.split, full),
        shuffled=_shuffled(runner, found.split, limits) if len(full) > 1 else (),
        elsewhere=_further_tests(runner, found.split, full),
    )  # fmt: skip


def _scores(dataset: Dataset, predictions: Predictions, view: Hashable) -> Scores:
    task, view_outputs = dataset.task, predictions.by_view[view]
    if task.kind == "multiclass":
        return classification(predictions.truth(view), view_outputs.outputs.argmax(axis=1), task.labels)
    targets = [predictions.targets[row] for row in view_outputs.rows]
    if task.kind == "regression":
        return regression(np.array(targets, np.float64), view_outputs.outputs.reshape(-1))
    truth = np.zeros(view_outputs.outputs.shape, bool)
    for row, target in enumerate(targets):
        truth[row, list(target)] = True
    return tagging(truth, view_outputs.outputs > 0, task.labels)


def _advantage(predictions: Predictions, full: Subset, single: Subset) -> AccuracyDifference | None:
    """Compare on the examples that have both subsets. None with a single modality."""
    if full == single:
        return None
    right = {view: _is_correct(predictions, view) for view in (full, single)}
    both, at_full, at_single = np.intersect1d(
        predictions.by_view[full].rows, predictions.by_view[single].rows, return_indices=True
    )
    return paired_difference(right[full][at_full], right[single][at_single]) if len(both) else None


def _confidence(predictions: Predictions, full: Subset, temperature: float) -> ConfidenceCalibration:
    outputs, truth = predictions.by_view[full].outputs, predictions.truth(full)
    before, after = (calibration(softmax(outputs, each), truth) for each in (1.0, temperature))
    return ConfidenceCalibration(temperature, before, after)


def _noise(runner: _SuiteRunner, split: str, full: Subset) -> tuple[NoiseCurve, ...]:
    views: dict[Hashable, View] = {
        ("alone", modality): partial(_keep_only, modalities=(modality,)) for modality in full
    }
    for modality in full:
        for level in LEVELS:
            views["all", modality, level] = partial(_noisy, modality=modality, level=level, modalities=full)
            views["alone", modality, level] = partial(_noisy, modality=modality, level=level, modalities=(modality,))
    predictions = runner.predict(split, views, runner.size.examples_aside)
    return tuple(
        robustness(
            modality,
            LEVELS,
            [float(_is_correct(predictions, ("all", modality, level)).mean()) for level in LEVELS],
            [_late_accuracy(predictions, modality, level, full) for level in LEVELS],
        )
        for modality in full
    )


def _late_accuracy(predictions: Predictions, noisy: str, level: float, full: Subset) -> float:
    """Return the accuracy of late fusion: the sum of log-probabilities by modality, with noise in one of them."""
    total: Numbers = np.zeros((len(predictions.targets), predictions.by_view["all", noisy, level].outputs.shape[1]))
    for modality in full:
        view_outputs = predictions.by_view[("alone", modality, level) if modality == noisy else ("alone", modality)]
        total[view_outputs.rows] += np.log(np.maximum(softmax(view_outputs.outputs), 1e-12))
    return float((total.argmax(axis=1) == np.array(predictions.targets)).mean())


def _shuffled(runner: _SuiteRunner, split: str, alone: Mapping[str, SubsetScores]) -> tuple[ShuffleTest, ...]:
    views: dict[Hashable, View] = {anchor: partial(_shuffle, anchor=anchor) for anchor in alone}
    predictions = runner.predict(split, views, runner.size.examples_aside)
    found = []
    for anchor, result in alone.items():
        right = _is_correct(predictions, anchor)
        accuracy, count = float(right.mean()), len(right)
        if result.ceiling is not None:
            limit, error = result.ceiling, standard_error(result.ceiling, count)
        else:
            limit = quality(result.scores)
            error = measured_error(limit, count)
        found.append(ShuffleTest(anchor, accuracy, error, limit, count, wilson_interval(accuracy, count)))
    return tuple(found)


def _further_tests(runner: _SuiteRunner, split: str, full: Subset) -> tuple[FurtherTest, ...]:
    found = []
    for further in runner.dataset.splits:
        if further != split and further.startswith(f"{split}-"):
            right = _is_correct(runner.predict(further, {full: _as_is}, runner.size.examples_aside), full)
            accuracy, count = float(right.mean()), len(right)
            error, interval = standard_error(accuracy, count), wilson_interval(accuracy, count)
            found.append(FurtherTest(further, count, accuracy, error, interval))
    return tuple(found)


def _is_correct(predictions: Predictions, view: Hashable) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = predictions.by_view[view].outputs.argmax(axis=1) == predictions.truth(view)
    return right


def _present_modalities(dataset: Dataset, split: str) -> tuple[str, ...]:
    """Return the modalities that occur in the first examples."""
    windows = [each.window for each in dataset.examples(split, range(min(256, dataset.size(split))))]
    available = {
        "video": any(window.frames_hwc_u8 for window in windows),
        "audio": any(window.audio_present for window in windows),
        "text": any(window.cues for window in windows),
    }
    as_features = {modality for window in windows for modality, result in window.features.items() if len(result)}
    return tuple(modality for modality in MODALITIES if available[modality] or modality in as_features)


def _as_is(windows: list[PreparedWindow], _: Random) -> list[PreparedWindow]:
    return windows


def _keep_only(windows: list[PreparedWindow], _: Random, *, modalities: Sequence[str]) -> list[PreparedWindow]:
    return [keep_only(window, modalities) for window in windows]


def _noisy(
    windows: list[PreparedWindow], rng: Random, *, modality: str, level: float, modalities: Sequence[str]
) -> list[PreparedWindow]:
    return [with_noise(keep_only(window, modalities), modality, level, rng) for window in windows]


def _shuffle(windows: list[PreparedWindow], rng: Random, *, anchor: str) -> list[PreparedWindow]:
    return shuffle_modalities(windows, anchor, rng)
