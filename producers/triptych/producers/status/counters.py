"""Count what one source has done. Written by its own thread and the client's, read by whoever shows the progress."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Literal

from triptych.producers.status.losses import DropCause, Losses, TrackLossCounter, TrackLosses
from triptych.schemas.names import Modality
from triptych.schemas.records import InputRecord, MediaRecord

State = Literal["starting", "playing", "waiting", "done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The counts of one source at one time.

    Attributes:
        stream: the stream's id.
        state: the state of the source.
        position_ns: how much media was read when it was due, all passes together.
        acknowledged_ns: how much media the broker has acknowledged.
        behind_clock_ns: how much later than due the last record came, in real-time playback.
        total_ns: the duration of all passes; None where that is unknown or endless.
        sent: records handed to the transport, control records included.
        dropped: records that were not sent, or rejected by the broker.
        track_losses: the same by modality and cause.
        losses: what was discarded before it became a record.
        sessions: sessions begun.
        reconnects: how often a lost feed was opened again.
        gaps: gaps between two sessions of a lost feed.
        gap_ns: the total length of the gaps.
        queued_bytes: the approximate size of what is kept: to be sent, or to be acknowledged.
        kept_ns: the age of the oldest record that is kept; None for a source that waits instead.
        suspended_ns: for how long the program was suspended.
        av_offset_ms: how far the audio is behind the video, where measured.
        drift_ppm: how much faster than the wall clock the feed's clock runs, where measured.
    """

    stream: str
    state: State = "starting"
    position_ns: int = 0
    acknowledged_ns: int = 0
    behind_clock_ns: int = 0
    total_ns: int | None = None
    sent: int = 0
    dropped: int = 0
    track_losses: TrackLosses = field(default_factory=dict)
    losses: Losses = field(default_factory=Losses)
    sessions: int = 0
    reconnects: int = 0
    gaps: int = 0
    gap_ns: int = 0
    queued_bytes: int = 0
    kept_ns: int | None = None
    suspended_ns: int = 0
    av_offset_ms: float | None = None
    drift_ppm: float | None = None

    @property
    def lag_ns(self) -> int:
        """How far the broker is behind the position at which the source should be.

        For a feed that does not wait, the age of the oldest record that it has not acknowledged.
        """
        if self.kept_ns is not None:
            return self.kept_ns + max(0, self.behind_clock_ns)
        return self.position_ns - self.acknowledged_ns + max(0, self.behind_clock_ns)


class Counters:
    """Count what one source does. Thread-safe."""

    def __init__(self, stream: str) -> None:
        self._lock = threading.Lock()
        self._status = SourceStatus(stream)
        self._session = ""
        self._track_losses = TrackLossCounter()

    @property
    def status(self) -> SourceStatus:
        """The current counts."""
        with self._lock:
            return self._status

    def begin(self, total_ns: int | None) -> None:
        """Record that playback begins."""
        with self._lock:
            self._status = replace(self._status, state="playing", total_ns=total_ns)

    def waits(self) -> None:
        """Record that the source is lost and will be opened again."""
        with self._lock:
            self._status = replace(self._status, state="waiting")

    def reconnects(self) -> None:
        """Record that a lost source is open again."""
        with self._lock:
            old = self._status
            self._status = replace(old, state="playing", reconnects=old.reconnects + 1)

    def gap(self, length_ns: int) -> None:
        """Record a gap between two sessions."""
        with self._lock:
            old = self._status
            self._status = replace(old, gaps=old.gaps + 1, gap_ns=old.gap_ns + length_ns)

    def losses(self, total: Losses) -> None:
        """Record all losses so far."""
        with self._lock:
            self._status = replace(self._status, losses=total)

    def observe(self, record: InputRecord) -> None:
        """Record the session of a record, and the measurements that it carries."""
        with self._lock:
            if record.session != self._session:
                self._session = record.session
                sessions = self._status.sessions + 1
                self._status = replace(self._status, sessions=sessions, av_offset_ms=None, drift_ppm=None)
            if isinstance(record, MediaRecord):
                old = self._status
                self._status = replace(old, av_offset_ms=record.av_offset_ms, drift_ppm=record.drift_ppm)

    def reached(self, media_ns: int, *, behind_clock_ns: int = 0) -> None:
        """Record that a record came, and how much later than due."""
        with self._lock:
            old = self._status
            position_ns = max(old.position_ns, media_ns)
            self._status = replace(old, position_ns=position_ns, behind_clock_ns=behind_clock_ns)

    def sent(self) -> None:
        """Record that a record was handed to the transport."""
        with self._lock:
            self._status = replace(self._status, sent=self._status.sent + 1)

    def acknowledged(self, media_ns: int) -> None:
        """Record that the broker has acknowledged a record."""
        with self._lock:
            old = self._status
            self._status = replace(old, acknowledged_ns=max(old.acknowledged_ns, media_ns))

    def dropped(self, record: InputRecord, cause: DropCause) -> None:
        """Record that a record was dropped, or rejected."""
        with self._lock:
            self._track_losses.drop(record, cause)
            dropped = self._status.dropped + 1
            self._status = replace(self._status, dropped=dropped, track_losses=self._track_losses.losses)

    def track_gap(self, modality: Modality, cause: DropCause) -> None:
        """Record a gap in a track, for which there are no records."""
        with self._lock:
            self._track_losses.gap(modality, cause)
            self._status = replace(self._status, track_losses=self._track_losses.losses)
