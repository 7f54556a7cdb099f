"""Hand each event to every hook; a hook that fails never stops the worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from triptych.worker.observability.events import Event

Hook = Callable[[Event], None]
"""Called in the thread in which the thing happened: quick, thread-safe, and free to raise."""

log: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger(__name__)


class Hooks:
    """The list of hooks. Any thread may emit."""

    def __init__(self, hooks: Iterable[Hook]) -> None:
        """Take the hooks in the order in which they are called."""
        self._hooks = tuple(hooks)
        self._lock = threading.Lock()
        self._failed: set[int] = set()

    def emit(self, event: Event) -> None:
        """Call every hook with the event."""
        for index, hook in enumerate(self._hooks):
            try:
                hook(event)
            except Exception as error:  # noqa: BLE001 - an onlooker's mistake must not stop the work
                self._complain_once(index, event, error)

    def _complain_once(self, index: int, event: Event, error: Exception) -> None:
        """Log the first failure of each hook: one that fails always would drown everything else."""
        with self._lock:
            if index in self._failed:
                return
            self._failed.add(index)
        log.error(
            "hook_failed",
            hook=repr(self._hooks[index]),
            failed_on=type(event).__name__,
            hint="said once for each hook, which is called on all the same",
            exc_info=error,
        )
