"""The learning rate of each step, as a share of the highest. Pure."""

from __future__ import annotations

import math
from typing import Literal

_WARM_SHARE = 0.2
_START = 0.04
_END = 1e-3


def rate_at(schedule: Literal["one-cycle", "cosine"], step: int, steps: int) -> float:
    """Return the share of the highest rate in a step, counted from 0.

    `one-cycle` rises for a fifth of the steps and falls to next to nothing; `cosine` only falls.
    """
    if schedule == "cosine":
        return _between(1.0, _END, step / max(1, steps - 1))
    warm = max(1, round(_WARM_SHARE * steps))
    if step < warm:
        return _between(_START, 1.0, step / warm)
    return _between(1.0, _END, (step - warm) / max(1, steps - 1 - warm))


def _between(first: float, last: float, share: float) -> float:
    """Go from the first to the last along half a cosine wave."""
    return last + (first - last) * (1 + math.cos(math.pi * min(1.0, share))) / 2
