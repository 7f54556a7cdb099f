"""Show the progress of the sources: a table on a terminal, log entries otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

import structlog
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from triptych.producers.status.counters import SourceStatus
from triptych.units import MIB, NS_PER_S

_log = structlog.get_logger(__name__)
LOG_INTERVAL_NS: Final = 10 * NS_PER_S

SourceStatuses = Sequence[SourceStatus]
_OVER: Final = frozenset({"done", "stopped", "failed"})
_RESERVED_LINES: Final = 3
"""Lines of the terminal that the table leaves free: its title, the summary, and the cursor."""

_NORMAL_LAG_NS: Final = 10 * NS_PER_S
"""A feed further behind than this is in trouble."""


class _Stopwatch:
    """Measure how long each source has played. Stops for a source that has ended."""

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self._began_ns = monotonic_ns()
        self._total_ns: dict[str, int] = {}

    def elapsed_ns(self, status: SourceStatus) -> int:
        """Return how long a source has played, or had played when it was first seen to have ended."""
        elapsed_ns = self._monotonic_ns() - self._began_ns
        return self._total_ns.setdefault(status.stream, elapsed_ns) if status.state in _OVER else elapsed_ns


class ProgressTable:
    """Show a table that is redrawn in place. A context manager."""

    def __init__(self, console: Console, monotonic_ns: Callable[[], int]) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._stopwatch = _Stopwatch(monotonic_ns)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._live.stop()

    def show(self, statuses: SourceStatuses) -> None:
        """Redraw the table: feeds in trouble first, as many as fit on the terminal, and how many more there are."""
        ordered = sorted(statuses, key=_trouble)
        room = max(1, self._console.height - _RESERVED_LINES)
        shown, hidden = (ordered, []) if len(ordered) <= room else (ordered[:room], ordered[room:])
        table = Table(box=None, pad_edge=False)
        table.add_column("stream")
        for title in ("state", "position", "rate", "sent", "dropped", "broken", "kept", "lag"):
            table.add_column(title, justify="right")
        elapsed_ns = {status.stream: self._stopwatch.elapsed_ns(status) for status in statuses}
        for status in shown:
            table.add_row(*_cells(status, elapsed_ns[status.stream]))
        self._live.update(Group(table, *_summary(hidden)), refresh=True)


class ProgressLog:
    """Log the progress of the sources. A context manager."""

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self._stopwatch = _Stopwatch(monotonic_ns)
        self._logged_ns = monotonic_ns()
        self._finished: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Do nothing: there is nothing to close."""

    def show(self, statuses: SourceStatuses) -> None:
        """Log each source that has just ended, and all others at an interval."""
        now_ns = self._monotonic_ns()
        due = now_ns - self._logged_ns >= LOG_INTERVAL_NS
        if due:
            self._logged_ns = now_ns
        for status in statuses:
            over = status.state in _OVER
            if status.stream not in self._finished and (due or over):
                _log.info(f"source_{status.state}", **_numbers(status, self._stopwatch.elapsed_ns(status)))
            if over:
                self._finished.add(status.stream)


def _trouble(status: SourceStatus) -> int:
    """Return the rank of a source: those that need a look come first, those that have ended well come last."""
    if status.state == "failed":
        return 0
    if status.state == "waiting":
        return 1
    if status.dropped or status.losses.late or status.losses.skipped_segments or status.losses.untranscribed_ns:
        return 2
    if status.lag_ns > _NORMAL_LAG_NS:
        return 3
    return 5 if status.state in _OVER else 4


def _summary(hidden: SourceStatuses) -> Sequence[str]:
    """Return a line that says how many sources are not shown, by state; nothing where all are."""
    if not hidden:
        return ()
    states = Counter(status.state for status in hidden)
    return (f"and {len(hidden)} more: " + ", ".join(f"{count} {state}" for state, count in states.most_common()),)


def _numbers(status: SourceStatus, elapsed_ns: int) -> dict[str, str | int | float]:
    return {
        "stream": status.stream,
        "position_s": round(status.position_ns / NS_PER_S, 1),
        "rate": round(status.position_ns / max(1, elapsed_ns), 1),
        "sent": status.sent,
        "dropped": status.dropped,
        "broken": status.losses.broken,
        "kept_mb": round(status.queued_bytes / MIB, 1),
        "lag_s": round(status.lag_ns / NS_PER_S, 1),
    }


def _cells(status: SourceStatus, elapsed_ns: int) -> tuple[str, ...]:
    total = "" if status.total_ns is None else f" / {_clock(status.total_ns)}"
    numbers = _numbers(status, elapsed_ns)
    return (
        status.stream,
        status.state,
        _clock(status.position_ns) + total,
        f"{numbers['rate']}x",
        str(status.sent),
        str(status.dropped),
        str(status.losses.broken),
        f"{numbers['kept_mb']} MB",
        f"{numbers['lag_s']} s",
    )


def _clock(media_ns: int) -> str:
    minutes, seconds = divmod(media_ns // (NS_PER_S // 10), 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds / 10:04.1f}"
