"""The player of an HLS rendition: it places the cues that were fetched on the timeline of the session, and plays them.

A cue with a clock (`X-TIMESTAMP-MAP`) is placed by the time stamps of the transport stream. One without is placed from
the beginning of the playlist on demand, and by time zero of the stream in a live channel. After a discontinuity the
clock may begin anew, so a cue is played only where its segment's place in the playlist has been reached.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import structlog
from av.packet import Packet

from triptych.producers.session.track_records import TrackRecords
from triptych.producers.session_timeline import SessionTimeline
from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.hls.rendition_reader import RenditionReader
from triptych.producers.subtitles.hls.segment import MPEG_WRAP_NS, RenditionCue
from triptych.producers.subtitles.repeats import RepeatFilter
from triptych.schemas.records import InputRecord
from triptych.units import NS_PER_S

_log = structlog.get_logger(__name__)

_TOLERANCE_NS: Final = NS_PER_S // 2
"""How exactly the durations in a playlist are those of the media."""

_MAX_LIVE_HOLD_NS: Final = 20 * NS_PER_S
"""How long cues that were not fetched yet hold the watermark of a live channel back."""

_MAX_LIVE_DISTANCE_NS: Final = 120 * NS_PER_S
"""A cue farther from the position than this belongs to another timeline of a live channel."""

_MAX_WAITING: Final = 2_000
_DRAIN_TIMEOUT_S: Final = 10.0
"""How long the end of an on-demand pass waits for segments that are not fetched yet."""


class RenditionProgress:
    """How far a source and its rendition were played, session after session of one pass.

    Attributes:
        reader: reads the rendition.
        played_ns: how much of the source was played in earlier sessions of the pass.
        waiting: cues that are not due yet.
        lag_ns: how much later than expected the cues of a live channel have come.
        reported_skips: how many of the skipped segments were logged.
        has_reported_failure: whether it was logged that the rendition cannot be read.
    """

    def __init__(self, reader: RenditionReader, stream: str) -> None:
        self.reader = reader
        self.stream = stream
        self.played_ns = 0
        self.waiting: list[RenditionCue] = []
        self.lag_ns = 0
        self.reported_skips = 0
        self.has_reported_failure = False

    def restart(self) -> None:
        """Begin another pass."""
        self.reader = self.reader.again()
        self.played_ns, self.reported_skips = 0, 0
        self.waiting.clear()


class RenditionPlayer:
    """Play the cues of a rendition in one session."""

    def __init__(self, progress: RenditionProgress, records: TrackRecords, timeline: SessionTimeline) -> None:
        self._progress = progress
        self._records = records
        self._timeline = timeline
        self._repeats = RepeatFilter()
        self._before_ns = progress.played_ns
        starts = progress.reader.timeline_starts_ns
        self._first_timeline = min(range(len(starts)), key=lambda number: abs(starts[number] - self._before_ns))
        self.end_ns = timeline.base_ns

    def feed(self, packet: Packet[Any]) -> Iterator[InputRecord]:
        """Yield nothing: the cues do not come from packets."""
        del packet
        yield from ()

    def advance(self, position_ns: int) -> Iterator[InputRecord]:
        """Yield the cues that are due, or report how far they are known."""
        self._progress.reader.position_ns = position_ns - self._timeline.base_ns + self._timeline.origin_ns
        self._report_trouble()
        yield from self._due(position_ns)
        if self._records.progress_due(position_ns):
            yield self._records.progress(position_ns, self._watermark_ns(position_ns))

    def finish(self, end_ns: int) -> Iterator[InputRecord]:
        """Yield the cues that begin before the end of the media. On demand, wait for those that were not fetched."""
        end_in_playlist_ns = self._before_ns + end_ns - self._timeline.base_ns
        self._progress.reader.wait_until_known(end_in_playlist_ns, _DRAIN_TIMEOUT_S)
        yield from self._due(end_ns - 1)
        self._progress.played_ns = end_in_playlist_ns
        self._report_trouble()

    @property
    def failure(self) -> str | None:
        """Why the rendition cannot be read at present; None while it can."""
        return self._progress.reader.failure

    def known_ns(self, position_ns: int) -> int:
        """Return the session time up to which the text is known, where the video was read up to `position_ns`."""
        reader = self._progress.reader
        if reader.is_live:
            known_ns = reader.live_known_ns
            base_ns = self._timeline.base_ns
            lag_ns = self._timeline.origin_ns + self._progress.lag_ns
            session_ns = base_ns if known_ns is None else known_ns - lag_ns + base_ns
            return max(base_ns, position_ns - _MAX_LIVE_HOLD_NS, min(position_ns, session_ns))
        known = reader.known_ns
        if known is None:
            return position_ns
        return max(self._timeline.base_ns, min(position_ns, self._in_session(known) - _TOLERANCE_NS))

    def _watermark_ns(self, position_ns: int) -> int:
        starts = (cue.start_ns for each in self._progress.waiting if (cue := self._placed(each, position_ns)))
        return min(self.known_ns(position_ns), min(starts, default=position_ns))

    def _due(self, position_ns: int) -> Iterator[InputRecord]:
        progress = self._progress
        waiting = [*progress.waiting, *progress.reader.take()]
        progress.waiting = []
        due: list[Cue] = []
        for each in waiting:
            if self._has_passed(each):
                self._records.late_items += 1
                continue
            cue = self._placed(each, position_ns)
            if cue is None or cue.start_ns > position_ns:
                progress.waiting.append(each)
            elif cue.end_ns > self._timeline.base_ns:
                due.append(replace(cue, start_ns=max(cue.start_ns, self._timeline.base_ns)))
        self._records.late_items += max(0, len(progress.waiting) - _MAX_WAITING) if progress.reader.is_live else 0
        if progress.reader.is_live:
            progress.waiting = progress.waiting[-_MAX_WAITING:]
        due.sort(key=lambda cue: cue.start_ns)
        for number, cue in enumerate(due, 1):
            next_ns = due[number].start_ns if number < len(due) else self._watermark_ns(position_ns)
            self._learn_lag(cue)
            new = self._repeats.new_part(cue)
            record = None if new is None else self._records.cue(new, max(cue.start_ns, min(next_ns, position_ns)))
            if record is not None:
                yield record

    def _learn_lag(self, cue: Cue) -> None:
        """Wait longer from now on where a cue came after the watermark, which was then too early."""
        late_ns = self._records.watermark_ns - cue.start_ns
        if late_ns > 0 and self._progress.reader.is_live:
            self._progress.lag_ns = min(_MAX_LIVE_HOLD_NS, self._progress.lag_ns + late_ns)

    def _has_passed(self, each: RenditionCue) -> bool:
        """Return whether a cue belongs to an earlier timeline of an on-demand playlist."""
        return not self._progress.reader.is_live and each.segment.timeline < self._first_timeline

    def _placed(self, each: RenditionCue, position_ns: int) -> Cue | None:
        """Return the cue in session time; None where it belongs to a later timeline."""
        if self._progress.reader.is_live:
            start_ns = self._by_clock(each, near_ns=position_ns)
            is_here = abs(start_ns - position_ns) <= _MAX_LIVE_DISTANCE_NS
        elif each.has_clock:
            segment_ns = self._in_session(each.segment.start_ns)
            start_ns = self._by_clock(each, near_ns=segment_ns)
            is_here = each.segment.timeline == self._first_timeline or start_ns >= segment_ns - _TOLERANCE_NS
        else:
            start_ns, is_here = self._in_session(each.cue.start_ns), True
        return (
            replace(each.cue, start_ns=start_ns, end_ns=start_ns + each.cue.end_ns - each.cue.start_ns)
            if is_here
            else None
        )

    def _by_clock(self, each: RenditionCue, *, near_ns: int) -> int:
        """Return the session time of a cue by the clock of the transport stream, which wraps around."""
        session_ns = each.cue.start_ns - self._timeline.origin_ns + self._timeline.base_ns
        return session_ns + round((near_ns - session_ns) / MPEG_WRAP_NS) * MPEG_WRAP_NS

    def _in_session(self, playlist_ns: int) -> int:
        return playlist_ns - self._before_ns + self._timeline.base_ns

    def _report_trouble(self) -> None:
        reason = self.failure
        if reason is not None and not self._progress.has_reported_failure:
            self._progress.has_reported_failure = True
            _log.warning("subtitles_unreadable", stream=self._progress.stream, reason=reason)
        skipped = self._progress.reader.skipped
        if skipped > self._progress.reported_skips:
            self._records.skipped_segments += skipped - self._progress.reported_skips
            if not self._progress.reported_skips:
                _log.warning("subtitle_segments_skipped", stream=self._progress.stream, segments=skipped)
            self._progress.reported_skips = skipped
