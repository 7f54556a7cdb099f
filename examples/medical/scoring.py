"""AUROC and sensitivity at 95 % specificity, with bootstrap intervals. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from examples.medical.phantoms import SPECIFICITY

_RESAMPLES: Final = 300
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BootstrapScore:
    """A score and its 95 % interval by the percentile bootstrap over studies."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return the score with its interval."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True, slots=True)
class DetectionScores:
    """The area under the ROC curve, and the sensitivity at a specificity of 95 %, interpolated on the curve."""

    auroc: BootstrapScore
    sensitivity: BootstrapScore


def detection_scores(truth: Flags, scores: Numbers, *, seed: int = 0) -> DetectionScores:
    """Return the scores of [N] studies with their intervals.

    Raises:
        ValueError: all studies have the finding, or none has.
    """
    if truth.all() or not truth.any():
        raise ValueError(f"expected studies with the finding and without, got {int(truth.sum())} of {len(truth)}")
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(truth), np.full(len(truth), 1 / len(truth)), _RESAMPLES)  # [R, N]
    usable = drawn[(drawn[:, truth].sum(1) > 0) & (drawn[:, ~truth].sum(1) > 0)]
    alarms, hits = roc_curves(truth, scores, np.concatenate([np.ones((1, len(truth)), np.int64), usable]))
    areas = np.asarray(np.trapezoid(hits, alarms, axis=1))
    sensitivities = np.array([
        np.interp(1 - SPECIFICITY, own_alarms, own_hits) for own_alarms, own_hits in zip(alarms, hits, strict=True)
    ])  # fmt: skip
    return DetectionScores(_with_interval(areas), _with_interval(sensitivities))


def roc_curves(truth: Flags, scores: Numbers, counts: NDArray[np.int64]) -> tuple[Numbers, Numbers]:
    """Return the ROC curves of resampled studies: false and true positive rates, float64 [R, thresholds + 1].

    Args:
        truth: bool [N], whether a study has the finding.
        scores: float64 [N].
        counts: int64 [R, N], how often each study is in each sample.
    """
    order = np.argsort(-scores, kind="stable")
    firsts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))  # equal scores pass a threshold together
    rates = []
    for which in (~truth, truth):
        passed = np.add.reduceat((counts * which)[:, order], firsts, axis=1).cumsum(1)
        rates.append(np.pad(passed / passed[:, -1:], ((0, 0), (1, 0))))
    return rates[0], rates[1]


def _with_interval(values: Numbers) -> BootstrapScore:
    """Return the first value with the interval of the others."""
    low, high = np.quantile(values[1:], (0.025, 0.975))
    return BootstrapScore(float(values[0]), float(low), float(high))
