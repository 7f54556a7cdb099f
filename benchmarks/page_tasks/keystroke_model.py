"""The Keystroke-Level Model: how long an expert who makes no error takes for a known sequence of actions.

Card, Moran and Newell, "The keystroke-level model for user performance time with interactive systems", Communications
of the ACM 23(7), 1980. The operator B, one press or one release of a mouse button, is that of Kieras, "Using the
keystroke-level model to estimate execution times", 1993; a click is BB. What the machine takes is not modelled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

OPERATOR_S: Final[dict[str, float]] = {"K": 0.28, "P": 1.1, "B": 0.1, "H": 0.4, "M": 1.35}
"""Seconds of each operator: a key, to point with the mouse, a press or release of its button, to move the hand between
mouse and keyboard, to think."""


@dataclass(frozen=True, slots=True)
class TaskStep:
    """One step of a user.

    Attributes:
        action: what is done, in words.
        operators: one letter each, in order.
        wait_s: what the machine then takes until the user can go on.
    """

    action: str
    operators: str
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TaskEffort:
    """What the steps of a task cost a user. `user_s` is that of the model."""

    clicks: int
    keys: int
    user_s: float
    wait_s: float
    operators: str


def effort(steps: Iterable[TaskStep]) -> TaskEffort:
    """Return the sums over steps. Raises `KeyError` for an operator that the model does not have."""
    all_steps = list(steps)
    counts = Counter("".join(step.operators for step in all_steps))
    return TaskEffort(
        clicks=counts["B"] // 2,
        keys=counts["K"],
        user_s=sum(OPERATOR_S[operator] * n for operator, n in counts.items()),
        wait_s=sum(step.wait_s for step in all_steps),
        operators=" ".join(f"{counts[name]}{name}" for name in OPERATOR_S if counts[name]),
    )
