"""The clocks of a producer."""

from __future__ import annotations

import time
from threading import Event

from structlog.testing import capture_logs

from triptych.producers.clock import SUSPENDED_NS, RunningClock, SystemClock

S = 1_000_000_000


class SteppedClock:
    """A clock that the test moves. A wait moves it too."""

    def __init__(self) -> None:
        self.monotonic = 0
        self.waits: list[int] = []

    def now_ns(self) -> int:
        """Return a constant time."""
        return 7 * S

    def monotonic_ns(self) -> int:
        """Return the time."""
        return self.monotonic

    def wait(self, stop: Event, duration_ns: int) -> None:
        """Move on."""
        del stop
        self.waits.append(duration_ns)
        self.monotonic += duration_ns


def test_running_time_stands_still_while_the_program_is_suspended() -> None:
    """What is kept does not grow old. The length is logged, once."""
    clock = SteppedClock()
    running = RunningClock(clock)
    clock.monotonic = 3 * S
    assert running.monotonic_ns() == 3 * S
    clock.monotonic += 40 * S

    with capture_logs() as logs:
        assert [running.monotonic_ns(), running.suspended_ns, running.monotonic_ns()] == [3 * S, 40 * S, 3 * S]
        clock.monotonic += SUSPENDED_NS
        assert running.monotonic_ns() == 3 * S + SUSPENDED_NS
    assert [(entry["event"], entry["missed_s"]) for entry in logs] == [("producer_suspended", 40.0)]


def test_a_long_wait_is_no_suspension() -> None:
    """And a suspension ends a wait: what was waited for may be due, or past."""
    clock = SteppedClock()
    running = RunningClock(clock)
    running.wait(Event(), 30 * S + 1)
    assert running.suspended_ns == 0
    assert running.monotonic_ns() == 30 * S + 1

    class Suspending(SteppedClock):
        """A clock during whose first wait the program is suspended."""

        def wait(self, stop: Event, duration_ns: int) -> None:
            """Take long."""
            super().wait(stop, duration_ns + 60 * S * (not self.waits))

    suspending = Suspending()
    running = RunningClock(suspending)
    with capture_logs():
        running.wait(Event(), 30 * S)
    assert len(suspending.waits) == 1
    assert running.suspended_ns == 61 * S


def test_the_system_clock_counts_the_time_for_which_the_computer_sleeps() -> None:
    """On Linux, whose monotonic clock does not."""
    before_ns = SystemClock().monotonic_ns()
    counting = time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
    assert before_ns <= counting <= before_ns + 60 * S
