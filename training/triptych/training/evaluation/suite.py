"""The evaluation: read this first. What is asked, and what is made of the answers."""

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
from triptych.training.data.pools.cache import Track, untracked
from triptych.training.evaluation.answers import Answers, Numbers, Predict, View, ask
from triptych.training.evaluation.calibration import Calibration, calibration, softmax
from triptych.training.evaluation.classification import (
    AccuracyDifference,
    Classification,
    Tagging,
    classification,
    paired_difference,
    standard_error,
    tagging,
)
from triptych.training.evaluation.regression import Regression, regression
from triptych.training.evaluation.robustness import Curve, robustness
from triptych.training.evaluation.windows import LEVELS, keep_only, paired_at_random, with_noise

Scores = Classification | Tagging | Regression

LEAK_ERRORS: Final = 3.0
"""By so many standard errors may an accuracy exceed its ceiling by chance."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is asked: examples of the test, and of each question about noise, shuffling and further tests."""

    examples: int = 2_000
    examples_aside: int = 512
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured.

    Attributes:
        predict: asks it.
        reads: the modalities that it reads.
        temperature: what its logits are divided by to make confidences, as it is served.
    """

    predict: Predict
    reads: tuple[str, ...] = MODALITIES
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class SubsetScores:
    """How good the model is when only some modalities come; `ceiling` is the best that anybody could be."""

    modalities: Subset
    scores: Scores
    ceiling: float | None


@dataclass(frozen=True, slots=True)
class Shuffled:
    """How often the model names the label of one modality's example when the others come from other examples.

    Nobody can do so more often than the modality alone allows: `limit`, its ceiling where that is known, else what the
    model itself reaches with it.
    """

    anchor: str
    accuracy: float
    standard_error: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether it is no better than it can honestly be."""
        return self.accuracy <= self.limit + LEAK_ERRORS * self.standard_error


@dataclass(frozen=True, slots=True)
class Confidence:
    """How well confidences are calibrated, at a temperature of 1 and at the model's own."""

    temperature: float
    before: Calibration
    after: Calibration


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A further test, of components of a kind never seen in training."""

    split: str
    count: int
    accuracy: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that was found. What does not apply to the kind of task is None or empty.

    `advantage` is by how much all modalities together are better than the best single one, on the same examples.
    """

    data: str
    split: str
    labels: tuple[str, ...]
    fused: Scores
    by_subset: tuple[SubsetScores, ...]
    best_single: SubsetScores
    advantage: AccuracyDifference | None = None
    confidence: Confidence | None = None
    noise: tuple[Curve, ...] = ()
    shuffled: tuple[Shuffled, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()

    @property
    def leaks(self) -> tuple[SubsetScores, ...]:
        """The subsets that are better than they can honestly be: where there are any, something is wrong."""
        return tuple(
            own
            for own in self.by_subset
            if isinstance(own.scores, Classification)
            and own.ceiling is not None
            and own.scores.accuracy > own.ceiling + LEAK_ERRORS * standard_error(own.ceiling, own.scores.count)
        )


def evaluate(
    dataset: Dataset, subject: Subject, *, split: str = "test", extent: Extent | None = None,
    rules: Rules | None = None, track: Track[Any] = untracked,
) -> Evaluation:  # fmt: skip
    """Measure a model on a data set; `rules` are a generated one's, and give the ceilings."""
    extent = extent or Extent()
    asker = _Asker(dataset, subject, extent, track)
    present = tuple(modality for modality in _present(dataset, split) if modality in subject.reads)
    views: dict[Hashable, View] = {subset: partial(_only, modalities=subset) for subset in subsets(present)}
    answers = asker.ask(split, views, extent.examples)
    ceilings = {} if rules is None else {subset: float(own) for subset, own in bayes_ceilings(rules).items()}
    by_subset = tuple(
        SubsetScores(subset, _scores(dataset, answers, subset), ceilings.get(subset)) for subset in subsets(present)
    )
    best_single = max((own for own in by_subset if len(own.modalities) == 1), key=lambda own: quality(own.scores))
    fused = next(own.scores for own in by_subset if own.modalities == present)
    found = Evaluation(dataset.task.name, split, dataset.task.labels, fused, by_subset, best_single)
    return _with_labels_alone(found, asker, answers) if dataset.task.kind == "multiclass" else found


def quality(scores: Scores) -> float:
    """Return the one number by which models are compared: greater is better."""
    match scores:
        case Classification():
            return scores.accuracy
        case Tagging():
            return scores.f1_macro
        case Regression():
            return -scores.mae


class _Asker:
    """Asks one model about one data set."""

    def __init__(self, dataset: Dataset, subject: Subject, extent: Extent, track: Track[Any]) -> None:
        self.dataset, self.subject, self.extent = dataset, subject, extent
        self._track = track

    def ask(self, split: str, views: Mapping[Hashable, View], limit: int) -> Answers:
        return ask(
            self.dataset, split, self.subject.predict, views, limit=limit, seed=self.extent.seed, track=self._track
        )


def _with_labels_alone(found: Evaluation, asker: _Asker, answers: Answers) -> Evaluation:
    """Add what can be said only of tasks with one label for each example."""
    full = found.by_subset[-1].modalities
    limits = {own.modalities[0]: own for own in found.by_subset if len(own.modalities) == 1}
    return Evaluation(
        found.data, found.split, found.labels, found.fused, found.by_subset, found.best_single,
        advantage=_advantage(answers, full, found.best_single.modalities),
        confidence=_confidence(answers, full, asker.subject.temperature),
        noise=_noise(asker, found.split, full),
        shuffled=_shuffled(asker, found.split, limits) if len(full) > 1 else (),
        elsewhere=_elsewhere(asker, found.split, full),
    )  # fmt: skip


def _scores(dataset: Dataset, answers: Answers, view: Hashable) -> Scores:
    task, seen = dataset.task, answers.seen[view]
    if task.kind == "multiclass":
        return classification(answers.truth(view), seen.outputs.argmax(axis=1), task.labels)
    targets = [answers.targets[row] for row in seen.rows]
    if task.kind == "regression":
        return regression(np.array(targets, np.float64), seen.outputs.reshape(-1))
    truth = np.zeros(seen.outputs.shape, bool)
    for row, target in enumerate(targets):
        truth[row, list(target)] = True
    return tagging(truth, seen.outputs > 0, task.labels)


def _advantage(answers: Answers, full: Subset, single: Subset) -> AccuracyDifference | None:
    """Compare on the rows that have both; nothing to compare where there is one modality only."""
    if full == single:
        return None
    right = {view: _right(answers, view) for view in (full, single)}
    both, at_full, at_single = np.intersect1d(answers.seen[full].rows, answers.seen[single].rows, return_indices=True)
    return paired_difference(right[full][at_full], right[single][at_single]) if len(both) else None


def _confidence(answers: Answers, full: Subset, temperature: float) -> Confidence:
    outputs, truth = answers.seen[full].outputs, answers.truth(full)
    before, after = (calibration(softmax(outputs, each), truth) for each in (1.0, temperature))
    return Confidence(temperature, before, after)


def _noise(asker: _Asker, split: str, full: Subset) -> tuple[Curve, ...]:
    views: dict[Hashable, View] = {("alone", modality): partial(_only, modalities=(modality,)) for modality in full}
    for modality in full:
        for level in LEVELS:
            views["all", modality, level] = partial(_noisy, modality=modality, level=level, modalities=full)
            views["alone", modality, level] = partial(_noisy, modality=modality, level=level, modalities=(modality,))
    answers = asker.ask(split, views, asker.extent.examples_aside)
    return tuple(
        robustness(
            modality,
            LEVELS,
            [float(_right(answers, ("all", modality, level)).mean()) for level in LEVELS],
            [_late_accuracy(answers, modality, level, full) for level in LEVELS],
        )
        for modality in full
    )


def _late_accuracy(answers: Answers, noisy: str, level: float, full: Subset) -> float:
    """Return how good the sum of the log-probabilities by modality is, one of them heard through noise."""
    total: Numbers = np.zeros((len(answers.targets), answers.seen["all", noisy, level].outputs.shape[1]))
    for modality in full:
        seen = answers.seen[("alone", modality, level) if modality == noisy else ("alone", modality)]
        total[seen.rows] += np.log(np.maximum(softmax(seen.outputs), 1e-12))
    return float((total.argmax(axis=1) == np.array(answers.targets)).mean())


def _shuffled(asker: _Asker, split: str, alone: Mapping[str, SubsetScores]) -> tuple[Shuffled, ...]:
    views: dict[Hashable, View] = {anchor: partial(_mixed, anchor=anchor) for anchor in alone}
    answers = asker.ask(split, views, asker.extent.examples_aside)
    found = []
    for anchor, own in alone.items():
        right = _right(answers, anchor)
        limit = own.ceiling if own.ceiling is not None else quality(own.scores)
        found.append(Shuffled(anchor, float(right.mean()), standard_error(limit, len(right)), limit))
    return tuple(found)


def _elsewhere(asker: _Asker, split: str, full: Subset) -> tuple[Elsewhere, ...]:
    found = []
    for further in asker.dataset.splits:
        if further != split and further.startswith(f"{split}-"):
            right = _right(asker.ask(further, {full: _as_is}, asker.extent.examples_aside), full)
            accuracy = float(right.mean())
            found.append(Elsewhere(further, len(right), accuracy, standard_error(accuracy, len(right))))
    return tuple(found)


def _right(answers: Answers, view: Hashable) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = answers.seen[view].outputs.argmax(axis=1) == answers.truth(view)
    return right


def _present(dataset: Dataset, split: str) -> tuple[str, ...]:
    """Return the modalities that any of the first examples has."""
    windows = [each.window for each in dataset.examples(split, range(min(256, dataset.size(split))))]
    there = {
        "video": any(window.frames_hwc_u8 for window in windows),
        "audio": any(window.audio_present for window in windows),
        "text": any(window.cues for window in windows),
    }
    as_features = {modality for window in windows for modality, own in window.features.items() if len(own)}
    return tuple(modality for modality in MODALITIES if there[modality] or modality in as_features)


def _as_is(windows: list[PreparedWindow], _: Random) -> list[PreparedWindow]:
    return windows


def _only(windows: list[PreparedWindow], _: Random, *, modalities: Sequence[str]) -> list[PreparedWindow]:
    return [keep_only(window, modalities) for window in windows]


def _noisy(
    windows: list[PreparedWindow], chance: Random, *, modality: str, level: float, modalities: Sequence[str]
) -> list[PreparedWindow]:
    return [with_noise(keep_only(window, modalities), modality, level, chance) for window in windows]


def _mixed(windows: list[PreparedWindow], chance: Random, *, anchor: str) -> list[PreparedWindow]:
    return paired_at_random(windows, anchor, chance)
