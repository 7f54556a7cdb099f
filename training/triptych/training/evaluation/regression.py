"""How good numbers are, as those who predict sentiment from -3 to 3 count it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_GREATEST: Final = 3


@dataclass(frozen=True, slots=True)
class Regression:
    """The usual scores of predicted numbers.

    Attributes:
        count: of examples.
        mae: mean absolute error.
        correlation: Pearson's; None where either side never varies.
        acc2: how often both are negative or both are not.
        acc2_nonzero: how often both are negative or both positive, where the truth is not 0.
        acc7: how often both round to the same of -3 … 3.
    """

    count: int
    mae: float
    correlation: float | None
    acc2: float
    acc2_nonzero: float | None
    acc7: float


def regression(truth: Numbers, predicted: Numbers) -> Regression:
    """Return the scores of predicted numbers, both [N]."""
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
