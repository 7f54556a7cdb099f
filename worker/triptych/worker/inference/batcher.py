"""Batches prepared windows. Pure.

A batch is due when it is full, when its oldest window has waited for long enough, or on a flush. Streams take turns: a
batch takes one window of each waiting stream in turn, so a stream with a long queue delays no other. The windows of one
stream keep their order.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from triptych.schemas.errors import UsageError

_Window = TypeVar("_Window")


@dataclass(slots=True)
class _Waiting(Generic[_Window]):
    window: _Window
    since_ns: int


class MicroBatcher(Generic[_Window]):
    """Collects windows into batches of at most `max_windows`. The caller passes the time (monotonic nanoseconds)."""

    def __init__(self, *, max_windows: int, max_delay_ns: int) -> None:
        """Start empty."""
        if max_windows < 1 or max_delay_ns < 0:
            got = f"{max_windows} and {max_delay_ns} ns"
            msg = f"batch: expected max_windows of at least 1 and max_delay of at least 0 ns, got {got}"
            raise UsageError(msg)
        self._max_windows = max_windows
        self._max_delay_ns = max_delay_ns
        self._queues: dict[str, deque[_Waiting[_Window]]] = {}  # in the order of the streams' turns
        self._size = 0

    def __len__(self) -> int:
        """Return the number of waiting windows."""
        return self._size

    def add(self, stream: str, window: _Window, now_ns: int) -> None:
        """Add a window of `stream` that waits from `now_ns` on."""
        self._queues.setdefault(stream, deque()).append(_Waiting(window, now_ns))
        self._size += 1

    def due_ns(self) -> int | None:
        """Return when the oldest window will have waited for long enough, or None if no window waits."""
        heads = [queue[0].since_ns for queue in self._queues.values()]
        return min(heads) + self._max_delay_ns if heads else None

    def take(self, now_ns: int, *, flush: bool = False) -> list[_Window]:
        """Remove and return a batch if one is due at `now_ns`, or if any window waits and `flush` is set."""
        due_ns = self.due_ns()
        if due_ns is None or not (flush or self._size >= self._max_windows or now_ns >= due_ns):
            return []
        batch: list[_Window] = []
        while self._queues and len(batch) < self._max_windows:
            stream = next(iter(self._queues))
            queue = self._queues.pop(stream)
            batch.append(queue.popleft().window)
            if queue:
                self._queues[stream] = queue  # moves to the end: every other stream has its turn first
        self._size -= len(batch)
        return batch
