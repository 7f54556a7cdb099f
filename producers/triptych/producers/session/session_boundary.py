"""Where one session of a stream follows another: which `end` records are sent, and when. Pure.

A window closes when all tracks of its stream have ended, and what a session that follows at once brings for it would be
late. So the ends of a session wait for a moment. If another follows within it, the track that goes on first needs no
end: its first record says as much, and keeps the window open until the others have followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from triptych.schemas.records import End, InputRecord

END_HOLD_NS: Final = 5_000_000_000
"""How long ends wait: most cameras are back by then, and no window should wait longer for one that is not."""


class SessionBoundary:
    """Hold back the ends of a session, and pass everything else on."""

    def __init__(self) -> None:
        self._held: list[End] = []
        self._since_ns = 0

    def push(self, record: InputRecord, monotonic_ns: int) -> Iterator[InputRecord]:
        """Yield what is to be sent now that this record came."""
        if isinstance(record, End):
            self._since_ns = self._since_ns if self._held else monotonic_ns
            self._held.append(record)
            return
        if self._held and record.session != self._held[0].session:
            held, self._held = self._held, []
            yield from (end for end in held if end.modality != record.modality)
        yield record

    def release_overdue(self, monotonic_ns: int) -> Iterator[InputRecord]:
        """Yield the ends that have waited for long enough."""
        if self._held and monotonic_ns - self._since_ns >= END_HOLD_NS:
            yield from self.release_all()

    def release_all(self) -> Iterator[InputRecord]:
        """Yield the ends that wait: nothing follows."""
        held, self._held = self._held, []
        yield from held
