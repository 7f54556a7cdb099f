"""A hook that gives freed memory back to the system now and then.

What a burst of records took is freed when they are published, but glibc keeps it: each thread allocates from a heap of
its own, and such a heap gives back only what lies free at its very end. Without this a worker stays as large as its
largest burst, and grows a little with every other one that comes at another moment.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Final

from triptych.worker.observability.events import BytesHeld, Event

_EVERY_NS: Final = 10_000_000_000


class HeapHook:
    """Trims the heaps every ten seconds; it takes its time from the event that comes every second."""

    def __init__(
        self, trim: Callable[[], object] | None = None, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """Trim by `trim`; without it by that of the C library, where there is one: glibc has it."""
        self._trim = trim or _trim_of_libc()
        self._clock_ns = clock_ns
        self._next_ns = 0

    def __call__(self, event: Event) -> None:
        """Trim, if it is time."""
        if not isinstance(event, BytesHeld) or self._clock_ns() < self._next_ns:
            return
        self._next_ns = self._clock_ns() + _EVERY_NS
        self._trim()


def _trim_of_libc() -> Callable[[], object]:
    """Return a function that gives back what is free in all heaps of this process; it lets other threads run."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return (lambda: None) if trim is None else (lambda: trim(0))
