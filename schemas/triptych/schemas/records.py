"""The input records of the wire contract, version 1, as frozen values.

A record is one frame, chunk or cue of one track of one stream, or a control record (`Progress`, `End`) of that track.
How a record lies in Kafka is `codec.py`'s affair; what its times mean is said here:

- `start_ns` is event time. A frame is an instant, a chunk and a cue are spans `[start_ns, end_ns)`.
- `next_ns` is the promise that nothing of this track will start before it. Without one (foreign producers) a record
  promises its own start.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from triptych.schemas.names import Modality
from triptych.schemas.values import (
    Count,
    Measure,
    Nanoseconds,
    RecordId,
    SessionId,
    Source,
    StreamId,
    Text,
    Tracks,
    Value,
)

ImageType = Literal["image/jpeg", "image/png", "image/webp"]
SoundType = Literal["audio/wav", "audio/flac"]
Language = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$")]
ModelName = Annotated[str, StringConstraints(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:+-]*$")]
Pixels = Annotated[int, Field(ge=1, le=65_535)]
Hertz = Annotated[int, Field(ge=1, le=1_000_000)]


class _Record(Value):
    """What every input record says of itself."""

    stream: StreamId
    id: RecordId
    source: Source
    session: SessionId
    tracks: Tracks = ()
    start_ns: Nanoseconds
    next_ns: Nanoseconds | None = None
    redriven: bool = False
    letter: RecordId | None = None

    @property
    def watermark_ns(self) -> int:
        """The event time before which nothing more of this track will start."""
        return self.start_ns if self.next_ns is None else self.next_ns


class _Media(_Record):
    """What every record that carries media adds: its place in its session and track, and what was measured by then.

    `av_offset_ms` is how far the session's sound lies behind its picture (below zero: ahead of it), `drift_ppm` how
    much faster than the wall clock the session's own clock runs.
    """

    seq: Count | None = None
    av_offset_ms: Measure | None = None
    drift_ppm: Measure | None = None


class _Span(_Media):
    """Media that covers a span of event time."""

    end_ns: Nanoseconds

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.end_ns <= self.start_ns:
            msg = "end_ns: an end after the start"
            raise ValueError(msg)
        return self


class VideoFrame(_Media):
    """One encoded picture, at the instant `start_ns`."""

    modality: Literal["video"] = "video"
    content_type: ImageType = "image/jpeg"
    data: bytes = Field(min_length=1)
    width: Pixels | None = None
    height: Pixels | None = None


class AudioChunk(_Span):
    """A span of sound in a container of its own (WAV, FLAC)."""

    modality: Literal["audio"] = "audio"
    content_type: SoundType = "audio/wav"
    data: bytes = Field(min_length=1)
    sample_rate_hz: Hertz | None = None


class SubtitleCue(_Span):
    """A line of words and the span in which it is shown.

    `generated` marks words that a machine has heard, `generated_by` names the machine's model.
    """

    modality: Literal["subtitles"] = "subtitles"
    text: Text
    language: Language | None = None
    generated: bool = False
    generated_by: ModelName | None = None


class Progress(_Record):
    """How far a silent track has been read (`start_ns`), and its promise."""

    modality: Modality


class End(_Record):
    """The track is over: nothing more of this session comes on it."""

    modality: Modality


MediaRecord = VideoFrame | AudioChunk | SubtitleCue
InputRecord = VideoFrame | AudioChunk | SubtitleCue | Progress | End
