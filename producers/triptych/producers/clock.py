"""The clocks of a producer, and waiting, behind one protocol so that tests need not wait."""

from __future__ import annotations

import threading
import time
from threading import Event
from typing import Final, Protocol

import structlog

from triptych.units import NS_PER_S

_log = structlog.get_logger(__name__)

SUSPENDED_NS: Final = 5 * NS_PER_S
"""A program that did not look at the clock for so long was suspended. It looks several times a second."""

_LONGEST_WAIT_NS: Final = NS_PER_S

_COUNTS_SLEEP: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)
"""The clock of Linux that goes on while the computer sleeps."""


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
        """Return the monotonic clock. Where the system has one, it counts the time for which the computer sleeps."""
        return time.monotonic_ns() if _COUNTS_SLEEP is None else time.clock_gettime_ns(_COUNTS_SLEEP)

    def wait(self, stop: Event, duration_ns: int) -> None:
        """Block for this long, or until `stop` is set."""
        stop.wait(duration_ns / NS_PER_S)


class RunningClock:
    """A clock whose monotonic time stands still while the program is suspended (`SIGSTOP`, a laptop that sleeps).

    So what a program keeps does not grow old meanwhile. Each suspension is logged once. Thread-safe. Some thread must
    look at it several times a second: a program that does not is suspended.
    """

    def __init__(self, clock: Clock) -> None:
        """Take the clock that goes on meanwhile."""
        self._clock = clock
        self._lock = threading.Lock()
        self._last_ns = clock.monotonic_ns()
        self._suspended_ns = 0

    @property
    def suspended_ns(self) -> int:
        """For how long the program was suspended so far, in nanoseconds."""
        self.monotonic_ns()
        return self._suspended_ns

    def now_ns(self) -> int:
        """Return the wall clock."""
        return self._clock.now_ns()

    def monotonic_ns(self) -> int:
        """Return the monotonic clock, less the suspensions."""
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            missed_ns = now_ns - self._last_ns
            self._last_ns = max(now_ns, self._last_ns)
            if missed_ns > SUSPENDED_NS:
                self._suspended_ns += missed_ns
            running_ns = now_ns - self._suspended_ns
        if missed_ns > SUSPENDED_NS:
            _log.warning("producer_suspended", missed_s=round(missed_ns / NS_PER_S, 1))
        return running_ns

    def wait(self, stop: Event, duration_ns: int) -> None:
        """Block for this long, until `stop` is set, or until the program was suspended."""
        suspended_ns = self.suspended_ns
        while duration_ns > 0 and not stop.is_set() and self.suspended_ns == suspended_ns:
            self._clock.wait(stop, min(duration_ns, _LONGEST_WAIT_NS))
            duration_ns -= _LONGEST_WAIT_NS
