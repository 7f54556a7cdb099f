"""Decide which `end` records are sent between two sessions of a stream, and when. Pure.

A window closes when all tracks of its stream have ended, so records of a session that follows at once would be late for
it. The ends of a session are therefore held back for a while. If another session follows within that time, the track
that continues first needs no end: its first record implies it, and keeps the window open until the other tracks follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from triptych.schemas.records import End, InputRecord

END_HOLD_NS: Final = 5_000_000_000
"""How long ends are held back. Most cameras reconnect in that time, and no window should wait longer for a lost one."""


class SessionBoundary:
    """Hold back the ends of a session, and pass all other records on. All times are of the monotonic clock."""

    def __init__(self) -> None:
        self._held: list[End] = []
        self._since_ns = 0

    def push(self, record: InputRecord, monotonic_ns: int) -> Iterator[InputRecord]:
        """Take a record; yield the records to send now."""
        if isinstance(record, End):
            self._since_ns = self._since_ns if self._held else monotonic_ns
            self._held.append(record)
            return
        if self._held and record.session != self._held[0].session:
            held, self._held = self._held, []
            yield from (end for end in held if end.modality != record.modality)
        yield record

    def release_overdue(self, monotonic_ns: int) -> Iterator[InputRecord]:
        """Yield the ends that were held back for long enough."""
        if self._held and monotonic_ns - self._since_ns >= END_HOLD_NS:
            yield from self.release_all()

    def release_all(self) -> Iterator[InputRecord]:
        """Yield all ends that are held back, because no session follows."""
        held, self._held = self._held, []
        yield from held
