"""Learning rate schedules. Pure functions."""

from __future__ import annotations

import math
from typing import Literal

_WARM_SHARE = 0.2
_START = 0.04
_END = 1e-3


def rate_at(schedule: Literal["one-cycle", "cosine"], step: int, steps: int) -> float:
    """Return the learning rate of a step as a share of the peak rate. Steps count from 0.

    `one-cycle` rises for a fifth of the steps and then falls to almost zero (Smith and Topin, 2018, arXiv 1708.07120);
    `cosine` only falls (Loshchilov and Hutter, 2017, arXiv 1608.03983).
    """
    if schedule == "cosine":
        return _between(1.0, _END, step / max(1, steps - 1))
    warm = max(1, round(_WARM_SHARE * steps))
    if step < warm:
        return _between(_START, 1.0, step / warm)
    return _between(1.0, _END, (step - warm) / max(1, steps - 1 - warm))


def _between(first: float, last: float, share: float) -> float:
    """Interpolate from `first` to `last` along half a cosine wave."""
    return last + (first - last) * (1 + math.cos(math.pi * min(1.0, share))) / 2
