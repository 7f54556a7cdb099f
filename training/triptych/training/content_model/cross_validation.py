"""How good the model of content is, by cross-validation, and the model that is served. Read this first.

Nothing is judged by what it was trained on: stamps of one motif stand in one fold. The seeds differ in folds, weights
and the order of examples. What is to be beaten is the best that one modality alone can do, by whatever means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.models.network.fused import FusedModel
from triptych.training.content_model.baseline import STRENGTHS, pooled, regression_predictions
from triptych.training.content_model.features import ALL_LANGUAGES, StampFeatures
from triptych.training.content_model.head import HeadConfig, predict_logits, tokens_of, train_head
from triptych.training.data.example import MODALITIES
from triptych.training.data.pools.cache import TrackProgress, no_progress
from triptych.training.evaluation.calibration import Calibration, calibration, softmax
from triptych.training.evaluation.classification import AccuracyDifference, Classification, classification
from triptych.training.fit_temperature import fit_temperature

FOLDS: Final = 5
SEEDS: Final = (11, 12, 13)
"""Folds that nothing was chosen on: settings were tried on those of 101 to 103."""
SUBSETS: Final = tuple(subset for size in (1, 2, 3) for subset in combinations(MODALITIES, size))
_RESAMPLES: Final = 2_000
_WORDS_ONLY: Final = ("text",)

Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]
MakeModel = Callable[[int], FusedModel]
"""Return a model whose head is not trained yet, its weights drawn by a seed."""


@dataclass(frozen=True, slots=True)
class ModalityAccuracy:
    """How often the label named is right when only some modalities come: mean and deviation over the seeds."""

    modalities: tuple[str, ...]
    count: int
    accuracy: float
    deviation: float


@dataclass(frozen=True, slots=True)
class RegressionBaseline:
    """How often a logistic regression on one modality's frozen encoder is right."""

    modality: str
    count: int
    accuracy: float
    deviation: float
    strength: float


@dataclass(frozen=True, slots=True)
class SingleModalityBaseline:
    """The best that a single modality does by some means, and by how much all modalities together are better.

    Attributes:
        name: `regression, text`, or `the model shown text`.
        accuracy: mean over the seeds.
        advantage: of all modalities together, stamp by stamp; its interval is from resampling motifs.
        named: what it named for each seed.
    """

    name: str
    accuracy: float
    advantage: AccuracyDifference
    named: list[Indices]


@dataclass(frozen=True, slots=True)
class CrossValidatedCalibration:
    """How true confidences are for each seed, at a temperature of 1 and at one fitted on the other folds."""

    before: tuple[Calibration, ...]
    after: tuple[Calibration, ...]

    @property
    def ece(self) -> float:
        """Return the mean over the seeds of the calibrated error."""
        return float(np.mean([own.ece for own in self.after]))


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """All that was found.

    Attributes:
        labels: what can be named.
        count: of stamps.
        motifs: how many motifs they show.
        shown: the model, by what it was shown.
        alone: the regressions.
        rivals: the best single modality by regression, and the model itself shown a single one; the better first.
        confidence: of the model with all modalities.
        temperature: fitted to all seeds and folds together, for the model that is served.
        by_language: accuracy with captions in another language: words alone, and all modalities.
        scores: all that is counted of the first seed's answers.
        rival_scores: the same of the better rival.
    """

    labels: tuple[str, ...]
    count: int
    motifs: int
    shown: tuple[ModalityAccuracy, ...]
    alone: tuple[RegressionBaseline, ...]
    rivals: tuple[SingleModalityBaseline, SingleModalityBaseline]
    confidence: CrossValidatedCalibration
    temperature: float
    by_language: Mapping[str, tuple[float, float]]
    scores: Classification
    rival_scores: Classification


@dataclass(frozen=True, slots=True)
class _SeedResult:
    """Answers of the folds of one seed: logits [N, S, K] by subset, [N, L, 2, K] by language, regressions' labels."""

    logits: Tensor
    by_language: Tensor
    folds: Indices
    alone: Mapping[str, Indices]


def cross_validate(
    features: StampFeatures,
    labels: tuple[str, ...],
    make: MakeModel,
    config: HeadConfig,
    track: TrackProgress[Any] = no_progress,
) -> CrossValidation:
    """Train and test on every fold for every seed, and say what came out."""
    seeds = [_one_seed(features, make, config, seed, track) for seed in SEEDS]
    truth = features.label.numpy()
    shown = tuple(_shown(subset, place, seeds, features) for place, subset in enumerate(SUBSETS))
    alone = tuple(_alone(modality, seeds, features) for modality in MODALITIES)
    fused = [one.logits[:, -1].argmax(-1).numpy() for one in seeds]
    rivals = _rivals(fused, shown, alone, seeds, features)
    return CrossValidation(
        labels=labels,
        count=len(truth),
        motifs=len(set(features.groups.tolist())),
        shown=shown,
        alone=alone,
        rivals=rivals,
        confidence=_confidence(seeds, features.label),
        temperature=_temperature(torch.cat([one.logits[:, -1] for one in seeds]), features.label.repeat(len(seeds))),
        by_language=_by_language(seeds, features),
        scores=classification(truth, fused[0], labels),
        rival_scores=classification(truth, rivals[0].named[0], labels),
    )


def train_served_model(features: StampFeatures, make: MakeModel, config: HeadConfig) -> FusedModel:
    """Return the model that is served: trained on all stamps, as those of the folds were on four fifths of them."""
    model = make(SEEDS[0])
    train_head(model, features, torch.arange(len(features.label)), config, seed=SEEDS[0])
    return model


def split_folds(features: StampFeatures, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield rows to train on and rows to test on: labels evenly spread, no motif in both."""
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415 - slow to import

    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    label, groups = features.label.numpy(), features.groups.numpy()
    for train, test in splitter.split(np.zeros(len(label)), label, groups):
        yield torch.from_numpy(train), torch.from_numpy(test)


def _one_seed(
    features: StampFeatures, make: MakeModel, config: HeadConfig, seed: int, track: TrackProgress[Any]
) -> _SeedResult:
    count, vectors = len(features.label), {modality: pooled(features, modality) for modality in MODALITIES}
    classes = int(features.label.max()) + 1
    logits, spoken = torch.zeros(count, len(SUBSETS), classes), torch.zeros(count, len(ALL_LANGUAGES), 2, classes)
    fold_of = np.zeros(count, np.int64)
    alone = {modality: np.full(count, -1) for modality in MODALITIES}
    for fold, (train, test) in enumerate(track(list(split_folds(features, seed)), f"seed {seed}")):
        model = make(seed * FOLDS + fold)
        train_head(model, features, train, config, seed=seed * FOLDS + fold)
        fold_of[test.numpy()] = fold
        for place, subset in enumerate(SUBSETS):
            logits[test, place] = predict_logits(model, tokens_of(features, test), subset)
        for place in range(len(ALL_LANGUAGES)):
            tokens = tokens_of(features, test, place)
            spoken[test, place, 0] = predict_logits(model, tokens, _WORDS_ONLY)
            spoken[test, place, 1] = predict_logits(model, tokens)
        for modality, named in alone.items():
            rows, there = vectors[modality]
            known = train[torch.from_numpy(there)[train]]
            named[test.numpy()] = regression_predictions(rows, features.label.numpy(), known, test, STRENGTHS[modality])
    return _SeedResult(logits, spoken, fold_of, alone)


def _there(modalities: tuple[str, ...], features: StampFeatures) -> Flags:
    """Return the stamps that have any of the modalities; only sounds are missing."""
    if modalities == ("audio",):
        return features.audio_mask.any(1).numpy()
    return np.ones(len(features.label), np.bool_)


def _shown(subset: tuple[str, ...], place: int, seeds: list[_SeedResult], features: StampFeatures) -> ModalityAccuracy:
    there, truth = _there(subset, features), features.label.numpy()
    rates = [float((one.logits[:, place].argmax(-1).numpy() == truth)[there].mean()) for one in seeds]
    return ModalityAccuracy(subset, int(there.sum()), float(np.mean(rates)), float(np.std(rates, ddof=1)))


def _alone(modality: str, seeds: list[_SeedResult], features: StampFeatures) -> RegressionBaseline:
    there, truth = _there((modality,), features), features.label.numpy()
    rates = [float((one.alone[modality] == truth)[there].mean()) for one in seeds]
    return RegressionBaseline(
        modality, int(there.sum()), float(np.mean(rates)), float(np.std(rates, ddof=1)), STRENGTHS[modality]
    )


def _rivals(
    fused: list[Indices],
    shown: tuple[ModalityAccuracy, ...],
    alone: tuple[RegressionBaseline, ...],
    seeds: list[_SeedResult],
    features: StampFeatures,
) -> tuple[SingleModalityBaseline, SingleModalityBaseline]:
    """Return the best regression and the model at its best with a single modality; only what every stamp has counts."""
    regression = max((own for own in alone if own.modality != "audio"), key=lambda own: own.accuracy)
    place, part = max(
        (
            (place, part)
            for place, part in enumerate(shown)
            if len(part.modalities) == 1 and part.modalities != ("audio",)
        ),
        key=lambda one: one[1].accuracy,
    )
    by_regression = [one.alone[regression.modality] for one in seeds]
    by_itself = [one.logits[:, place].argmax(-1).numpy() for one in seeds]
    found = [
        SingleModalityBaseline(name, accuracy, _advantage(fused, named, features), named)
        for name, accuracy, named in (
            (f"regression, {regression.modality}", regression.accuracy, by_regression),
            (f"the model shown {part.modalities[0]}", part.accuracy, by_itself),
        )
    ]
    better, other = sorted(found, key=lambda rival: -rival.accuracy)
    return better, other


def _advantage(better: list[Indices], worse: list[Indices], features: StampFeatures) -> AccuracyDifference:
    """Return the paired difference of accuracies, the seeds' mean; its interval is the bootstrap's over motifs."""
    truth, groups = features.label.numpy(), features.groups.numpy()
    own = np.mean([(a == truth).astype(float) - (b == truth) for a, b in zip(better, worse, strict=True)], axis=0)
    sums, sizes = np.bincount(groups, own), np.bincount(groups)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(sizes), (_RESAMPLES, len(sizes)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    return AccuracyDifference(float(own.mean()), float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975)))


def _confidence(seeds: list[_SeedResult], label: Tensor) -> CrossValidatedCalibration:
    truth = label.numpy()
    before, after = [], []
    for one in seeds:
        logits = one.logits[:, -1]
        scaled = logits.clone()
        for fold in range(FOLDS):
            own = torch.from_numpy(one.folds == fold)
            scaled[own] = logits[own] / _temperature(logits[~own], label[~own])
        before.append(calibration(softmax(logits.double().numpy()), truth))
        after.append(calibration(softmax(scaled.double().numpy()), truth))
    return CrossValidatedCalibration(tuple(before), tuple(after))


def _temperature(logits: Tensor, label: Tensor) -> float:
    return fit_temperature(logits, label, "multiclass")


def _by_language(seeds: list[_SeedResult], features: StampFeatures) -> dict[str, tuple[float, float]]:
    found = {}
    for place, language in enumerate(ALL_LANGUAGES):
        there = features.has_text[:, place]
        right = [one.by_language[there, place].argmax(-1) == features.label[there, None] for one in seeds]
        words, everything = torch.stack(right).float().mean((0, 1)).tolist()
        found[language] = (words, everything)
    return found
