"""What is measured of a session, written onto its records: sound against picture, its clock against the wall clock.

Two meters, since a film and a live feed can be asked different things: a film does not come as it happens, a feed's
tracks have no beginning. Below zero means that the sound is ahead, as everywhere.
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
        """Return the record with what is known of its session by now."""


class OnDemandMeter:
    """Measure what has an end: how much later than its first picture its first sound begins."""

    def __init__(self) -> None:
        self._session = ""
        self._first_ns: dict[Modality, int] = {}

    def annotate(self, record: InputRecord) -> InputRecord:
        """Return the record with the offset, once both tracks have begun; a film has no clock that could drift."""
        if record.session != self._session:
            self._session, self._first_ns = record.session, {}
        if isinstance(record, VideoFrame | AudioChunk):
            self._first_ns.setdefault(record.modality, record.start_ns)
        if len(self._first_ns) != len(("video", "audio")):
            return record
        return _annotated(record, self._first_ns["audio"] - self._first_ns["video"], None)


class LiveMeter:
    """Measure what comes as it happens, by when its packets come."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """Begin; `now_ns` is the wall clock."""
        self._now_ns = now_ns
        self._session = ""
        self._drift = DriftMeter()
        self._skew = SkewMeter()

    def packet_arrived(self, session: str, modality: Modality, at_ns: int) -> None:
        """Note a packet of picture or sound that was read just now, with its decoding time stamp."""
        if session != self._session:
            self._session, self._drift, self._skew = session, DriftMeter(), SkewMeter()
        now_ns = self._now_ns()
        self._drift.observe(at_ns, now_ns)
        self._skew.observe(modality, at_ns, now_ns)

    def needs_new_session(self) -> bool:
        """Tell, once, whether the feed needs a new session."""
        run_away = self._drift.exceeds_limit
        if run_away:
            self._drift = DriftMeter()
        return run_away

    def annotate(self, record: InputRecord) -> InputRecord:
        """Return the record with what is known of its session by now."""
        if record.session != self._session:
            return record
        return _annotated(record, self._skew.offset_ns, self._drift.ppm)


def _annotated(record: InputRecord, offset_ns: int | None, drift_ppm: float | None) -> InputRecord:
    """Return the record with these, to the tenth: finer would be noise."""
    if not isinstance(record, MediaRecord) or (offset_ns is None and drift_ppm is None):
        return record
    return record.model_copy(
        update={
            "av_offset_ms": None if offset_ns is None else round(offset_ns / NS_PER_MS, 1) + 0.0,
            "drift_ppm": None if drift_ppm is None else round(drift_ppm, 1) + 0.0,
        }
    )
