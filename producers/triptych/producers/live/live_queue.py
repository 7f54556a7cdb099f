"""The queue between the thread that reads a feed and the one that sends. An on-demand source waits for room in it."""

from __future__ import annotations

from collections import deque
from threading import Condition
from typing import Final

from triptych.schemas.records import AudioChunk, InputRecord, SubtitleCue, VideoFrame

AHEAD_BYTES: Final = 2 << 20
"""How far an on-demand source is read ahead, about ten seconds of it."""

_CONTROL_BYTES: Final = 256
"""The assumed size of a record without its media."""


class LiveQueue:
    """A queue of records, in order. Thread-safe."""

    def __init__(self, *, ahead_bytes: int = AHEAD_BYTES) -> None:
        """Read an on-demand source this far ahead."""
        self._ahead_bytes = ahead_bytes
        self._records: deque[InputRecord] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = Condition()

    def put(self, record: InputRecord, *, wait: bool) -> None:
        """Append a record. An on-demand source blocks (`wait`) where there is no room.

        The records of a live feed are taken at once: what cannot be sent waits, and is dropped, elsewhere.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._closed or self._has_room(record))
            self._records.append(record)
            self._bytes += _bytes_of(record)
            self._changed.notify_all()

    def take(self, timeout_s: float) -> InputRecord | None:
        """Return the next record, blocking up to the timeout; None where none comes or the queue is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._records or self._closed, timeout_s)
            if not self._records:
                return None
            record = self._records.popleft()
            self._bytes -= _bytes_of(record)
            self._changed.notify_all()
            return record

    def close(self) -> None:
        """Accept no more records, and release whoever waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def is_over(self) -> bool:
        """Whether the queue is closed and empty."""
        with self._changed:
            return self._closed and not self._records

    def _has_room(self, record: InputRecord) -> bool:
        return not self._records or self._bytes + _bytes_of(record) <= self._ahead_bytes


def _bytes_of(record: InputRecord) -> int:
    if isinstance(record, VideoFrame | AudioChunk):
        return len(record.data) + _CONTROL_BYTES
    return _CONTROL_BYTES + (len(record.text) if isinstance(record, SubtitleCue) else 0)
