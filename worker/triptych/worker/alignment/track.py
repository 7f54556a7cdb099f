"""One track of a stream: its session, its watermark, and whether windows wait for it; and the clock of heard time.

Implements alignment rules 5, 6, 8 and 10 for a single track; see `docs/alignment.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

from triptych.schemas.names import Modality
from triptych.worker.alignment.snapshot import TrackSnapshot, TrackState


@dataclass(slots=True)
class HeardClock:
    """The time in which a stream was heard (alignment rules 6 and 6a).

    Between two records that count as activity of any track, it advances by their distance in arrival time, by at most
    `pause_ns`. `last_activity_ns` is the arrival time of the last one. `quiet` is true once nothing counted for the
    idle timeout. `is_scheduled` is false once the stream may have a deadline without an entry in the `DeadlineQueue`:
    activity only postpones deadlines, but a track or a stream that becomes active has a new one.
    """

    pause_ns: int
    heard_ns: int = 0
    last_activity_ns: int = 0
    quiet: bool = False
    is_scheduled: bool = False

    def hear(self, arrival_ns: int) -> int:
        """Advance to a record that counts as activity. Return the heard time."""
        elapsed_ns = arrival_ns - self.last_activity_ns
        if elapsed_ns > 0:
            self.heard_ns += min(self.pause_ns, elapsed_ns)
            self.last_activity_ns = arrival_ns
        if self.quiet:
            self.quiet = self.is_scheduled = False
        return self.heard_ns


@dataclass(slots=True)
class Track:
    """The state of one track.

    `last_activity_ns` is the arrival time of the last record that counted as activity, and `heard_ns` the heard time of
    the stream then (alignment rule 6). `seq` is the largest sequence number of the session. `watermark_ns` is None
    until the first record of the session. `announces` are the tracks that its last record announced.
    """

    clock: HeardClock
    session: str
    last_activity_ns: int
    heard_ns: int
    seq: int | None = None
    watermark_ns: int | None = None
    state: TrackState = "active"
    announces: tuple[Modality, ...] | None = None

    @classmethod
    def started(cls, clock: HeardClock, session: str, arrival_ns: int) -> Track:
        """Return a track that was announced at `arrival_ns`."""
        clock.is_scheduled = False
        return cls(clock, session, arrival_ns, clock.hear(arrival_ns))

    @classmethod
    def restored(cls, clock: HeardClock, snapshot: TrackSnapshot) -> Track:
        """Return the track that a snapshot describes."""
        return cls(
            clock=clock,
            session=snapshot.session,
            last_activity_ns=snapshot.last_activity_ns,
            heard_ns=snapshot.heard_ns,
            seq=snapshot.seq,
            watermark_ns=snapshot.watermark_ns,
            state=snapshot.state,
        )

    def snapshot(self) -> TrackSnapshot:
        """Return the state as an immutable value."""
        return TrackSnapshot(
            session=self.session,
            seq=self.seq,
            watermark_ns=self.watermark_ns,
            state=self.state,
            last_activity_ns=self.last_activity_ns,
            heard_ns=self.heard_ns,
        )

    def start_session(self, session: str, arrival_ns: int) -> None:
        """Move to another session. Reset `seq` and the watermark, and activate the track even if it had ended."""
        self.session = session
        self.seq = None
        self.watermark_ns = None
        self.activate(arrival_ns)

    def activate(self, arrival_ns: int) -> None:
        """Make windows wait for this track from now on."""
        self.state = "active"
        self.last_activity_ns = arrival_ns
        self.heard_ns = self.clock.hear(arrival_ns)
        self.clock.is_scheduled = False

    def unheard_ns(self) -> int:
        """Return the heard time of the stream since the track's last activity."""
        return self.clock.heard_ns - self.heard_ns

    def advance_seq(self, seq: int | None) -> bool:
        """Remember the `seq` of a media record. Return False for a repeat: it is not above the largest one."""
        if seq is None:
            return True
        if self.seq is not None and seq <= self.seq:
            return False
        self.seq = seq
        return True

    def observe_watermark(self, watermark_ns: int, max_event_time_ns: int, arrival_ns: int) -> None:
        """Advance the watermark. The record counts as activity only if it says something new.

        It does if it advances the watermark, or if the watermark lies beyond all media of the stream. Otherwise a
        producer that repeats one watermark forever would block every window until its input ends.
        """
        advances = self.watermark_ns is None or watermark_ns > self.watermark_ns
        if advances:
            self.watermark_ns = watermark_ns
        if (advances or watermark_ns > max_event_time_ns) and self.state != "ended":
            if self.state != "active":
                self.state = "active"
                self.clock.is_scheduled = False
            self.last_activity_ns = arrival_ns
            self.heard_ns = self.clock.hear(arrival_ns)

    def has_passed(self, event_time_ns: int, out_of_orderness_ns: int) -> bool:
        """Tell whether the watermark, less the out-of-orderness, has reached an event time."""
        return self.watermark_ns is not None and self.watermark_ns - out_of_orderness_ns >= event_time_ns
