"""The clocks of a producer, and waiting, behind one protocol so that tests need not wait."""

from __future__ import annotations

import time
from threading import Event
from typing import Protocol

from triptych.units import NS_PER_S


class Clock(Protocol):
    """Tell the time, and wait."""

    def now_ns(self) -> int:
        """Return the wall clock in nanoseconds since the epoch. Use it for event times only."""

    def monotonic_ns(self) -> int:
        """Return a clock that never jumps, in nanoseconds. Use it for pacing and timeouts only."""

    def wait(self, stop: Event, duration_ns: int) -> None:
        """Block for this long, or until `stop` is set."""


class SystemClock:
    """The clocks of the operating system."""

    def now_ns(self) -> int:
        """Return the wall clock in nanoseconds since the epoch."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return the monotonic clock."""
        return time.monotonic_ns()

    def wait(self, stop: Event, duration_ns: int) -> None:
        """Block for this long, or until `stop` is set."""
        stop.wait(duration_ns / NS_PER_S)
