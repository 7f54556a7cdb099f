"""Decide when a record is due: at once, or once as much time has passed since the start as in the source."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event

from triptych.producers.clock import Clock
from triptych.schemas.records import AudioChunk, InputRecord


@dataclass(frozen=True, slots=True)
class Pacer:
    """The pace of one source.

    Attributes:
        realtime: whether the source is played at its own speed, or as fast as the broker accepts it.
        began_ns: the monotonic clock at media time zero.
    """

    realtime: bool
    began_ns: int

    def wait_ns(self, media_ns: int, *, monotonic_ns: int) -> int:
        """Return how long to wait until a media time is due; 0 where it has passed."""
        return max(0, -self.behind_ns(media_ns, monotonic_ns=monotonic_ns))

    def behind_ns(self, media_ns: int, *, monotonic_ns: int) -> int:
        """Return how far a media time is behind the clock; negative where it is ahead."""
        return monotonic_ns - self.began_ns - media_ns if self.realtime else 0


class RecordPacer:
    """Hold each record back until it is due."""

    def __init__(self, clock: Clock, stop: Event, *, realtime: bool, start_at_ns: int) -> None:
        """Start the clock of a source whose media time zero is the event time `start_at_ns`."""
        self._clock = clock
        self._stop = stop
        self._start_at_ns = start_at_ns
        self._pacer = Pacer(realtime, clock.monotonic_ns())

    def wait_until_due(self, record: InputRecord) -> int:
        """Block until the record is due or `stop` is set; return how far it then is behind the clock, in ns."""
        due_ns = _complete_at_ns(record) - self._start_at_ns
        self._clock.wait(self._stop, self._pacer.wait_ns(due_ns, monotonic_ns=self._clock.monotonic_ns()))
        return self._pacer.behind_ns(due_ns, monotonic_ns=self._clock.monotonic_ns())


def _complete_at_ns(record: InputRecord) -> int:
    """Return the event time at which a live feed has the record: for an audio chunk, that of its last sample."""
    return record.end_ns if isinstance(record, AudioChunk) else record.start_ns
