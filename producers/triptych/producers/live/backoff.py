"""The delay before the next attempt: exponential, with jitter, so that many feeds do not reconnect at once. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

INITIAL_DELAY_S: Final = 0.5
MAX_DELAY_S: Final = 30.0
_FACTOR: Final = 2.0


class Backoff:
    """Delays that double up to a limit, each drawn from the upper half of its range."""

    def __init__(self, random: Callable[[], float]) -> None:
        """Take the source of jitter: a function that returns numbers in [0, 1)."""
        self._random = random
        self._next_s = INITIAL_DELAY_S

    def next_delay_s(self) -> float:
        """Return the delay before the next attempt, in seconds."""
        delay_s = self._next_s * (1 + self._random()) / 2
        self._next_s = min(self._next_s * _FACTOR, MAX_DELAY_S)
        return delay_s

    def reset(self) -> None:
        """Start again from the first delay, after an attempt that succeeded."""
        self._next_s = INITIAL_DELAY_S
