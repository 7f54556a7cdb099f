"""What alignment decides, as values: windows closed, records late, dropped or refused, streams forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triptych.schemas.names import Modality
    from triptych.schemas.results import ClosedBy, State
    from triptych.worker.alignment.entry import Entry
    from triptych.worker.alignment.snapshot import Snapshot

Positions = dict["Modality", int]
"""The next offset to be taken, by modality."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedWindow:
    """A window that closed: what it holds, in order of event time, and the stream's state after it.

    `held` is the frame that stands in where `states["video"]` is `held`. `skipped` empty windows before it were not
    published. `dead` counts records of the stream that could not be decoded since the window before.

    A `revision` above 0 is the window once more, after late items: `added` says how many came since the one before.
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


@dataclass(frozen=True, slots=True)
class LateItem:
    """A late media item: all of its windows are closed, or it was redriven.

    `next_window_start_ns` is where the next open window of the stream begins. With `revises`, a closed window will be
    issued again with the item.
    """

    entry: Entry
    next_window_start_ns: int
    revises: bool = False


@dataclass(frozen=True, slots=True)
class DroppedRecord:
    """A record that changes nothing: a producer's repeat, of a session that its track has left, or put back.

    Of what was put back these are control records, and what was another pipeline's dead letter.
    """

    entry: Entry
    reason: Literal["repeat", "left_session", "redriven", "other_pipeline"]


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """A record for the dead letters. Where it is `counted`, its stream's next window says so."""

    entry: Entry
    reason: str
    counted: bool


@dataclass(frozen=True, slots=True)
class EvictedRevisionState:
    """A closed window that might still have been revised, let go of because of its bytes."""

    stream: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A stream that fell quiet: nothing of it before these positions is needed any more."""

    stream: str
    positions: Mapping[Modality, int]


Decision = ClosedWindow | LateItem | DroppedRecord | DeadLettered | EvictedRevisionState | Forgotten
