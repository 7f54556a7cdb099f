"""The bounded queue between a feed and the broker. A live feed drops its oldest frames first; a file waits for room."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Final

from triptych.schemas.records import AudioChunk, InputRecord, SubtitleCue, VideoFrame

MAX_BYTES: Final = 32 << 20
AHEAD_BYTES: Final = 2 << 20
"""How far an on-demand source is read ahead, about ten seconds of it."""

_CONTROL_BYTES: Final = 256
"""The assumed size of a record without its media."""


class LiveQueue:
    """A queue of records, in order. Thread-safe."""

    def __init__(self, on_drop: Callable[[InputRecord], None], *, max_bytes: int = MAX_BYTES) -> None:
        """Call `on_drop` with each record that is dropped."""
        self._on_drop = on_drop
        self._max_bytes = max_bytes
        self._records: deque[InputRecord] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = Condition()

    def put(self, record: InputRecord, *, wait: bool) -> None:
        """Append a record. Where there is no room, block (`wait`), or drop the oldest frames and then the oldest audio.

        Control records and subtitles are never dropped: they need next to no space.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._closed or self._has_room(record))
            self._records.append(record)
            self._bytes += _bytes_of(record)
            while not wait and self._bytes > self._max_bytes and self._drop_oldest():
                pass
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
    def size_bytes(self) -> int:
        """The approximate size of the queued records."""
        return self._bytes

    @property
    def is_over(self) -> bool:
        """Whether the queue is closed and empty."""
        with self._changed:
            return self._closed and not self._records

    def _has_room(self, record: InputRecord) -> bool:
        return not self._records or self._bytes + _bytes_of(record) <= min(self._max_bytes, AHEAD_BYTES)

    def _drop_oldest(self) -> bool:
        for kind in (VideoFrame, AudioChunk):
            record = next((queued for queued in self._records if isinstance(queued, kind)), None)
            if record is not None:
                self._records.remove(record)
                self._bytes -= _bytes_of(record)
                self._on_drop(record)
                return True
        return False


def _bytes_of(record: InputRecord) -> int:
    if isinstance(record, VideoFrame | AudioChunk):
        return len(record.data) + _CONTROL_BYTES
    return _CONTROL_BYTES + (len(record.text) if isinstance(record, SubtitleCue) else 0)
