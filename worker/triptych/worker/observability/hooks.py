"""Dispatch of events to hooks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from triptych.worker.observability.events import Event

Hook = Callable[[Event], None]
"""Receives events in the thread that emits them. It must be fast and thread-safe. Exceptions are logged."""

log: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger(__name__)


class Hooks:
    """Calls a list of hooks. Any thread may emit events."""

    def __init__(self, hooks: Iterable[Hook]) -> None:
        """Call `hooks` in this order."""
        self._hooks = tuple(hooks)
        self._lock = threading.Lock()
        self._failed: set[int] = set()

    def emit(self, event: Event) -> None:
        """Call every hook with the event. A hook that fails never stops the worker or the other hooks."""
        for index, hook in enumerate(self._hooks):
            try:
                hook(event)
            except Exception as error:  # noqa: BLE001 - a broken observer must not stop the worker
                self._log_first_failure(index, event, error)

    def _log_first_failure(self, index: int, event: Event, error: Exception) -> None:
        """Log only the first failure of each hook: one that always fails would flood the log."""
        with self._lock:
            if index in self._failed:
                return
            self._failed.add(index)
        log.error(
            "hook_failed",
            hook=repr(self._hooks[index]),
            failed_on=type(event).__name__,
            hint="logged once per hook; the hook is still called",
            exc_info=error,
        )
