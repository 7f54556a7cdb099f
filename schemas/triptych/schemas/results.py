"""The result of one window, version 1. Readers ignore fields that they do not know; see `docs/contract.md`.

Times are integer nanoseconds of event time unless their name says otherwise. A field that nothing fills yet is null or
empty. The id is the same whenever and wherever the window is computed again.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from triptych.schemas.names import result_id
from triptych.schemas.values import FROZEN_MAPPING, WRITTEN_WHERE_TRUE, Count, Nanoseconds, Offset, StreamId, Value

SCHEMA_VERSION: Final = 1

ClosedBy = Literal["progress", "end", "idle", "quiet", "bound"]
State = Literal["present", "held", "empty", "idle", "absent"]


class ModalityReport(Value):
    """What a window holds of one modality, and where it lies: the evidence of the result.

    `items` records touch the window, `used` of them were shown to the model, `gaps` sequence numbers are missing
    between them, `repairs` were mended to be usable. `offsets` are the first and the last offset on `partition`.
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
    """When the broker appended the first and the last record of the window: milliseconds since the epoch."""

    first: Count | None = None
    last: Count | None = None


class Sync(Value):
    """What the producer has measured of the session, as the window's newest record that says any of it has it.

    `offset_ms` is how far the sound lies behind the picture (below zero: ahead of it), `drift_ppm` how much faster than
    the wall clock the session's own clock runs.
    """

    offset_ms: float | None = None
    drift_ppm: float | None = None


class Shed(Value):
    """What overload made the worker leave out: items that the model would have been shown.

    With `model` it was shown none, and not asked at all: what the result says of its window are its words.
    """

    video: Count = 0
    audio: Count = Field(default=0, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    subtitles: Count = Field(default=0, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    model: bool = Field(default=False, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)


class Added(Value):
    """How many records came for a window since the result of the revision before, by modality."""

    video: Count = 0
    audio: Count = 0
    subtitles: Count = 0


class Revised(Value):
    """What made a closed window be judged again."""

    added: Added = Added()


class ModelReference(Value):
    """Which model said it."""

    name: str
    version: str
    sha256: str


class LabelScore(Value):
    """A label and its score, in 0..1."""

    label: str
    score: float


class Prediction(Value):
    """A label of a trained head, its score, and the calibrated confidence."""

    label: str
    score: float
    confidence: float | None = None


class Words(Value):
    """One cue: its whole text and its own times.

    `generated` marks words that a machine has heard, `generated_by` names the machine's model; both are there for such
    words only.
    """

    text: str
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    generated: bool = Field(default=False, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    generated_by: str | None = Field(default=None, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)


class Observations(Value):
    """What the encoders saw, heard and read.

    `speech_share` is a share of the audio present; `loudness_lufs` is the integrated loudness of ITU-R BS.1770, null
    below its gate.
    """

    visual: tuple[LabelScore, ...] = ()
    sound: tuple[LabelScore, ...] = ()
    speech_share: float | None = None
    loudness_lufs: float | None = None
    words: tuple[Words, ...] = ()
    language: str | None = None


class Shares(Value):
    """The share of each modality in a prediction: |Shapley value| over their sum."""

    video: float | None = None
    audio: float | None = None
    subtitles: float | None = None


class TimeSlice(Value):
    """What a stretch of the window contributed to the score of a prediction: its Shapley value among the stretches."""

    start_ns: Nanoseconds
    end_ns: Nanoseconds
    contribution: float


class Result(Value):
    """What the fused model says of one window of one stream."""

    schema_version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    id: str
    stream: StreamId
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    revision: Count = 0
    revised: Revised | None = Field(default=None, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    closed_by: ClosedBy
    skipped: Count = 0
    published_ns: Count
    arrival_ms: Arrival = Arrival()
    modalities: Modalities
    sync: Sync = Sync()
    shed: Shed = Shed()
    dead: Count = 0
    model: ModelReference
    observations: Observations = Observations()
    predictions: Annotated[Mapping[str, tuple[Prediction, ...]], *FROZEN_MAPPING] = Field(
        default_factory=dict, validate_default=True
    )
    shares: Shares | None = None
    when: tuple[TimeSlice, ...] = Field(default=(), exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    embedding: tuple[float, ...] | None = None
    novelty: float | None = None
    stage_ms: Annotated[Mapping[str, float], *FROZEN_MAPPING] = Field(default_factory=dict, validate_default=True)

    @property
    def window(self) -> str:
        """Name the window: the same for all its revisions."""
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
