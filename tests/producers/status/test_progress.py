"""How the progress of several sources is shown."""

from __future__ import annotations

import io
import itertools
import re
from dataclasses import replace

from rich.console import Console
from structlog.testing import capture_logs

from triptych.producers.status.counters import SourceStatus
from triptych.producers.status.losses import Losses
from triptych.producers.status.progress import LOG_INTERVAL_NS, ProgressLog, ProgressTable

S = 1_000_000_000
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_the_table_shows_each_source_with_its_counts() -> None:
    """Position, rate, records sent and dropped, lag. The rate of a source that has ended does not change."""
    screen = io.StringIO()
    times = itertools.count(0, 2 * S)
    done = SourceStatus("one", "done", 8 * S, 7 * S, total_ns=8 * S, sent=70, dropped=3, losses=Losses(broken=6))
    done = replace(done, queued_bytes=3 << 19)

    with ProgressTable(Console(file=screen, width=100), lambda: next(times)) as display:
        for _ in range(5):
            display.show([done, SourceStatus("two", "playing", 3_723 * S + S // 2, sent=1)])

    *_, one, two = (line.split() for line in screen.getvalue().splitlines() if line.strip())
    assert one == ["one", "done", "0:00:08.0", "/", "0:00:08.0", "4.0x", "70", "3", "6", "1.5", "MB", "1.0", "s"]
    assert two == ["two", "playing", "1:02:03.5", "186.2x", "1", "0", "0", "0.0", "MB", "3723.5", "s"]


def test_feeds_in_trouble_come_first_on_a_small_terminal() -> None:
    """The others are counted where they find no room, in the order in which they were named."""
    screen = io.StringIO()
    feeds = [SourceStatus(f"feed-{number}", "playing", S) for number in range(40)]
    feeds[25] = SourceStatus("lossy", "playing", S, dropped=7)
    feeds[30] = SourceStatus("lost", "waiting", S)
    feeds[35] = SourceStatus("late", "playing", 60 * S, acknowledged_ns=20 * S)
    feeds[38] = SourceStatus("broken", "failed")
    feeds[2] = SourceStatus("over", "done", S)

    with ProgressTable(Console(file=screen, width=100, height=24, force_terminal=True), lambda: 0) as display:
        display.show(feeds)

    lines = [line.split() for line in ANSI.sub("", screen.getvalue()).splitlines() if line.strip()]
    drawn = lines[-23:]
    assert [line[0] for line in drawn[1:6]] == ["broken", "lost", "lossy", "late", "feed-0"]
    assert "over" not in [line[0] for line in drawn]
    assert " ".join(drawn[-1]) == "and 19 more: 18 playing, 1 done"
    assert len(drawn) == 23


def test_without_a_terminal_ends_are_logged_once_and_the_rest_at_an_interval() -> None:
    """Not at every update."""
    clock = [0]
    display = ProgressLog(lambda: clock[0])

    with capture_logs() as logs, display:
        for second in range(25):
            clock[0] = second * S
            state = "playing" if second < 15 else "done"
            display.show([SourceStatus("one", state, second * S), SourceStatus("two", "playing")])

    assert LOG_INTERVAL_NS == 10 * S
    assert [(log["event"], log["stream"]) for log in logs] == [
        ("source_playing", "one"),
        ("source_playing", "two"),
        ("source_done", "one"),
        ("source_playing", "two"),
    ]
