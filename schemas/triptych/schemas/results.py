"""The result of one window, version 1. Readers ignore fields that they do not know; see `docs/contract.md`.

Times are integer nanoseconds of event time unless the name says otherwise. A field without a value is null or empty.
The id of a window's result is the same whenever and wherever it is computed.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from triptych.schemas.names import result_id
from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.objects import Detection, ObjectCount
from triptych.schemas.perception.vectors import Vectors
from triptych.schemas.values import FROZEN_MAPPING, WRITTEN_WHERE_TRUE, Count, Nanoseconds, Offset, StreamId, Value

SCHEMA_VERSION: Final = 1

ClosedBy = Literal["progress", "end", "idle", "quiet", "bound"]
WITHOUT_WAITING: Final[frozenset[ClosedBy]] = frozenset({"quiet", "idle", "bound"})
"""`closed_by` of the windows that closed before each of their tracks had said that nothing more comes."""
State = Literal["present", "held", "empty", "idle", "absent"]
QualityFlag = Literal["black", "frozen", "blurred", "moved", "silent", "clipping"]
"""The flags that this version raises. Readers accept others: a newer writer may have more."""


class ModalityReport(Value):
    """What a window contains of one modality, and where the records are: the evidence for the result.

    `items` records overlap the window, `used` of them were input to the model, `gaps` sequence numbers are missing
    between them, and `repairs` of them had to be repaired. `offsets` are the first and the last offset on `partition`.
    """

    state: State
    items: Count = 0
    used: Count = 0
    gaps: Count = 0
    repairs: Count = 0
    partition: Count | None = None
    offsets: tuple[Offset, Offset] | None = None


class Modalities(Value):
    """One report for each modality."""

    video: ModalityReport
    audio: ModalityReport
    subtitles: ModalityReport


class Arrival(Value):
    """The broker's append times of the first and the last record of the window, in milliseconds since the epoch."""

    first: Count | None = None
    last: Count | None = None


class Sync(Value):
    """What the producer has measured of the session, from the newest record of the window that carries it.

    `offset_ms` is how far the audio lags the video (negative: it leads). `drift_ppm` is how much faster the session's
    clock runs than the wall clock.
    """

    offset_ms: float | None = None
    drift_ppm: float | None = None


class Shed(Value):
    """What load shedding left out: the number of items that would have been input to the model.

    `detections` is the number of pictures in which objects would have been detected. `model` is true if the model was
    not run at all; then the result only contains the window's words.
    """

    video: Count = 0
    audio: Count = Field(default=0, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    subtitles: Count = Field(default=0, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    detections: Count = Field(default=0, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    model: bool = Field(default=False, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)


class Added(Value):
    """How many records arrived for a window since its previous revision, by modality."""

    video: Count = 0
    audio: Count = 0
    subtitles: Count = 0


class Revised(Value):
    """Why a closed window was computed again."""

    added: Added = Added()


class ModelReference(Value):
    """The model that computed the result."""

    name: str
    version: str
    sha256: str


class LabelScore(Value):
    """A label and its score, from 0 to 1."""

    label: str
    score: float


class Prediction(Value):
    """A label predicted by a trained head, its score, and its calibrated confidence."""

    label: str
    score: float
    confidence: float | None = None


class Words(Value):
    """One cue: its whole text and its own times.

    `generated` marks text from speech recognition, and `generated_by` names the model. Other cues have neither field.
    """

    text: str
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    generated: bool = Field(default=False, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    generated_by: str | None = Field(default=None, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)


class Observations(Value):
    """What the encoders observed.

    `speech_share` is the share of speech in the audio that is present. `loudness_lufs` is the integrated loudness by
    ITU-R BS.1770, null below its gate.
    """

    visual: tuple[LabelScore, ...] = ()
    sound: tuple[LabelScore, ...] = ()
    speech_share: float | None = None
    loudness_lufs: float | None = None
    words: tuple[Words, ...] = ()
    language: str | None = None


class Quality(Value):
    """The technical quality of the window's media, measured without a network on what the model was given.

    `brightness` is the mean luma of the frames, `dark_share` the share of pixels with a luma below 0.1 in the frame
    that has fewest of them, `change` the largest mean difference of luma between two consecutive frames; all from 0 to
    1. `sharpness` is the standard deviation of the luma's Laplacian divided by that of the luma, the median of the
    frames. `layout` is a 64-bit hash of the coarse picture, in hexadecimal: similar views differ in few bits.
    `level_dbfs` is the level of the audio that is present, `clipped_share` the share of its samples at full scale. A
    measure is null where the window has too little media for it.

    `flags` tell what an operator should look at. A flag begins at one limit and ends at another one, so that it does
    not flicker; docs/quality.md has the limits.
    """

    brightness: float | None = None
    dark_share: float | None = None
    change: float | None = None
    sharpness: float | None = None
    layout: str | None = None
    level_dbfs: float | None = None
    clipped_share: float | None = None
    flags: tuple[str, ...] = ()


class Shares(Value):
    """Each modality's share in a prediction: its absolute Shapley value, divided by their sum."""

    video: float | None = None
    audio: float | None = None
    subtitles: float | None = None


class TimeSlice(Value):
    """The contribution of one interval of the window to the score of a prediction: its Shapley value."""

    start_ns: Nanoseconds
    end_ns: Nanoseconds
    contribution: float


class Result(Value):
    """The result of one window of one stream. On the wire it is JSON, and the key is the stream's id.

    The window is `[start_ns, end_ns)`. `published_ns` is the worker's wall clock. `closed_by` is why the window closed,
    `skipped` the number of empty windows before it that were not published, `dead` the number of records dead-lettered
    since the previous window. `stage_ms` are the processing times of the worker's stages.

    A result closed by `quiet`, `idle` or `bound` may still be completed by a later `revision`, until its stream has
    moved `align.complete_within_ms` of event time past it. `revisable_until_ns` says so and until when: after a result
    of the stream that starts at this event time or later, no revision of this one is begun. A result without it is
    final, unless a version of the worker without the field published it.

    `sound_vectors` are in a space of sounds and texts, where the worker has one beside that of `vectors`.

    `counts` are by label of the detections, and of `people`: the larger of the numbers of persons and faces, a lower
    bound. It is absent where no picture was examined. A label stays in it once it was seen in the stream, with zeros
    where nothing is. `matches` are by the name
    of the prompt; `prompts_version` is the version of the prompts of the stream that they were computed with.
    `trace_id` is that of the window's trace, where it is sampled; all its revisions have the same.
    """

    schema_version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    id: str
    stream: StreamId
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    revision: Count = 0
    revised: Revised | None = Field(default=None, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    closed_by: ClosedBy
    revisable_until_ns: Nanoseconds | None = Field(
        default=None, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE
    )
    skipped: Count = 0
    published_ns: Count
    arrival_ms: Arrival = Arrival()
    modalities: Modalities
    sync: Sync = Sync()
    shed: Shed = Shed()
    dead: Count = 0
    model: ModelReference
    observations: Observations = Observations()
    quality: Quality | None = Field(default=None, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    detections: tuple[Detection, ...] = Field(
        default=(), exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE
    )
    counts: Annotated[Mapping[str, ObjectCount], *FROZEN_MAPPING] | None = Field(
        default=None, exclude_if=lambda counts: counts is None, json_schema_extra=WRITTEN_WHERE_TRUE
    )
    predictions: Annotated[Mapping[str, tuple[Prediction, ...]], *FROZEN_MAPPING] = Field(
        default_factory=dict, validate_default=True
    )
    shares: Shares | None = None
    when: tuple[TimeSlice, ...] = Field(default=(), exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    embedding: tuple[float, ...] | None = None
    vectors: Vectors | None = Field(default=None, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    sound_vectors: Vectors | None = Field(default=None, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    novelty: float | None = None
    matches: Annotated[Mapping[str, Match], *FROZEN_MAPPING] | None = Field(
        default=None, exclude_if=lambda matches: matches is None, json_schema_extra=WRITTEN_WHERE_TRUE
    )
    prompts_version: str | None = Field(default=None, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    trace_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = Field(
        default=None, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE
    )
    stage_ms: Annotated[Mapping[str, float], *FROZEN_MAPPING] = Field(default_factory=dict, validate_default=True)

    @property
    def window(self) -> str:
        """The id of the window, which all its revisions share."""
        return self.id.rpartition("/")[0]

    @model_validator(mode="after")
    def _names_its_window(self) -> Self:
        if self.end_ns <= self.start_ns:
            msg = "end_ns: an end after the start"
            raise ValueError(msg)
        if self.id != result_id(self.stream, self.start_ns, self.end_ns, self.revision):
            msg = "id: the id that stream, start_ns, end_ns and revision make"
            raise ValueError(msg)
        return self
