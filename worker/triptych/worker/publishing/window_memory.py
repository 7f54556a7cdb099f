"""What is remembered of the recent windows of each stream: equal after a restart from the results topic. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from triptych.schemas.results import Result
from triptych.units import NS_PER_MS

Remembered = TypeVar("Remembered")


@dataclass(frozen=True, slots=True)
class RememberedWindow(Generic[Remembered]):
    """A window and what is remembered of it."""

    last_arrival_ms: int
    start_ns: int
    model: str
    value: Remembered


class WindowMemory(Generic[Remembered]):
    """The most recent windows of each stream of one partition.

    Windows without records of their own have no arrival time and do not count. Neither does a window that arrived more
    than the stream's TTL earlier: the tail that a restart reads may not contain it.
    """

    def __init__(self, stream_ttl_ns: int, *, windows: int) -> None:
        """Remember at most `windows` windows of a stream. `stream_ttl_ns` is measured in arrival time."""
        self._ttl_ms = stream_ttl_ns // NS_PER_MS
        self._most = windows
        # A list: a deque takes 700 bytes for each stream, and a handful of windows is moved fast.
        self._streams: OrderedDict[str, list[RememberedWindow[Remembered]]] = OrderedDict()

    def before(self, result: Result) -> list[RememberedWindow[Remembered]]:
        """Return the remembered windows that a result may be compared with, oldest first.

        A revision is compared only with windows before its own.
        """
        first_ms = result.arrival_ms.first
        if first_ms is None:
            return []
        return [
            window
            for window in self._streams.get(result.stream, ())
            if window.last_arrival_ms > first_ms - self._ttl_ms
            and (window.start_ns < result.start_ns or not result.revision)
        ]

    def same_window(self, result: Result) -> Remembered | None:
        """Return what is remembered of the window of a revision; None if nothing is, or if it is of another model."""
        for window in self._streams.get(result.stream, ()):
            if window.start_ns == result.start_ns and window.model == result.model.sha256:
                return window.value
        return None

    def add(self, result: Result, value: Remembered) -> None:
        """Add a published result. A revision takes the place of the result before.

        So a window that was published incomplete in an outage is compared with only until it is completed.
        """
        last_ms = result.arrival_ms.last
        if last_ms is None:
            return
        if result.revision:
            self._replace(result, value)
            return
        windows = self._streams.setdefault(result.stream, [])
        if len(windows) == self._most:
            del windows[0]
        windows.append(RememberedWindow(last_ms, result.start_ns, result.model.sha256, value))
        self._streams.move_to_end(result.stream)
        self._forget(last_ms)

    def _replace(self, result: Result, value: Remembered) -> None:
        """Replace the value of a window, if it is remembered. Its arrival time stays: a restart may not know it."""
        windows = self._streams.get(result.stream, [])
        for place, window in enumerate(windows):
            if window.start_ns == result.start_ns and window.model == result.model.sha256:
                windows[place] = replace(window, value=value)

    def _forget(self, now_ms: int) -> None:
        """Drop streams whose last window is too old to be compared with any later one."""
        while True:
            stream, windows = next(iter(self._streams.items()))
            if windows[-1].last_arrival_ms > now_ms - 2 * self._ttl_ms:
                return
            del self._streams[stream]
