"""What a source has lost: between its bytes and its records, and of its records. Counted by cause, and logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from triptych.schemas.names import Modality
from triptych.schemas.records import InputRecord, MediaRecord
from triptych.units import NS_PER_S

_log = structlog.get_logger(__name__)
_NOTED_OVERLAP_NS: Final = 5_000_000
"""A shorter overlap is rounding."""

DropCause = Literal["outage", "slow_link", "suspended", "rejected", "stopped"]
"""Why a record was not sent: the broker was away for longer than records are kept; the link is slower than the feed;
the program was suspended when it was due; the broker rejected it; the program ended before it could be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Counts of what was discarded.

    Attributes:
        late: items behind their track's watermark, which were dropped or trimmed.
        broken: packets that could not be decoded, or only with errors.
        misplaced: packets with wrong timestamps, which were dropped.
        text_faults: blocks and characters of subtitles that could not be read.
        skipped_segments: segments of the subtitles of an HLS channel that could not be fetched.
        overlap_ns: the length of the audio that was trimmed, because audio before it covers that time.
        untranscribed_ns: the length of the speech that came faster than it could be transcribed.
    """

    late: int = 0
    broken: int = 0
    misplaced: int = 0
    text_faults: int = 0
    skipped_segments: int = 0
    overlap_ns: int = 0
    untranscribed_ns: int = 0

    def __add__(self, other: Losses) -> Losses:
        return Losses(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})

    def __sub__(self, other: Losses) -> Losses:
        return Losses(**{name: getattr(self, name) - getattr(other, name) for name in self.__slots__})


@dataclass(frozen=True, slots=True)
class TrackLoss:
    """What a track has lost by one cause: how many media records, in how many gaps."""

    records: int = 0
    gaps: int = 0


TrackLosses = Mapping[tuple[Modality, DropCause], TrackLoss]


class TrackLossCounter:
    """Count dropped records by modality and cause. Records that follow one another, by `seq`, are one gap."""

    def __init__(self) -> None:
        self._losses: dict[tuple[Modality, DropCause], TrackLoss] = {}
        self._last: dict[Modality, tuple[str, int | None]] = {}

    @property
    def losses(self) -> TrackLosses:
        """A copy of the counts."""
        return dict(self._losses)

    def drop(self, record: InputRecord, cause: DropCause) -> None:
        """Count a dropped record. Control records are no loss of media, but count all the same."""
        seq = record.seq if isinstance(record, MediaRecord) else None
        session, last = self._last.get(record.modality, ("", None))
        follows = seq is not None and last is not None and session == record.session and seq == last + 1
        self._last[record.modality] = record.session, seq
        self._add(record.modality, cause, TrackLoss(1, 0 if follows else 1))

    def gap(self, modality: Modality, cause: DropCause) -> None:
        """Count a gap for which there are no records."""
        self._add(modality, cause, TrackLoss(0, 1))

    def _add(self, modality: Modality, cause: DropCause, more: TrackLoss) -> None:
        old = self._losses.get((modality, cause), TrackLoss())
        self._losses[modality, cause] = TrackLoss(old.records + more.records, old.gaps + more.gaps)


class LossLog:
    """Log the losses of one source: each cause once. Where text is lost, its own players log it, with the reason."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._logged: set[str] = set()

    def show(self, losses: Losses, *, reason: str | None = None) -> None:
        """Log each cause that is new, with its count so far.

        Args:
            losses: all losses so far.
            reason: the decoder's first error.
        """
        if losses.late and self._is_new("late"):
            _log.warning("source_badly_interleaved", stream=self._stream, items_dropped_or_trimmed=losses.late)
        if losses.misplaced and self._is_new("misplaced"):
            _log.warning("source_wrong_timestamps", stream=self._stream, packets_dropped=losses.misplaced)
        if losses.broken and self._is_new("broken"):
            _log.warning("source_broken_packets", stream=self._stream, packets=losses.broken, reason=reason)
        if losses.overlap_ns >= _NOTED_OVERLAP_NS and self._is_new("overlap"):
            trimmed_s = round(losses.overlap_ns / NS_PER_S, 3)
            _log.warning("source_audio_overlaps", stream=self._stream, trimmed_s=trimmed_s)

    def _is_new(self, cause: str) -> bool:
        is_new = cause not in self._logged
        self._logged.add(cause)
        return is_new
