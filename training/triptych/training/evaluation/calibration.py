"""Calibration of confidences: of the predictions with confidence 0.8, is 80 % correct? Pure functions.

The expected calibration error (ECE) uses bins of equal mass, because bins of equal width are mostly empty. It is
debiased after Kumar, Liang and Ma (2019, "Verified uncertainty calibration", arXiv 1909.10155): even a perfectly
calibrated model has a positive ECE in a finite sample. Their resampling is replaced with the closed form of a folded
normal distribution. The correction removes only part of the bias, so the result errs on the strict side. Resampling the
examples adds the bias once more; hence the interval is that of the basic bootstrap, which mirrors the resampled
distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, exp, pi, sqrt
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]

BINS: Final = 10
_RESAMPLES: Final = 300


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin: mean confidence, accuracy and number of examples."""

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """Debiased calibration error `ece` with its 95 % interval, and the biased one, `ece_counted`."""

    ece: float
    low: float
    high: float
    ece_counted: float
    bins: tuple[Bin, ...]


def softmax(logits: Numbers, temperature: float = 1.0) -> Numbers:
    """Return softmax probabilities, float64 [N, K], of logits [N, K]."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return cast("Numbers", powers / powers.sum(axis=1, keepdims=True))


def calibration(probabilities: Numbers, truth: Indices, *, seed: int = 0) -> Calibration:
    """Return the calibration of the top prediction.

    Args:
        probabilities: float64 [N, K].
        truth: int64 [N] labels.
        seed: seed of the bootstrap.
    """
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == truth).astype(np.float64)
    bins = _bins(confidence, right)
    rng = np.random.default_rng(seed)
    resampled = []
    for _ in range(_RESAMPLES):
        drawn = rng.integers(0, len(confidence), len(confidence))
        resampled.append(_debiased(_bins(confidence[drawn], right[drawn])))
    ece = _debiased(bins)
    low, high = (max(0.0, 2 * ece - float(np.quantile(resampled, share))) for share in (0.975, 0.025))
    return Calibration(ece, low, high, _counted(bins), bins)


def _bins(confidence: Numbers, right: Numbers) -> tuple[Bin, ...]:
    order = np.argsort(confidence, kind="stable")
    return tuple(
        Bin(float(confidence[members].mean()), float(right[members].mean()), len(members))
        for members in np.array_split(order, BINS)
        if len(members)
    )


def _counted(bins: tuple[Bin, ...]) -> float:
    total = sum(each.count for each in bins)
    return sum(abs(each.confidence - each.accuracy) * each.count for each in bins) / total


def _debiased(bins: tuple[Bin, ...]) -> float:
    total = sum(each.count for each in bins)
    bias = sum(_bias(each) * each.count for each in bins) / total
    return max(0.0, _counted(bins) - bias)


def _bias(one_bin: Bin) -> float:
    """Return the expected excess of |confidence - accuracy| in a finite sample.

    The difference is taken as normal, so its absolute value has a folded normal distribution.
    """
    distance = abs(one_bin.confidence - one_bin.accuracy)
    deviation = sqrt(one_bin.accuracy * (1 - one_bin.accuracy) / one_bin.count)
    if deviation == 0:
        return 0.0
    folded = deviation * sqrt(2 / pi) * exp(-(distance**2) / (2 * deviation**2))
    return folded + distance * erf(distance / (deviation * sqrt(2))) - distance
