"""How the sources stand: one line each on a terminal, a log line each now and then otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

import structlog
from rich.console import Console
from rich.live import Live
from rich.table import Table

from triptych.producers.status.counters import Standing
from triptych.units import NS_PER_S

_log = structlog.get_logger(__name__)
LOG_EVERY_NS: Final = 10 * NS_PER_S

Standings = Sequence[Standing]
_OVER: Final = frozenset({"done", "stopped", "failed"})


class _Stopwatch:
    """How long each source has played; it stands still for one that is over."""

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self._began_ns = monotonic_ns()
        self._took_ns: dict[str, int] = {}

    def elapsed_ns(self, standing: Standing) -> int:
        """Return how long this source has played, or had played when it was first seen to be over."""
        elapsed_ns = self._monotonic_ns() - self._began_ns
        return self._took_ns.setdefault(standing.stream, elapsed_ns) if standing.state in _OVER else elapsed_ns


class TableBoard:
    """Show a table that stays in place; a context manager."""

    def __init__(self, console: Console, monotonic_ns: Callable[[], int]) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._stopwatch = _Stopwatch(monotonic_ns)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._live.stop()

    def show(self, standings: Standings) -> None:
        """Draw the table anew."""
        table = Table(box=None, pad_edge=False)
        table.add_column("stream")
        for title in ("state", "position", "rate", "sent", "dropped", "lag"):
            table.add_column(title, justify="right")
        for standing in standings:
            table.add_row(*_cells(standing, self._stopwatch.elapsed_ns(standing)))
        self._live.update(table, refresh=True)


class LogBoard:
    """Log how the sources stand; a context manager."""

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self._stopwatch = _Stopwatch(monotonic_ns)
        self._logged_ns = monotonic_ns()
        self._finished: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Leave nothing open: there is nothing."""

    def show(self, standings: Standings) -> None:
        """Log each source that has come to its end, and all others now and then."""
        now_ns = self._monotonic_ns()
        due = now_ns - self._logged_ns >= LOG_EVERY_NS
        if due:
            self._logged_ns = now_ns
        for standing in standings:
            over = standing.state in _OVER
            if standing.stream not in self._finished and (due or over):
                _log.info(f"source.{standing.state}", **_numbers(standing, self._stopwatch.elapsed_ns(standing)))
            if over:
                self._finished.add(standing.stream)


def _numbers(standing: Standing, elapsed_ns: int) -> dict[str, str | int | float]:
    return {
        "stream": standing.stream,
        "position_s": round(standing.position_ns / NS_PER_S, 1),
        "rate": round(standing.position_ns / max(1, elapsed_ns), 1),
        "sent": standing.sent,
        "dropped": standing.dropped,
        "lag_s": round(standing.lag_ns / NS_PER_S, 1),
    }


def _cells(standing: Standing, elapsed_ns: int) -> tuple[str, ...]:
    total = "" if standing.total_ns is None else f" / {_clock(standing.total_ns)}"
    numbers = _numbers(standing, elapsed_ns)
    return (
        standing.stream,
        standing.state,
        _clock(standing.position_ns) + total,
        f"{numbers['rate']}x",
        str(standing.sent),
        str(standing.dropped),
        f"{numbers['lag_s']} s",
    )


def _clock(film_ns: int) -> str:
    minutes, seconds = divmod(film_ns // (NS_PER_S // 10), 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds / 10:04.1f}"
