"""Make the records of one track of one session: ids, `seq`, watermarks, control records. Pure.

Times come in as session time (nanoseconds since the session's start) and go out as event time. The watermark of a track
never decreases, and no record starts before it. The worker closes windows by it (alignment rule 5, see
`docs/alignment.md`).
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
"""A track without records for this much media time reports its progress."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What all records of a session have in common.

    Attributes:
        stream: the stream's id.
        source: the URI of the source.
        session: the session's id.
        start_at_ns: the event time of the session's start.
        tracks: the modalities that the session announces.
    """

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
        watermark_ns: no further record of this track starts before it.
        covered_ns: the media time up to which records were sent.
        end_ns: where the track's media ends so far.
        late_items: items behind the watermark, which were dropped or trimmed.
        skipped_segments: segments of text that could not be fetched.
        is_held: whether to send no `progress`, because it is open where the track's records will come from.
    """

    def __init__(self, info: SessionInfo, modality: Modality) -> None:
        self._info = info
        self._modality: Modality = modality
        self._media_count = 0
        self._control_count = 0
        self.watermark_ns = 0
        self.covered_ns = 0
        self.end_ns = 0
        self.late_items = 0
        self.skipped_segments = 0
        self.is_held = False

    @property
    def is_unused(self) -> bool:
        """Whether no record was made yet."""
        return self._media_count == self._control_count == 0

    @property
    def may_send_progress(self) -> bool:
        """Whether `progress` may be sent. On video and audio, the first record of a session must be media."""
        return self._modality == "subtitles" or self._media_count > 0

    def frame(self, frame: SampledFrame) -> VideoFrame | None:
        """Return the record of a frame; None for a late frame."""
        if frame.at_ns < self.watermark_ns:
            self.late_items += 1
            return None
        common = self._media(frame.at_ns, frame.at_ns, frame.next_ns)
        return VideoFrame(**common, seq=self._next_seq(), data=frame.jpeg, width=frame.width, height=frame.height)

    def chunk(self, chunk: PcmChunk) -> AudioChunk:
        """Return the record of an audio chunk, which must not start before the watermark."""
        common = self._media(chunk.start_ns, chunk.end_ns, chunk.end_ns)
        return AudioChunk(
            **common,
            seq=self._next_seq(),
            end_ns=self._info.start_at_ns + chunk.end_ns,
            data=to_wav(chunk.samples, SAMPLE_RATE_HZ),
            sample_rate_hz=SAMPLE_RATE_HZ,
        )

    def cue(self, cue: Cue, watermark_ns: int) -> SubtitleCue | None:
        """Return the record of a cue. The part of a cue before the watermark is cut off; None where nothing is left."""
        start_ns = cue.start_ns
        if start_ns < self.watermark_ns:
            self.late_items += 1
            start_ns = self.watermark_ns
        if cue.end_ns <= start_ns:
            return None
        common = self._media(start_ns, cue.end_ns, watermark_ns, covered_ns=start_ns)
        return SubtitleCue(
            **common,
            seq=self._next_seq(),
            end_ns=self._info.start_at_ns + cue.end_ns,
            text=cue.text,
            language=cue.language,
            generated=cue.generated_by is not None,
            generated_by=cue.generated_by,
        )

    def progress_due(self, position_ns: int) -> bool:
        """Return whether `progress` is due for a track that was read up to `position_ns`."""
        return position_ns - self.covered_ns >= PROGRESS_INTERVAL_NS and not self.is_held and self.may_send_progress

    def progress(self, position_ns: int, watermark_ns: int) -> Progress:
        """Return the record that reports how far a track without media was read."""
        self.covered_ns = max(self.covered_ns, position_ns)
        self._control_count += 1
        common = self._common(position_ns, watermark_ns, f"progress-{self._control_count}")
        return Progress(**common, modality=self._modality)

    def end(self, session_end_ns: int) -> End:
        """Return the record that ends the track. It promises that no record follows before the session's end."""
        common = self._common(self.end_ns, max(session_end_ns, self.end_ns), "end")
        return End(**common, modality=self._modality)

    def _media(self, start_ns: int, end_ns: int, watermark_ns: int, *, covered_ns: int | None = None) -> _Common:
        self.end_ns = max(self.end_ns, end_ns)
        self.covered_ns = max(self.covered_ns, end_ns if covered_ns is None else covered_ns)
        return self._common(start_ns, max(watermark_ns, start_ns), str(self._media_count))

    def _common(self, start_ns: int, watermark_ns: int, name: str) -> _Common:
        info = self._info
        self.watermark_ns = max(self.watermark_ns, watermark_ns)
        return {
            "stream": info.stream,
            "source": info.source,
            "session": info.session,
            "tracks": info.tracks,
            "id": f"{info.stream}/{info.session}/{self._modality}/{name}",
            "start_ns": info.start_at_ns + start_ns,
            "next_ns": info.start_at_ns + self.watermark_ns,
        }

    def _next_seq(self) -> int:
        seq = self._media_count
        self._media_count += 1
        return seq
