"""What one source has done so far: counted by its own thread and the client's, read by whoever shows it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Literal

from triptych.schemas.records import InputRecord, MediaRecord

State = Literal["starting", "playing", "waiting", "done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The counts at one moment.

    Attributes:
        stream: the stream's id.
        state: how it stands.
        position_ns: how much of the film has been handed over, all passes together.
        acknowledged_ns: the same, of what the broker has acknowledged.
        behind_clock_ns: how much later than it should the last record went out, played in real time.
        total_ns: how long the film is with all its passes, where that is known and it ends.
        sent: records handed over, control records included.
        dropped: records that were given up.
        late: items that came too late to keep a promise, and were left out or cut.
        sessions: how many were begun.
        reconnects: how often a feed that was lost was opened again.
        gaps: how often time of which nothing is known was left between two sessions.
        gap_ns: how much of it in all.
        queued_bytes: what waits ahead of the client, about.
        av_offset_ms: how far the sound lies behind the picture, where that was measured.
        drift_ppm: how much faster than the wall clock the feed's clock runs, where that was measured.
    """

    stream: str
    state: State = "starting"
    position_ns: int = 0
    acknowledged_ns: int = 0
    behind_clock_ns: int = 0
    total_ns: int | None = None
    sent: int = 0
    dropped: int = 0
    late: int = 0
    sessions: int = 0
    reconnects: int = 0
    gaps: int = 0
    gap_ns: int = 0
    queued_bytes: int = 0
    av_offset_ms: float | None = None
    drift_ppm: float | None = None

    @property
    def lag_ns(self) -> int:
        """How far the broker is behind where the film should be."""
        return self.position_ns - self.acknowledged_ns + max(0, self.behind_clock_ns)


class Counters:
    """Count, safely from several threads."""

    def __init__(self, stream: str) -> None:
        self._lock = threading.Lock()
        self._status = SourceStatus(stream)
        self._session = ""

    @property
    def status(self) -> SourceStatus:
        """The counts now."""
        with self._lock:
            return self._status

    def begin(self, total_ns: int | None) -> None:
        """Note that playing begins."""
        with self._lock:
            self._status = replace(self._status, state="playing", total_ns=total_ns)

    def waits(self) -> None:
        """Note that the source is away, and will be tried again."""
        with self._lock:
            self._status = replace(self._status, state="waiting")

    def reconnects(self) -> None:
        """Note that a source that was lost is open again."""
        with self._lock:
            old = self._status
            self._status = replace(old, state="playing", reconnects=old.reconnects + 1)

    def gap(self, length_ns: int) -> None:
        """Note time of which nothing is known."""
        with self._lock:
            old = self._status
            self._status = replace(old, gaps=old.gaps + 1, gap_ns=old.gap_ns + length_ns)

    def late(self, items: int) -> None:
        """Note so many more items that came too late."""
        with self._lock:
            self._status = replace(self._status, late=self._status.late + items)

    def observe(self, record: InputRecord) -> None:
        """Note what a record says of its session."""
        with self._lock:
            if record.session != self._session:
                self._session = record.session
                sessions = self._status.sessions + 1
                self._status = replace(self._status, sessions=sessions, av_offset_ms=None, drift_ppm=None)
            if isinstance(record, MediaRecord):
                old = self._status
                self._status = replace(old, av_offset_ms=record.av_offset_ms, drift_ppm=record.drift_ppm)

    def sent(self, media_ns: int, *, behind_clock_ns: int = 0) -> None:
        """Note a record handed over."""
        with self._lock:
            old = self._status
            self._status = replace(
                old,
                position_ns=max(old.position_ns, media_ns),
                behind_clock_ns=behind_clock_ns,
                sent=old.sent + 1,
            )

    def acknowledged(self, media_ns: int) -> None:
        """Note that the broker has a record."""
        with self._lock:
            old = self._status
            self._status = replace(old, acknowledged_ns=max(old.acknowledged_ns, media_ns))

    def dropped(self) -> None:
        """Note a record given up."""
        with self._lock:
            self._status = replace(self._status, dropped=self._status.dropped + 1)

    def finish(self, state: State) -> None:
        """Note how it ended."""
        with self._lock:
            self._status = replace(self._status, state=state)
