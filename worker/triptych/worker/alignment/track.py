"""One track of a stream: its session, its promise, and whether it still holds windows (rules 5, 6, 8 and 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.worker.alignment.snapshot import TrackSnapshot, TrackState

if TYPE_CHECKING:
    from triptych.worker.alignment.entry import Entry


@dataclass(slots=True)
class Track:
    """The state of one track. `counted_ns` is the arrival of the last record that brought something."""

    session: str
    counted_ns: int
    seq: int | None = None
    watermark_ns: int | None = None
    state: TrackState = "active"

    @classmethod
    def restored(cls, snapshot: TrackSnapshot) -> Track:
        """Return the track as a snapshot has it."""
        return cls(snapshot.session, snapshot.counted_ns, snapshot.seq, snapshot.watermark_ns, snapshot.state)

    def snapshot(self) -> TrackSnapshot:
        """Return the track as a value."""
        return TrackSnapshot(
            session=self.session,
            seq=self.seq,
            watermark_ns=self.watermark_ns,
            state=self.state,
            counted_ns=self.counted_ns,
        )

    def enter(self, session: str, arrival_ns: int) -> None:
        """Begin a session: what the last one promised and counted is void, an ended track lives again."""
        self.session = session
        self.seq = None
        self.watermark_ns = None
        self.revive(arrival_ns)

    def revive(self, arrival_ns: int) -> None:
        """Hold windows again from this arrival on."""
        self.state = "active"
        self.counted_ns = arrival_ns

    def repeats(self, entry: Entry) -> bool:
        """Tell whether media of this session was seen before: its `seq` is at or below the largest."""
        return entry.seq is not None and self.seq is not None and entry.seq <= self.seq

    def count(self, entry: Entry) -> None:
        """Remember the largest `seq` of the session."""
        if entry.seq is not None:
            self.seq = entry.seq if self.seq is None else max(self.seq, entry.seq)

    def hear(self, watermark_ns: int, *, first: bool, max_event_time_ns: int, arrival_ns: int) -> None:
        """Take a record's promise. It counts as heard only if it brought something.

        A producer that repeats one promise for ever would otherwise hold every window until its input ends.
        """
        larger = self.watermark_ns is None or watermark_ns > self.watermark_ns
        if larger:
            self.watermark_ns = watermark_ns
        if self.state != "ended" and (first or larger or watermark_ns > max_event_time_ns):
            self.revive(arrival_ns)

    def reaches(self, moment_ns: int, slack_ns: int) -> bool:
        """Tell whether the promise covers event time up to `moment_ns`."""
        return self.watermark_ns is not None and self.watermark_ns - slack_ns >= moment_ns
