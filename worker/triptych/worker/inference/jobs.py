"""What passes through the stages, from a decision to its publication."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.media.preparer import Preparation
from triptych.worker.overload import Effort
from triptych.worker.partitions.offset_tracker import Pending
from triptych.worker.partitions.partition import PartitionSet
from triptych.worker.publishing.messages import OutgoingDeadLetter
from triptych.worker.publishing.window_times import WindowTimes


@dataclass(slots=True)
class WindowJob:
    """A closed window on its way through the stages."""

    partition_set: PartitionSet
    window: ClosedWindow
    pending: Pending
    effort: Effort
    preparation: Future[tuple[Preparation, float]]
    times: WindowTimes


@dataclass(slots=True)
class DeadLetterJob:
    """A dead letter to be published. `pending` is set if no result counts its record."""

    partition_set: PartitionSet
    letter: OutgoingDeadLetter
    pending: Pending | None


@dataclass(slots=True)
class ReplayJob:
    """Restored results to be written to the store again."""

    partition_set: PartitionSet
    pending: None = None


AnyJob = WindowJob | DeadLetterJob | ReplayJob
