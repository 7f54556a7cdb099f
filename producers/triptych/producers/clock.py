"""The two wall clocks of a producer, and waiting, behind one seam so that tests need not wait."""

from __future__ import annotations

import time
from threading import Event
from typing import Protocol

from triptych.units import NS_PER_S


class Clock(Protocol):
    """Tell the time and wait for it."""

    def now_ns(self) -> int:
        """Return the wall clock: nanoseconds since the epoch, for stamping only."""

    def monotonic_ns(self) -> int:
        """Return a clock that never jumps, for pacing only."""

    def wait(self, stop: Event, duration_ns: int) -> None:
        """Wait so long, or until `stop` is set."""


class SystemClock:
    """The machine's own clocks."""

    def now_ns(self) -> int:
        """Return the wall clock."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return the monotonic clock."""
        return time.monotonic_ns()

    def wait(self, stop: Event, duration_ns: int) -> None:
        """Wait so long, or until `stop` is set."""
        stop.wait(duration_ns / NS_PER_S)
