"""The input records of the wire contract, version 1, as frozen values.

A record is one frame, chunk or cue of one track of a stream, or a control record (`Progress`, `End`) of that track.
`codec.py` defines how a record is encoded as a Kafka message. The fields that every record has:

- `stream`: the stream's id. It is the message's key, and so determines the partition.
- `start_ns`: event time in nanoseconds since the epoch. A frame is an instant; a chunk and a cue cover the interval
  `[start_ns, end_ns)`.
- `next_ns`: the track's watermark: no later record of this track starts before it. Without one, a record's own start
  counts as its watermark.
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
    """The fields that every input record has.

    On the wire: `stream` is the key, `id` is `ce_id`, `source` `ce_source`, `session` `ce_session`, `tracks`
    `ce_tracks`, `start_ns` `ce_startns`, `next_ns` `ce_nextns`. `redriven` (`ce_redriven`) marks a record that was
    redriven from the dead-letter topic, and `letter` (`ce_letter`) names its dead letter.
    """

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
        """The watermark of this track after this record: no later record of the track starts before it."""
        return self.start_ns if self.next_ns is None else self.next_ns


class _Media(_Record):
    """The fields that every media record has.

    `seq` (`ce_seq`) counts the media records of a track within its session. `av_offset_ms` (`ce_avoffsetms`) is how far
    the session's audio lags its video, negative if it leads. `drift_ppm` (`ce_driftppm`) is how much faster the
    session's clock runs than the wall clock.
    """

    seq: Count | None = None
    av_offset_ms: Measure | None = None
    drift_ppm: Measure | None = None


class _Span(_Media):
    """A media record that covers the interval `[start_ns, end_ns)` of event time. `end_ns` is `ce_endns`."""

    end_ns: Nanoseconds

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.end_ns <= self.start_ns:
            msg = "end_ns: an end after the start"
            raise ValueError(msg)
        return self


class VideoFrame(_Media):
    """One encoded image at the instant `start_ns`.

    The message's value is `data`. `content_type` is `content-type`, `width` and `height` are `ce_width` and
    `ce_height`.
    """

    modality: Literal["video"] = "video"
    content_type: ImageType = "image/jpeg"
    data: bytes = Field(min_length=1)
    width: Pixels | None = None
    height: Pixels | None = None


class AudioChunk(_Span):
    """One chunk of audio, in a self-contained container (WAV or FLAC).

    The message's value is `data`. `content_type` is `content-type`, `sample_rate_hz` is `ce_samplerate`.
    """

    modality: Literal["audio"] = "audio"
    content_type: SoundType = "audio/wav"
    data: bytes = Field(min_length=1)
    sample_rate_hz: Hertz | None = None


class SubtitleCue(_Span):
    """One cue: its text, and the interval in which it is shown.

    The message's value is `text` in UTF-8. `language` is `ce_language`. `generated` (`ce_generated`) marks text from
    speech recognition, and `generated_by` (`ce_generatedby`) names the model.
    """

    modality: Literal["subtitles"] = "subtitles"
    text: Text
    language: Language | None = None
    generated: bool = False
    generated_by: ModelName | None = None


class Progress(_Record):
    """A control record of a track without media: how far it has been read (`start_ns`), and its watermark (`next_ns`).

    The message's value is empty; `modality` is `ce_subject`.
    """

    modality: Modality


class End(_Record):
    """A control record: the track has ended, and no later record of this session comes on it.

    The message's value is empty; `modality` is `ce_subject`.
    """

    modality: Modality


MediaRecord = VideoFrame | AudioChunk | SubtitleCue
InputRecord = VideoFrame | AudioChunk | SubtitleCue | Progress | End
