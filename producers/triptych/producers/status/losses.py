"""What a source has lost between its bytes and its records, by cause. Counted, and logged once for each cause."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import structlog

from triptych.units import NS_PER_S

_log = structlog.get_logger(__name__)
_NOTED_OVERLAP_NS: Final = 5_000_000
"""A shorter overlap is rounding."""


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
        return Losses(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})

    def __sub__(self, other: Losses) -> Losses:
        return Losses(**{each.name: getattr(self, each.name) - getattr(other, each.name) for each in fields(self)})


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
