"""The progress of a reprocessing: a bar on a terminal, else a log line every ten seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from triptych.worker.observability.events import BytesHeld, Event, ResultsPublished, Stopped

_LOG_INTERVAL_S: Final = 10.0
_PERCENT: Final = 100.0

log = structlog.get_logger(__name__)


class ReprocessingProgress:
    """A hook that counts published windows, and shows them with the share of records read."""

    def __init__(self, share_read: Callable[[], float], show: Callable[[float, int, bool], None]) -> None:
        """Start at zero windows.

        Args:
            share_read: returns the share read, 0 to 1. Called on the worker's main thread.
            show: takes the share, the number of windows, and whether this is the last call.
        """
        self._share_read = share_read
        self._show = show
        self._lock = threading.Lock()
        self.windows = 0

    def __call__(self, event: Event) -> None:
        """Handle one event."""
        match event:
            case ResultsPublished(results=results):
                with self._lock:
                    self.windows += results
            case BytesHeld() | Stopped():
                self._show(self._share_read(), self.windows, isinstance(event, Stopped))
            case _:
                pass


@contextmanager
def show_progress(pipeline: str, share_read: Callable[[], float]) -> Iterator[ReprocessingProgress]:
    """Yield a hook that shows the progress of a pipeline on stderr."""
    if not sys.stderr.isatty():
        yield ReprocessingProgress(share_read, _ProgressLog())
        return
    columns = [TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()]
    console = Console(stderr=True)
    with Progress(
        *columns, TextColumn("{task.fields[windows]} windows"), TimeRemainingColumn(), console=console
    ) as bar:
        task = bar.add_task(pipeline, total=_PERCENT, windows=0)
        yield ReprocessingProgress(
            share_read, lambda share, windows, _: bar.update(task, completed=share * _PERCENT, windows=windows)
        )


class _ProgressLog:
    """Logs the progress, at most once per interval."""

    def __init__(self) -> None:
        self._next_s = time.monotonic()

    def __call__(self, share: float, windows: int, is_last: bool) -> None:  # noqa: FBT001 - the signature of `show`
        """Log the progress if the interval has passed, or if this is the last call."""
        if is_last or time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _LOG_INTERVAL_S
            log.info("reprocessing_progress", read=f"{share:.1%}", windows=windows)
