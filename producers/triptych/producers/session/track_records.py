"""The records of one track of one session: ids, `seq`, promises, control records. Pure.

Times come in session time (nanoseconds since the session's start) and leave as event time. A promise once made is
kept: it never goes back, and what would start before it is not made into a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypedDict

from triptych.producers.media.audio import SAMPLE_RATE_HZ, PcmChunk
from triptych.producers.media.video import SampledFrame
from triptych.producers.media.wav import to_wav
from triptych.producers.subtitles.cue import Cue
from triptych.schemas.names import Modality
from triptych.schemas.records import AudioChunk, End, Progress, SubtitleCue, VideoFrame

PROGRESS_INTERVAL_NS: Final = 500_000_000
"""A track that has said nothing for so long of media time says how far it has been read."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What all records of a session have in common."""

    stream: str
    source: str
    session: str
    start_at_ns: int
    tracks: tuple[Modality, ...]


class _Common(TypedDict):
    stream: str
    source: str
    session: str
    tracks: tuple[Modality, ...]
    id: str
    start_ns: int
    next_ns: int


class TrackRecords:
    """Make the records of one track, in order.

    Attributes:
        promise_ns: nothing of this track will start before it.
        spoken_ns: the media time up to which the track's records speak.
        over_ns: where the track's media ends so far.
        behind: items that came too late to keep the promise, and were left out or cut.
    """

    def __init__(self, feed: SessionInfo, modality: Modality) -> None:
        self._feed = feed
        self._modality: Modality = modality
        self._media_count = 0
        self._control_count = 0
        self.watermark_ns = 0
        self.covered_ns = 0
        self.end_ns = 0
        self.late_items = 0

    @property
    def may_send_progress(self) -> bool:
        """Whether `progress` may be sent: on pictures and sound the first record of a session is media."""
        return self._modality == "subtitles" or self._media_count > 0

    def frame(self, picture: SampledFrame, next_ns: int) -> VideoFrame | None:
        """Return the record of a picture; None where it comes too late."""
        if picture.at_ns < self.watermark_ns:
            self.late_items += 1
            return None
        common = self._media(picture.at_ns, picture.at_ns, next_ns)
        return VideoFrame(**common, seq=self._next_seq(), data=picture.jpeg, width=picture.width, height=picture.height)

    def chunk(self, sound: PcmChunk) -> AudioChunk:
        """Return the record of some sound, which must start at the promise or later."""
        common = self._media(sound.start_ns, sound.end_ns, sound.end_ns)
        return AudioChunk(
            **common,
            seq=self._next_seq(),
            end_ns=self._feed.start_at_ns + sound.end_ns,
            data=to_wav(sound.samples, SAMPLE_RATE_HZ),
            sample_rate_hz=SAMPLE_RATE_HZ,
        )

    def cue(self, cue: Cue, next_ns: int) -> SubtitleCue | None:
        """Return the record of a cue; one that comes too late loses its beginning, or all of it."""
        start_ns = cue.start_ns
        if start_ns < self.watermark_ns:
            self.late_items += 1
            start_ns = self.watermark_ns
        if cue.end_ns <= start_ns:
            return None
        common = self._media(start_ns, cue.end_ns, next_ns, covered_ns=start_ns)
        return SubtitleCue(
            **common,
            seq=self._next_seq(),
            end_ns=self._feed.start_at_ns + cue.end_ns,
            text=cue.text,
            language=cue.language,
            generated=cue.generated_by is not None,
            generated_by=cue.generated_by,
        )

    def progress_due(self, position_ns: int) -> bool:
        """Return whether `progress` is due, the track being read up to `position_ns`."""
        return self.may_send_progress and position_ns - self.covered_ns >= PROGRESS_INTERVAL_NS

    def progress(self, position_ns: int, next_ns: int) -> Progress:
        """Return the record that says how far the silent track has been read."""
        self.covered_ns = max(self.covered_ns, position_ns)
        self._control_count += 1
        common = self._common(position_ns, next_ns, f"progress-{self._control_count}")
        return Progress(**common, modality=self._modality)

    def end(self, session_end_ns: int) -> End:
        """Return the record that ends the track: where it ended, nothing more before the session's end."""
        common = self._common(self.end_ns, max(session_end_ns, self.end_ns), "end")
        return End(**common, modality=self._modality)

    def _media(self, start_ns: int, end_ns: int, next_ns: int, *, covered_ns: int | None = None) -> _Common:
        self.end_ns = max(self.end_ns, end_ns)
        self.covered_ns = max(self.covered_ns, end_ns if covered_ns is None else covered_ns)
        return self._common(start_ns, max(next_ns, start_ns), str(self._media_count))

    def _common(self, start_ns: int, next_ns: int, name: str) -> _Common:
        feed = self._feed
        self.watermark_ns = max(self.watermark_ns, next_ns)
        return {
            "stream": feed.stream,
            "source": feed.source,
            "session": feed.session,
            "tracks": feed.tracks,
            "id": f"{feed.stream}/{feed.session}/{self._modality}/{name}",
            "start_ns": feed.start_at_ns + start_ns,
            "next_ns": feed.start_at_ns + self.watermark_ns,
        }

    def _next_seq(self) -> int:
        seq = self._media_count
        self._media_count += 1
        return seq
