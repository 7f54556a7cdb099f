"""Decide when a record is due: at once, or once as much time has passed since the start as in the source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Event
from typing import Final

from triptych.producers.clock import RunningClock
from triptych.schemas.records import AudioChunk, InputRecord, MediaRecord, SubtitleCue, VideoFrame
from triptych.units import NS_PER_S

MAX_MISSED_NS: Final = 600 * NS_PER_S
"""The longest suspension after which a file skips what was due. To skip more would take long, and a worker forgets a
stream after such a time anyway (`align.stream_ttl_ms`)."""


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


@dataclass(frozen=True, slots=True)
class PacedRecord:
    """A record whose time has come.

    Attributes:
        record: the record, with its event times.
        behind_ns: how far it is behind the clock.
        is_missed: whether it was due while the program was suspended.
    """

    record: InputRecord
    behind_ns: int
    is_missed: bool


class RecordPacer:
    """Hold each record back until it is due.

    A file in real time stands for a live feed. So after a suspension it goes on at the present: what was due meanwhile
    is missed. After more than `MAX_MISSED_NS`, it goes on where it was instead, with the event times of the present.
    """

    def __init__(self, clock: RunningClock, stop: Event, *, realtime: bool, start_at_ns: int) -> None:
        """Start the clock of a source whose media time zero is the event time `start_at_ns`."""
        self._clock = clock
        self._stop = stop
        self._start_at_ns = start_at_ns
        self._pacer = Pacer(realtime, clock.monotonic_ns())
        self._suspended_ns = clock.suspended_ns
        self._missed_until_ns = 0
        self._shift_ns = 0

    def pace(self, record: InputRecord) -> PacedRecord:
        """Block until the record is due or `stop` is set."""
        due_ns = _complete_at_ns(record) - self._start_at_ns
        self._notice_suspension()
        self._clock.wait(self._stop, self._pacer.wait_ns(due_ns, monotonic_ns=self._clock.monotonic_ns()))
        self._notice_suspension()
        behind_ns = self._pacer.behind_ns(due_ns, monotonic_ns=self._clock.monotonic_ns())
        is_missed = isinstance(record, MediaRecord) and _ends_at_ns(record) - self._start_at_ns <= self._missed_until_ns
        return PacedRecord(self.shifted(record), behind_ns, is_missed)

    def shifted(self, record: InputRecord) -> InputRecord:
        """Return a record with its event times, which a long suspension moves."""
        shift_ns = self._shift_ns
        if not shift_ns:
            return record
        times = {"start_ns": record.start_ns + shift_ns, "next_ns": record.watermark_ns + shift_ns}
        if isinstance(record, AudioChunk | SubtitleCue):
            times["end_ns"] = record.end_ns + shift_ns
        return record.model_copy(update=times)

    def _notice_suspension(self) -> None:
        missed_ns = self._clock.suspended_ns - self._suspended_ns
        self._suspended_ns += missed_ns
        if not missed_ns or not self._pacer.realtime:
            return
        if missed_ns > MAX_MISSED_NS:
            self._shift_ns += missed_ns
            return
        self._pacer = replace(self._pacer, began_ns=self._pacer.began_ns - missed_ns)
        self._missed_until_ns = self._pacer.behind_ns(0, monotonic_ns=self._clock.monotonic_ns())


def _complete_at_ns(record: InputRecord) -> int:
    """Return the event time at which a live feed has the record: for an audio chunk, that of its last sample."""
    return record.end_ns if isinstance(record, AudioChunk) else record.start_ns


def _ends_at_ns(record: MediaRecord) -> int:
    return record.start_ns + 1 if isinstance(record, VideoFrame) else record.end_ns
