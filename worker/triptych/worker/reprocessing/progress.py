"""How far a reprocessing is: a bar on a terminal, a line in the log every few seconds otherwise."""

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

_LINE_EVERY_S: Final = 10.0
_WHOLE: Final = 100.0

log = structlog.get_logger(__name__)


class SpanProgress:
    """A hook that counts what is published, and shows it with the share that was read."""

    def __init__(self, share_read: Callable[[], float], show: Callable[[float, int, bool], None]) -> None:
        """Ask `share_read` on the worker's own thread; hand it, the windows, and whether that is all to `show`."""
        self._share_read = share_read
        self._show = show
        self._lock = threading.Lock()
        self.windows = 0

    def __call__(self, event: Event) -> None:
        """Take one event."""
        match event:
            case ResultsPublished(results=results):
                with self._lock:
                    self.windows += results
            case BytesHeld() | Stopped():
                self._show(self._share_read(), self.windows, isinstance(event, Stopped))
            case _:
                pass


@contextmanager
def shown(pipeline: str, share_read: Callable[[], float]) -> Iterator[SpanProgress]:
    """Give a hook that shows the progress of a pipeline on stderr."""
    if not sys.stderr.isatty():
        yield SpanProgress(share_read, _Lines())
        return
    columns = [TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()]
    console = Console(stderr=True)
    with Progress(
        *columns, TextColumn("{task.fields[windows]} windows"), TimeRemainingColumn(), console=console
    ) as bar:
        task = bar.add_task(pipeline, total=_WHOLE, windows=0)
        yield SpanProgress(
            share_read, lambda share, windows, _: bar.update(task, completed=share * _WHOLE, windows=windows)
        )


class _Lines:
    """Says it in the log."""

    def __init__(self) -> None:
        self._next_s = time.monotonic()

    def __call__(self, share: float, windows: int, is_all: bool) -> None:  # noqa: FBT001 - one signature for both
        """Say it, unless more is to come and it was said a moment ago."""
        if is_all or time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _LINE_EVERY_S
            log.info("span_progress", read=f"{share:.1%}", windows=windows)
