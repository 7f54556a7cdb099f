"""The decisions of alignment, as values. Nothing changes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from triptych.schemas.names import Modality
from triptych.schemas.results import ClosedBy, State
from triptych.worker.alignment.entry import Entry
from triptych.worker.alignment.snapshot import Snapshot


@dataclass(slots=True, kw_only=True)  # as `Entry`: a frozen one takes longer to make
class ClosedWindow:
    """A result to compute and publish: a closed window or its revision, and the stream's state afterwards.

    `items` are in order of event time. `held` is the frame to use if `states["video"]` is `held`. `skipped` is the
    number of empty windows before this one that are not published. `dead` is the number of dead records of the stream
    since the previous window. A `revision` above 0 repeats the window with late items; `added` is the number of items
    since the previous result, by modality. Until the stream's next window starts at `revisable_until_ns` or later, late
    items may lead to another revision; None if they cannot.
    """

    stream: str
    start_ns: int
    end_ns: int
    closed_by: ClosedBy
    skipped: int
    dead: int
    items: Mapping[Modality, tuple[Entry, ...]]
    states: Mapping[Modality, State]
    held: Entry | None
    snapshot: Snapshot
    revision: int = 0
    added: Mapping[Modality, int] = field(default_factory=dict)
    revisable_until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class LateItem:
    """A late media item: all of its windows are closed, or it was redriven.

    `next_window_start_ns` is the start of the stream's next window to close. If it `revises`, the next revision of at
    least one window has the item.
    """

    entry: Entry
    next_window_start_ns: int
    revises: bool = False


@dataclass(frozen=True, slots=True)
class DroppedRecord:
    """A record without effect.

    It repeats an earlier one, is of a session that its track has left, is a redriven control record (`redriven`), or
    was redriven by another pipeline.
    """

    entry: Entry
    reason: Literal["repeat", "left_session", "redriven", "other_pipeline"]


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """A record for the dead-letter topic. If `counted`, the next result of its stream counts it in `dead`."""

    entry: Entry
    reason: str
    counted: bool


@dataclass(frozen=True, slots=True)
class EvictedRevisionState:
    """A revisable window that was evicted at the byte bound: late items no longer revise it."""

    stream: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A stream that was forgotten. Its records before these positions are no longer needed."""

    stream: str
    positions: Mapping[Modality, int]


Decision = ClosedWindow | LateItem | DroppedRecord | DeadLettered | EvictedRevisionState | Forgotten
