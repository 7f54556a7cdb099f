"""Classification metrics. Pure functions; precision, recall, F1 and the confusion matrix are those of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

STANDARD_ERRORS_95: Final = 1.959964
"""The two-sided 95 % quantile of the normal distribution."""

_PSEUDO_COUNT: Final = 0.5
"""What is added to each cell of a paired comparison, after Agresti and Min (2005)."""


@dataclass(frozen=True, slots=True)
class ShareInterval:
    """The 95 % interval of a share of examples."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Precision, recall and F1 of one label. `support` is the number of examples that have it."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Classification:
    """Metrics of a multiclass task.

    `confusion` has a row for each true label and a column for each predicted one. `standard_error` and
    `interval` are of `accuracy`.
    """

    count: int
    accuracy: float
    standard_error: float
    interval: ShareInterval
    balanced_accuracy: float
    precision_macro: float
    recall_macro: float
    f1_macro: float
    precision_weighted: float
    recall_weighted: float
    f1_weighted: float
    by_class: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Tagging:
    """Metrics of a multilabel task. `exact` is the share of examples with all labels right."""

    count: int
    exact: float
    f1_micro: float
    f1_macro: float
    f1_weighted: float
    by_class: tuple[ClassScores, ...]


@dataclass(frozen=True, slots=True)
class AccuracyDifference:
    """The difference of two accuracies on the same examples, with its 95 % interval."""

    mean: float
    low: float
    high: float


def classification(truth: Indices, named: Indices, labels: Sequence[str]) -> Classification:
    """Return the metrics of predicted labels.

    Args:
        truth: int64 [N] indices into `labels`.
        named: int64 [N] predicted indices.
        labels: names of the labels.
    """
    from sklearn import metrics  # noqa: PLC0415 - slow to import

    indices = range(len(labels))
    averages = {
        average: metrics.precision_recall_fscore_support(
            truth, named, labels=indices, average=average, zero_division=0
        )[:3]
        for average in ("macro", "weighted")
    }
    accuracy = float((truth == named).mean())
    confusion = metrics.confusion_matrix(truth, named, labels=indices)
    recalls = [row[index] / row.sum() for index, row in enumerate(confusion) if row.sum()]
    return Classification(
        count=len(truth),
        accuracy=accuracy,
        standard_error=standard_error(accuracy, len(truth)),
        interval=wilson_interval(accuracy, len(truth)),
        balanced_accuracy=float(np.mean(recalls)),
        precision_macro=float(averages["macro"][0]),
        recall_macro=float(averages["macro"][1]),
        f1_macro=float(averages["macro"][2]),
        precision_weighted=float(averages["weighted"][0]),
        recall_weighted=float(averages["weighted"][1]),
        f1_weighted=float(averages["weighted"][2]),
        by_class=_by_class(truth, named, labels),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def tagging(truth: Flags, named: Flags, labels: Sequence[str]) -> Tagging:
    """Return the metrics of predicted label sets.

    Args:
        truth: bool [N, K].
        named: bool [N, K], the predictions.
        labels: names of the K labels.
    """
    from sklearn import metrics  # noqa: PLC0415 - as above

    def f1(average: str) -> float:
        return float(metrics.f1_score(truth, named, average=average, zero_division=0))

    return Tagging(
        count=len(truth),
        exact=float((truth == named).all(axis=1).mean()),
        f1_micro=f1("micro"),
        f1_macro=f1("macro"),
        f1_weighted=f1("weighted"),
        by_class=_by_class(truth, named, labels),
    )


def standard_error(share: float, count: int) -> float:
    """Return the standard error of a proportion in a sample of this size: sqrt(p (1 - p) / n)."""
    return sqrt(share * (1 - share) / count) if count else 0.0


def measured_error(share: float, count: int) -> float:
    """Return the standard error of a proportion that was measured on a sample of this size.

    Two right examples and two wrong ones are added (Agresti and Coull, 1998): where all of a few examples are right, or
    none, `standard_error` would be 0.
    """
    return standard_error((share * count + 2) / (count + 4), count + 4)


def wilson_interval(share: float, count: int) -> ShareInterval:
    """Return the 95 % Wilson score interval of a proportion in a sample of this size.

    Unlike share ± standard error it stays within 0 and 1, and it has a width where all examples are right, or none.
    """
    if not count:
        return ShareInterval(0.0, 1.0)
    z2 = STANDARD_ERRORS_95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = STANDARD_ERRORS_95 * sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return ShareInterval(max(0.0, middle - half), min(1.0, middle + half))


def paired_difference(better: Flags, worse: Flags) -> AccuracyDifference:
    """Return the difference of two accuracies with its 95 % interval, from paired examples.

    The interval is that of Agresti and Min (2005), which has a width where the models agree on every example.

    Args:
        better: bool [N], whether the one model is right.
        worse: bool [N], whether the other is, on the same examples.
    """
    mean = float((better.astype(np.float64) - worse.astype(np.float64)).mean())
    only_better = int((better & ~worse).sum()) + _PSEUDO_COUNT
    only_worse = int((worse & ~better).sum()) + _PSEUDO_COUNT
    count = len(better) + 4 * _PSEUDO_COUNT
    middle = (only_better - only_worse) / count
    half = STANDARD_ERRORS_95 * sqrt((only_better + only_worse) / count - middle**2) / sqrt(count)
    return AccuracyDifference(mean, max(-1.0, middle - half), min(1.0, middle + half))


def _by_class(truth: Indices | Flags, named: Indices | Flags, labels: Sequence[str]) -> tuple[ClassScores, ...]:
    from sklearn import metrics  # noqa: PLC0415 - as above

    scores = metrics.precision_recall_fscore_support(truth, named, labels=range(len(labels)), zero_division=0)
    return tuple(
        ClassScores(label, float(precision), float(recall), float(f1), int(support))
        for label, precision, recall, f1, support in zip(labels, *scores, strict=True)
    )
