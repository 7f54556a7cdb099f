"""Write the measured offset of audio to video, and the clock drift, into the records of a session.

There are two meters, because an on-demand source and a live feed can be measured differently: the former does not
arrive as it happens, the tracks of the latter have no beginning. A negative offset means that the audio is ahead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from triptych.producers.session.av_skew import SkewMeter
from triptych.producers.session.clock_drift import DriftMeter
from triptych.schemas.names import Modality
from triptych.schemas.records import AudioChunk, InputRecord, MediaRecord, VideoFrame
from triptych.units import NS_PER_MS


class Meter(Protocol):
    """Measure a source, session after session."""

    def annotate(self, record: InputRecord) -> InputRecord:
        """Return the record with the measurements of its session so far."""


class OnDemandMeter:
    """Measure a source with an end: how much later than its first frame its first audio begins."""

    def __init__(self) -> None:
        self._session = ""
        self._first_ns: dict[Modality, int] = {}

    def annotate(self, record: InputRecord) -> InputRecord:
        """Return the record with the offset, once both tracks have begun. There is no drift: a file has no clock."""
        if record.session != self._session:
            self._session, self._first_ns = record.session, {}
        if isinstance(record, VideoFrame | AudioChunk):
            self._first_ns.setdefault(record.modality, record.start_ns)
        if not {"video", "audio"} <= self._first_ns.keys():
            return record
        return _annotated(record, self._first_ns["audio"] - self._first_ns["video"], None)


class LiveMeter:
    """Measure a live feed, by the arrival of its packets."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """Take `now_ns`, the wall clock."""
        self._now_ns = now_ns
        self._session = ""
        self._drift = DriftMeter()
        self._skew = SkewMeter()

    def packet_arrived(self, session: str, modality: Modality, at_ns: int) -> None:
        """Take a packet of video or audio that was just read, with its decoding timestamp in session time."""
        if session != self._session:
            self._session, self._drift, self._skew = session, DriftMeter(), SkewMeter()
        now_ns = self._now_ns()
        self._drift.observe(at_ns, now_ns)
        self._skew.observe(modality, at_ns, now_ns)

    def needs_new_session(self) -> bool:
        """Return, once per drift, whether the feed has drifted too far for its session."""
        exceeds_limit = self._drift.exceeds_limit
        if exceeds_limit:
            self._drift = DriftMeter()
        return exceeds_limit

    def annotate(self, record: InputRecord) -> InputRecord:
        """Return the record with the measurements of its session so far."""
        if record.session != self._session:
            return record
        return _annotated(record, self._skew.offset_ns, self._drift.ppm)


def _annotated(record: InputRecord, offset_ns: int | None, drift_ppm: float | None) -> InputRecord:
    """Return the record with these values, rounded to a tenth: finer digits would be noise."""
    if not isinstance(record, MediaRecord) or (offset_ns is None and drift_ppm is None):
        return record
    return record.model_copy(
        update={
            "av_offset_ms": None if offset_ns is None else round(offset_ns / NS_PER_MS, 1) + 0.0,
            "drift_ppm": None if drift_ppm is None else round(drift_ppm, 1) + 0.0,
        }
    )
