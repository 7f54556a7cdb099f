"""The bounded queue ahead of the client: a live feed drops its oldest pictures first, and counts them; a file waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Final

from triptych.schemas.records import AudioChunk, InputRecord, SubtitleCue, VideoFrame

MAX_BYTES: Final = 32 << 20
AHEAD_BYTES: Final = 2 << 20
"""A film that is played in real time is read no further ahead: some ten seconds of it."""

_CONTROL_BYTES: Final = 256
"""What a record is taken to need besides its media."""


class LiveQueue:
    """Records between a feed and the client, in order; safe for several threads."""

    def __init__(self, on_drop: Callable[[InputRecord], None], *, max_bytes: int = MAX_BYTES) -> None:
        self._on_drop = on_drop
        self._max_bytes = max_bytes
        self._records: deque[InputRecord] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = Condition()

    def put(self, record: InputRecord, *, wait: bool) -> None:
        """Take a record; where there is no room `wait` for it, or drop the oldest pictures, then the oldest sound.

        What ends a track or says how far it has come is never dropped, nor are words: they need next to nothing.
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
        """Return the next record; None where none comes in time, or none will come any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._records or self._closed, timeout_s)
            if not self._records:
                return None
            record = self._records.popleft()
            self._bytes -= _bytes_of(record)
            self._changed.notify_all()
            return record

    def close(self) -> None:
        """Say that nothing more will be put in; whoever waits goes on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def size_bytes(self) -> int:
        """What waits, about."""
        return self._bytes

    @property
    def is_over(self) -> bool:
        """Whether it is closed and empty."""
        with self._changed:
            return self._closed and not self._records

    def _has_room(self, record: InputRecord) -> bool:
        return not self._records or self._bytes + _bytes_of(record) <= min(self._max_bytes, AHEAD_BYTES)

    def _drop_oldest(self) -> bool:
        for kind in (VideoFrame, AudioChunk):
            record = next((one for one in self._records if isinstance(one, kind)), None)
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
