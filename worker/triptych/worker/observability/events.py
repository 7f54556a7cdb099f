"""What happens in the worker, as frozen values: one type for each thing that happens, nothing of how it is shown.

The worker emits them to hooks (`hooks.py`); logs and metrics are two of those. Times of the data are event time in
nanoseconds, as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from triptych.schemas.names import Modality
from triptych.schemas.reasons import DeadReason
from triptych.schemas.results import ClosedBy
from triptych.worker.alignment.decisions import ClosedWindow, LateItem

Stage = Literal["ask", "prepare", "infer", "publish", "store", "commit"]
"""A step of the worker whose time is measured."""

DropReason = Literal["repeat", "left_session", "redriven", "other_pipeline"]
"""Why a record changes nothing. The last two were put back: control records, and letters of another pipeline."""

Service = Literal["kafka", "redis"]
"""A server that the worker waits for when it is away."""

ModelRole = Literal["model", "shadow"]
"""Whether a model answers, or is only compared with the one that does."""


@dataclass(frozen=True, slots=True)
class RecordsRead:
    """Records of one modality came from the log."""

    modality: Modality
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class WindowClosed:
    """A window closed; `skipped` empty ones before it will not be published."""

    stream: str
    start_ns: int
    end_ns: int
    closed_by: ClosedBy
    skipped: int
    dead: int


@dataclass(frozen=True, slots=True)
class WindowRevised:
    """A closed window is issued again, with so many late items."""

    stream: str
    start_ns: int
    end_ns: int
    revision: int
    added: int


@dataclass(frozen=True, slots=True)
class RevisionStateEvicted:
    """A closed window can be revised no more, earlier than was asked for: its bytes were needed."""

    stream: str
    start_ns: int
    end_ns: int


def of_window(window: ClosedWindow) -> WindowClosed | WindowRevised:
    """Return what happened to a window."""
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
class ItemLate:
    """A late media item arrived: all of its windows are closed, or it was redriven.

    `next_window_start_ns` is where the next open window of the stream begins. With `revises`, a closed window is issued
    again with the item.
    """

    stream: str
    modality: Modality
    session: str
    start_ns: int
    next_window_start_ns: int
    redriven: bool = False
    revises: bool = False


def of_late(late: LateItem) -> ItemLate:
    """Return what happened to a late item."""
    entry = late.entry
    return ItemLate(
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
    """A record changed nothing: a producer's repeat, of a session that its track has left, or put back."""

    stream: str
    modality: Modality
    session: str
    reason: DropReason


@dataclass(frozen=True, slots=True)
class RecordDeadLettered:
    """A record went to the dead letters."""

    topic: str
    partition: int
    offset: int
    modality: Modality
    reason: str
    code: DeadReason


@dataclass(frozen=True, slots=True)
class BatchInferred:
    """The model judged a batch."""

    windows: int
    took_ms: float


@dataclass(frozen=True, slots=True)
class StageTook:
    """One step of the worker is done."""

    stage: Stage
    took_ms: float


@dataclass(frozen=True, slots=True)
class ResultsPublished:
    """Results are acknowledged on the results topic and kept in the store; `new` of them the store did not know."""

    results: int
    new: int


@dataclass(frozen=True, slots=True)
class SyncMeasured:
    """A result was published that says what the producer has measured: milliseconds, and millionths."""

    stream: str
    offset_ms: float | None
    drift_ppm: float | None


@dataclass(frozen=True, slots=True)
class ResultsReplayed:
    """The tail of the results topic was offered to the store again; `new` of them it did not know."""

    results: int
    new: int


@dataclass(frozen=True, slots=True)
class StreamForgotten:
    """A stream was quiet for so long that nothing of it is kept any more."""

    stream: str


@dataclass(frozen=True, slots=True)
class PartitionsAssigned:
    """Partition numbers came to this worker, each of them on all three input topics."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WorkBegunAgain:
    """What was decided of a partition number is not published, or nobody knows: it is restored and done again."""

    number: int


@dataclass(frozen=True, slots=True)
class PartitionsHandedOver:
    """What was in flight of partition numbers that the group asks back is finished and committed.

    `left` results were not done within the limit: the next owner makes them again.
    """

    numbers: tuple[int, ...]
    left: int
    took_ms: float


@dataclass(frozen=True, slots=True)
class PartitionsRevoked:
    """Partition numbers left this worker; `lost` means that another may have owned them already."""

    numbers: tuple[int, ...]
    lost: bool


@dataclass(frozen=True, slots=True)
class Restored:
    """The streams of a partition number were restored from the tail of the results topic."""

    number: int
    streams: int
    results: int


@dataclass(frozen=True, slots=True)
class OffsetsOutOfRange:
    """Retention had deleted the record to be read next; reading went on elsewhere."""

    topic: str
    partition: int
    wanted: int
    resumed: int


@dataclass(frozen=True, slots=True)
class LagMeasured:
    """The worker is so far behind the log: now less the arrival clock."""

    seconds: float


@dataclass(frozen=True, slots=True)
class BytesHeld:
    """So many bytes of encoded media are held, and so many streams are known."""

    bytes: int
    streams: int


@dataclass(frozen=True, slots=True)
class EffortChanged:
    """Another effort is made for the windows that come now, because of overload or because it is over.

    `rung` 0 is the whole effort; `frames` are shown of a window at most; without `asks_model` the model is not asked.
    """

    rung: int
    frames: int
    asks_model: bool


@dataclass(frozen=True, slots=True)
class ItemsShed:
    """A result was published of a window of which the model was not shown everything, because of overload.

    `unasked` says that it was shown nothing.
    """

    stream: str
    items: Mapping[Modality, int]
    unasked: bool


@dataclass(frozen=True, slots=True)
class ModelFailed:
    """The model raised; the window of this start was in the batch."""

    stream: str
    start_ns: int
    error: str


@dataclass(frozen=True, slots=True)
class ModelSwapped:
    """Another model is in service from now on; `before` is the checksum of the one that was, if any."""

    role: ModelRole
    name: str
    version: str
    sha256: str
    before: str | None
    took_ms: float


@dataclass(frozen=True, slots=True)
class ModelUnchanged:
    """It was looked for another model, and the one that is in service was found."""

    role: ModelRole
    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelRefused:
    """Another model was found and cannot be taken; what is in service goes on."""

    role: ModelRole
    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class ShadowJudged:
    """The shadow judged windows that the model had answered.

    `differed` of them have another best label in some head; `distances` holds, for each window that both say something
    of by labels, the largest distance of its heads.
    """

    windows: int
    differed: int
    distances: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ShadowSkipped:
    """Windows went by the shadow: it was behind, or there is none that can be used."""

    windows: int


@dataclass(frozen=True, slots=True)
class ShadowFailed:
    """The shadow raised; with `given_up` it judges nothing more until another one is loaded."""

    windows: int
    error: str
    given_up: bool


@dataclass(frozen=True, slots=True)
class HeadAgreement:
    """How model and shadow agree in one head: windows that both answered, and of these with another best label."""

    head: str
    windows: int
    differed: int
    mean_distance: float


@dataclass(frozen=True, slots=True)
class ShadowSummarised:
    """What the comparison has shown since the last summary; `differing` are some of the windows that differ."""

    model_sha256: str
    shadow_sha256: str
    heads: tuple[HeadAgreement, ...]
    skipped: int
    failed: int
    differing: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """A server is away or refuses; the same is tried again after a pause."""

    what: Service
    error: str
    attempt: int
    delay_s: float


@dataclass(frozen=True, slots=True)
class CommitRefused:
    """The broker refused a commit because the partitions have another owner; they are read again there."""

    error: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """The worker takes no more records."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The worker is done; windows of these streams are still open and stay uncommitted."""

    open_streams: tuple[str, ...]


Event = (
    RecordsRead
    | WindowClosed
    | WindowRevised
    | RevisionStateEvicted
    | ItemLate
    | RecordDropped
    | RecordDeadLettered
    | BatchInferred
    | StageTook
    | ResultsPublished
    | SyncMeasured
    | ResultsReplayed
    | StreamForgotten
    | PartitionsAssigned
    | PartitionsHandedOver
    | WorkBegunAgain
    | PartitionsRevoked
    | Restored
    | OffsetsOutOfRange
    | LagMeasured
    | BytesHeld
    | EffortChanged
    | ItemsShed
    | ModelFailed
    | ModelSwapped
    | ModelUnchanged
    | ModelRefused
    | ShadowJudged
    | ShadowSkipped
    | ShadowFailed
    | ShadowSummarised
    | RetryScheduled
    | CommitRefused
    | Stopping
    | Stopped
)
