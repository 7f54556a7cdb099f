"""The events of the worker: frozen values that the worker emits and hooks consume (`hooks.py`).

An event states what happened, not how it is logged or counted. `start_ns` and `end_ns` are event time in nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from triptych.schemas.names import Modality
from triptych.schemas.reasons import DeadReason
from triptych.schemas.results import ClosedBy, Result
from triptych.service.tracing.exporter import SpanOutcome
from triptych.transport.records import Unreadable
from triptych.worker.alignment.decisions import ClosedWindow, LateItem
from triptych.worker.publishing.window_times import WindowTimes

Stage = Literal["ask", "prepare", "infer", "detect", "publish", "store", "commit"]
"""A step of the worker whose duration is measured; `ask` is a request for end offsets, `detect` a part of `infer`."""

DropReason = Literal["repeat", "left_session", "redriven", "other_pipeline"]
"""Why a record is dropped.

`repeat`: a producer sent it twice. `left_session`: its track has moved on to a newer session. `redriven`: a control
record that was put back from the dead-letter topic. `other_pipeline`: put back for another pipeline.
"""

Service = Literal["kafka", "redis"]
"""A server that the worker retries while it is unavailable."""

ModelRole = Literal["model", "shadow"]
"""Whether a model's predictions are published (`model`) or only compared with those that are (`shadow`)."""


@dataclass(frozen=True, slots=True)
class RecordsRead:
    """A poll returned records of one modality."""

    modality: Modality
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class WindowClosed:
    """A window closed. `skipped` empty windows before it are not published; `dead` of its records are dead-lettered."""

    stream: str
    start_ns: int
    end_ns: int
    closed_by: ClosedBy
    skipped: int
    dead: int


@dataclass(frozen=True, slots=True)
class WindowRevised:
    """A closed window is published again, with `added` late items."""

    stream: str
    start_ns: int
    end_ns: int
    revision: int
    added: int


@dataclass(frozen=True, slots=True)
class RevisionStateEvicted:
    """A closed window can no longer be revised, earlier than configured: its memory was needed."""

    stream: str
    start_ns: int
    end_ns: int


def window_event(window: ClosedWindow) -> WindowClosed | WindowRevised:
    """Return the event of a closed or revised window."""
    if window.revision:
        added = sum(window.added.values())
        return WindowRevised(window.stream, window.start_ns, window.end_ns, window.revision, added)
    return WindowClosed(
        stream=window.stream,
        start_ns=window.start_ns,
        end_ns=window.end_ns,
        closed_by=window.closed_by,
        skipped=window.skipped,
        dead=window.dead,
    )


@dataclass(frozen=True, slots=True)
class LateItemReceived:
    """A late item arrived: all of its windows are closed, or it was put back from the dead-letter topic (`redriven`).

    `next_window_start_ns` is the start of the stream's next open window. With `revises`, a closed window is published
    again with the item; otherwise no result contains it.
    """

    stream: str
    modality: Modality
    session: str
    start_ns: int
    next_window_start_ns: int
    redriven: bool = False
    revises: bool = False


def late_item_event(late: LateItem) -> LateItemReceived:
    """Return the event of a late item."""
    entry = late.entry
    return LateItemReceived(
        stream=str(entry.stream),
        modality=entry.modality,
        session=entry.session,
        start_ns=entry.start_ns,
        next_window_start_ns=late.next_window_start_ns,
        redriven=entry.redriven,
        revises=late.revises,
    )


@dataclass(frozen=True, slots=True)
class RecordDropped:
    """A record was dropped without effect."""

    stream: str
    modality: Modality
    session: str
    reason: DropReason


@dataclass(frozen=True, slots=True)
class RecordDeadLettered:
    """A record was published on the dead-letter topic."""

    topic: str
    partition: int
    offset: int
    modality: Modality
    reason: str
    code: DeadReason


@dataclass(frozen=True, slots=True)
class BatchInferred:
    """The model processed a batch."""

    windows: int
    took_ms: float


@dataclass(frozen=True, slots=True)
class StageCompleted:
    """A step of the worker completed."""

    stage: Stage
    took_ms: float


@dataclass(frozen=True, slots=True)
class ResultsPublished:
    """Results are on the results topic and in the store. `new` of them were new to the store."""

    results: int
    new: int


@dataclass(frozen=True, slots=True)
class WindowPublished:
    """The result of a window is on the results topic and in the store. `times` tell when the stages worked on it."""

    window: ClosedWindow
    result: Result
    times: WindowTimes


@dataclass(frozen=True, slots=True)
class SpansHandled:
    """Spans of traces were exported, were dropped because too many waited, or were not accepted (`failed`)."""

    outcome: SpanOutcome
    spans: int


@dataclass(frozen=True, slots=True)
class SyncMeasured:
    """A result with a producer's measurement was published.

    `offset_ms` is the delay of audio behind video, `drift_ppm` the drift of the source's clock in parts per million.
    """

    stream: str
    offset_ms: float | None
    drift_ppm: float | None


@dataclass(frozen=True, slots=True)
class ResultsReplayed:
    """The tail of the results topic was written to the store again. `new` of the results were missing there."""

    results: int
    new: int


@dataclass(frozen=True, slots=True)
class StreamForgotten:
    """A stream's TTL expired, and its state was dropped."""

    stream: str


@dataclass(frozen=True, slots=True)
class PartitionsAssigned:
    """The group assigned partitions to this worker, each of them on all three input topics."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PartitionRestarted:
    """A partition is restored from Kafka, because decisions about it were not published or their outcome is unknown."""

    number: int


@dataclass(frozen=True, slots=True)
class PartitionsHandedOver:
    """The work in flight of partitions that are being revoked is finished and committed.

    `left` results were not finished within the time limit. The next owner makes them again.
    """

    numbers: tuple[int, ...]
    left: int
    took_ms: float


@dataclass(frozen=True, slots=True)
class PartitionsRevoked:
    """Partitions left this worker. `lost`: another member may have owned them for some time."""

    numbers: tuple[int, ...]
    lost: bool


@dataclass(frozen=True, slots=True)
class PartitionRestored:
    """The streams of a partition were restored from the tail of the results topic."""

    number: int
    streams: int
    results: int


@dataclass(frozen=True, slots=True)
class OffsetsOutOfRange:
    """Retention had deleted the next record to read. Reading continued at `resumed`."""

    topic: str
    partition: int
    wanted: int
    resumed: int


@dataclass(frozen=True, slots=True)
class BatchUnreadable:
    """The client could not read the offsets up to `next_offset` of a partition: a wrong checksum, a broken record.

    With `stopped` the partition of this topic is not read any more. Otherwise the span was skipped.
    """

    topic: str
    partition: int
    offset: int
    next_offset: int
    reason: str
    stopped: bool

    @classmethod
    def of(cls, span: Unreadable) -> BatchUnreadable:
        """Return the event of a span that a poll has reported."""
        return cls(span.tp.topic, span.tp.partition, span.offset, span.next_offset, span.reason, stopped=span.stopped)


@dataclass(frozen=True, slots=True)
class LagMeasured:
    """The worker's lag: the current time minus the arrival clock."""

    seconds: float


@dataclass(frozen=True, slots=True)
class BytesHeld:
    """The number of bytes of encoded media, and of streams, in memory. Emitted every second."""

    bytes: int
    streams: int


@dataclass(frozen=True, slots=True)
class OverloadLevelChanged:
    """The overload level changed, for windows that close from now on.

    At level 0 the model sees everything. `frames` limits the frames per window, `pictures` the pictures in which
    objects are detected. Without `asks_model` the model does not run.
    """

    level: int
    frames: int
    asks_model: bool
    pictures: int = 0


@dataclass(frozen=True, slots=True)
class QualityFlagged:
    """A result was published whose media has flags of technical quality."""

    stream: str
    flags: Sequence[str]


@dataclass(frozen=True, slots=True)
class ItemsShed:
    """A result was published for which the model did not see all items, because of overload.

    `items` counts the withheld ones, `pictures` those in which no objects were detected. `model_skipped`: the model
    did not run at all.
    """

    stream: str
    items: Mapping[Modality, int]
    model_skipped: bool
    pictures: int = 0


@dataclass(frozen=True, slots=True)
class ObjectsDetected:
    """A result with detections was published. `labels` counts the detections by label."""

    stream: str
    labels: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ModelFailed:
    """The model or its detector raised an exception on this window."""

    stream: str
    start_ns: int
    end_ns: int
    error: str


@dataclass(frozen=True, slots=True)
class ModelSwapped:
    """A model was put in service. `before` is the checksum of the previous one, if any."""

    role: ModelRole
    name: str
    version: str
    sha256: str
    before: str | None
    took_ms: float


@dataclass(frozen=True, slots=True)
class ModelUnchanged:
    """A reload found the model that is in service already."""

    role: ModelRole
    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelRefused:
    """A reload found a model that cannot be used. The model in service stays."""

    role: ModelRole
    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class ShadowInferred:
    """The shadow processed windows for which the model has a prediction.

    In `differed` of them the best label of some head differs. `distances` holds, for each window with labels from both,
    the largest total variation distance of its heads.
    """

    windows: int
    differed: int
    distances: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ShadowSkipped:
    """The shadow did not process windows: it was too far behind, or no usable shadow is loaded."""

    windows: int


@dataclass(frozen=True, slots=True)
class ShadowFailed:
    """The shadow raised an exception. With `given_up` it stays idle until another one is loaded."""

    windows: int
    error: str
    given_up: bool


@dataclass(frozen=True, slots=True)
class HeadAgreement:
    """Agreement of model and shadow in one head.

    `windows` have predictions of both; in `differed` of them the best label differs.
    """

    head: str
    windows: int
    differed: int
    mean_distance: float


@dataclass(frozen=True, slots=True)
class ShadowSummarised:
    """The comparison since the last summary. `differing` holds stream and start of some windows that differ."""

    model_sha256: str
    shadow_sha256: str
    heads: tuple[HeadAgreement, ...]
    skipped: int
    failed: int
    differing: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class PromptHeadsCompared:
    """The shadow head of prompts weighed the matches of a published result.

    In `differed` of them only one of the two heads has a score of .5 or more.
    """

    matches: int
    differed: int


@dataclass(frozen=True, slots=True)
class PromptAgreement:
    """Agreement of the head in service and the shadow head on one version of a prompt."""

    prompt: str
    version: str
    windows: int
    differed: int
    mean_distance: float


@dataclass(frozen=True, slots=True)
class PromptHeadsSummarised:
    """The comparison since the last summary. `differing` holds prompt, stream and start of some windows that differ."""

    shadow_version: str | None
    prompts: tuple[PromptAgreement, ...]
    differing: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """A server is unavailable or rejects a call. The call is repeated after a delay."""

    what: Service
    error: str
    attempt: int
    delay_s: float


@dataclass(frozen=True, slots=True)
class CommitRefused:
    """The broker refused an offset commit because the partitions have another owner, which reads the records again."""

    error: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """The worker reads no more records."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The worker has stopped. Windows of `open_streams` are still open; their records stay uncommitted."""

    open_streams: tuple[str, ...]


Event = (
    RecordsRead
    | WindowClosed
    | WindowRevised
    | RevisionStateEvicted
    | LateItemReceived
    | RecordDropped
    | RecordDeadLettered
    | BatchInferred
    | StageCompleted
    | ResultsPublished
    | WindowPublished
    | SpansHandled
    | SyncMeasured
    | ResultsReplayed
    | StreamForgotten
    | PartitionsAssigned
    | PartitionsHandedOver
    | PartitionRestarted
    | PartitionsRevoked
    | PartitionRestored
    | OffsetsOutOfRange
    | BatchUnreadable
    | LagMeasured
    | BytesHeld
    | OverloadLevelChanged
    | ItemsShed
    | ObjectsDetected
    | QualityFlagged
    | ModelFailed
    | ModelSwapped
    | ModelUnchanged
    | ModelRefused
    | ShadowInferred
    | ShadowSkipped
    | ShadowFailed
    | ShadowSummarised
    | PromptHeadsCompared
    | PromptHeadsSummarised
    | RetryScheduled
    | CommitRefused
    | Stopping
    | Stopped
)
