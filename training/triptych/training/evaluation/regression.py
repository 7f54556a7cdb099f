"""Regression metrics, as the literature reports them for sentiment from -3 to 3. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_GREATEST: Final = 3


@dataclass(frozen=True, slots=True)
class Regression:
    """Metrics of predicted numbers.

    Attributes:
        count: number of examples.
        mae: mean absolute error.
        correlation: Pearson correlation; None if either side is constant.
        acc2: accuracy of negative against non-negative.
        acc2_nonzero: accuracy of negative against positive, where the truth is not 0.
        acc7: accuracy after rounding to the integers from -3 to 3.
    """

    count: int
    mae: float
    correlation: float | None
    acc2: float
    acc2_nonzero: float | None
    acc7: float


def regression(truth: Numbers, predicted: Numbers) -> Regression:
    """Return the metrics of predicted numbers, both float64 [N]."""
    varies = truth.std() > 0 and predicted.std() > 0
    nonzero = truth != 0
    return Regression(
        count=len(truth),
        mae=float(np.abs(truth - predicted).mean()),
        correlation=float(np.corrcoef(truth, predicted)[0, 1]) if varies else None,
        acc2=float(((truth >= 0) == (predicted >= 0)).mean()),
        acc2_nonzero=float(((truth > 0) == (predicted > 0))[nonzero].mean()) if nonzero.any() else None,
        acc7=float((_seven(truth) == _seven(predicted)).mean()),
    )


def _seven(numbers: Numbers) -> Numbers:
    return np.rint(np.clip(numbers, -_GREATEST, _GREATEST))
