"""A hook that returns freed memory to the operating system.

`process_tuning` lets glibc keep freed memory for the next batch, and an arena shrinks only if the memory at its very
end is free. Without `malloc_trim` a worker stays as large as its largest burst of records, and grows further with later
bursts.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Final

from triptych.worker.observability.events import BytesHeld, Event

_EVERY_NS: Final = 10_000_000_000


class HeapHook:
    """Trims the heap every ten seconds, driven by the event that comes every second."""

    def __init__(
        self, trim: Callable[[], object] | None = None, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """Call `trim`, by default glibc's `malloc_trim`; do nothing on other C libraries."""
        self._trim = trim or _malloc_trim()
        self._clock_ns = clock_ns
        self._next_ns = 0

    def __call__(self, event: Event) -> None:
        """Trim the heap if ten seconds have passed."""
        if not isinstance(event, BytesHeld) or self._clock_ns() < self._next_ns:
            return
        self._next_ns = self._clock_ns() + _EVERY_NS
        self._trim()


def _malloc_trim() -> Callable[[], object]:
    """Return a function that trims all arenas of this process. It releases the GIL."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return (lambda: None) if trim is None else (lambda: trim(0))
