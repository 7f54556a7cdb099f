"""How long to wait before the next attempt: longer each time, and never all feeds at the same moment. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

INITIAL_DELAY_S: Final = 0.5
MAX_DELAY_S: Final = 30.0
_FACTOR: Final = 2.0


class Backoff:
    """Waits that double up to a bound, each anywhere in its upper half; `random` yields numbers in [0, 1)."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._next_s = INITIAL_DELAY_S

    def next_delay_s(self) -> float:
        """Return how long to wait now."""
        next_delay_s = self._next_s * (1 + self._random()) / 2
        self._next_s = min(self._next_s * _FACTOR, MAX_DELAY_S)
        return next_delay_s

    def reset(self) -> None:
        """Begin anew: the last attempt went well."""
        self._next_s = INITIAL_DELAY_S
