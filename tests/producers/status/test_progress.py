"""What a user sees of several sources."""

from __future__ import annotations

import io
import itertools

from rich.console import Console
from structlog.testing import capture_logs

from triptych.producers.status.counters import Counters, SourceStatus
from triptych.producers.status.progress import LOG_EVERY_NS, ProgressLog, ProgressTable

S = 1_000_000_000


def test_the_table_shows_each_source_with_its_counts() -> None:
    """Position, rate, records sent and dropped, lag; the rate of one that is over stands still."""
    screen = io.StringIO()
    times = itertools.count(0, 2 * S)
    done = SourceStatus("one", "done", 8 * S, 7 * S, total_ns=8 * S, sent=70, dropped=3)

    with ProgressTable(Console(file=screen, width=100), lambda: next(times)) as display:
        for _ in range(5):
            display.show([done, SourceStatus("two", "playing", 3_723 * S + S // 2, sent=1)])

    *_, one, two = (line.split() for line in screen.getvalue().splitlines() if line.strip())
    assert one == ["one", "done", "0:00:08.0", "/", "0:00:08.0", "4.0x", "70", "3", "1.0", "s"]
    assert two == ["two", "playing", "1:02:03.5", "186.2x", "1", "0", "3723.5", "s"]


def test_without_a_terminal_each_end_is_logged_once_and_the_rest_now_and_then() -> None:
    """Not a line for every look."""
    clock = [0]
    display = ProgressLog(lambda: clock[0])

    with capture_logs() as logs, display:
        for second in range(25):
            clock[0] = second * S
            state = "playing" if second < 15 else "done"
            display.show([SourceStatus("one", state, second * S), SourceStatus("two", "playing")])

    assert LOG_EVERY_NS == 10 * S
    assert [(log["event"], log["stream"]) for log in logs] == [
        ("source_playing", "one"),
        ("source_playing", "two"),
        ("source_done", "one"),
        ("source_playing", "two"),
    ]


def test_a_tally_adds_up_what_two_threads_report() -> None:
    """The lag is what the broker has not acknowledged, and how late the film is."""
    counters = Counters("one")

    counters.begin(10 * S)
    counters.sent(2 * S)
    counters.sent(S, behind_clock_ns=S // 2)
    counters.acknowledged(S)
    counters.dropped()
    counters.finish("stopped")

    assert counters.status == SourceStatus("one", "stopped", 2 * S, S, S // 2, 10 * S, sent=2, dropped=1)
    assert counters.status.lag_ns == 3 * S // 2
