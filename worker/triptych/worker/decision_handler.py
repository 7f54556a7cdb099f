"""Carries out the decisions of alignment: submits windows and dead letters to the stages, and finishes records."""

from __future__ import annotations

from typing import Final

from triptych.schemas.reasons import DeadReason
from triptych.worker.alignment.decisions import (
    ClosedWindow,
    DeadLettered,
    Decision,
    DroppedRecord,
    EvictedRevisionState,
    Forgotten,
    LateItem,
)
from triptych.worker.alignment.entry import Entry
from triptych.worker.inference.stages import Stages
from triptych.worker.intake import Received
from triptych.worker.observability import events
from triptych.worker.observability.hooks import Hooks
from triptych.worker.partitions.partition import PartitionSet
from triptych.worker.publish_cutoff import PublishCutoff
from triptych.worker.publishing.messages import OutgoingDeadLetter

_LATE_REASON: Final = "every window that it touches has closed, and none of them can be revised any more"


class DecisionHandler:
    """Handles one decision at a time, on the worker's main thread. Does not block."""

    def __init__(self, stages: Stages, hooks: Hooks, *, cutoff: PublishCutoff, dead_letter_late: bool) -> None:
        """Submit work to `stages`.

        Args:
            stages: publish windows and dead letters.
            hooks: receive the events.
            cutoff: decisions before it are not published.
            dead_letter_late: whether late items that no window can take go to the dead-letter queue.
        """
        self._stages = stages
        self._hooks = hooks
        self._cutoff = cutoff
        self._dead_letter_late = dead_letter_late

    def handle(self, partition_set: PartitionSet, decision: Decision) -> None:
        """Carry out a decision of the aligner of `partition_set`."""
        if self._cutoff.is_before(decision):
            self.skip_before_cutoff(partition_set, decision)
            return
        match decision:
            case ClosedWindow():
                self._stages.submit_window(partition_set, decision)
                self._hooks.emit(events.window_event(decision))
            case LateItem():
                self._hooks.emit(events.late_item_event(decision))
                if not decision.revises:
                    self.drop_late(partition_set, decision.entry)
            case DroppedRecord(entry=entry):
                self._hooks.emit(
                    events.RecordDropped(
                        stream=str(entry.stream), modality=entry.modality, session=entry.session, reason=decision.reason
                    )
                )
                self.mark_finished(partition_set, entry)
            case DeadLettered():
                self.dead_letter(partition_set, decision)
            case EvictedRevisionState():
                self._hooks.emit(events.RevisionStateEvicted(decision.stream, decision.start_ns, decision.end_ns))
            case Forgotten():
                partition_set.offset_tracker.forget(decision.stream, decision.positions)
                self._hooks.emit(events.StreamForgotten(stream=decision.stream))

    def skip_before_cutoff(self, partition_set: PartitionSet, decision: Decision) -> None:
        """Publish nothing for a decision from before the cutoff. Finish its record if no result will."""
        if isinstance(decision, DeadLettered) and not decision.counted:
            entry = decision.entry
            tracker = partition_set.offset_tracker
            tracker.complete(tracker.await_dead_letter(entry.modality, entry.offset, entry.stream))
        elif isinstance(decision, DroppedRecord) or (isinstance(decision, LateItem) and not decision.revises):
            self.mark_finished(partition_set, decision.entry)

    def drop_late(self, partition_set: PartitionSet, entry: Entry) -> None:
        """Drop a late item, or send it to the dead-letter queue if the settings ask for that."""
        if not self._dead_letter_late:
            self.mark_finished(partition_set, entry)
            return
        tracker = partition_set.offset_tracker
        pending = tracker.await_dead_letter(entry.modality, entry.offset, entry.stream) if entry.redriven else None
        letter = OutgoingDeadLetter(_received(entry).record, _LATE_REASON, DeadReason.LATE)
        self._stages.submit_dead_letter(partition_set, letter, pending)

    def dead_letter(self, partition_set: PartitionSet, decision: DeadLettered) -> None:
        """Send a record to the dead-letter queue. If no result counts it, its offset waits for that."""
        entry = decision.entry
        received = _received(entry)
        reason, code = received.reason or decision.reason, received.code or DeadReason.FUTURE
        tracker = partition_set.offset_tracker
        pending = None if decision.counted else tracker.await_dead_letter(entry.modality, entry.offset, entry.stream)
        self._stages.submit_dead_letter(partition_set, OutgoingDeadLetter(received.record, reason, code), pending)

    @staticmethod
    def mark_finished(partition_set: PartitionSet, entry: Entry) -> None:
        """Finish a redriven record that changed nothing. Other records are finished by the results of their stream."""
        if entry.redriven:
            partition_set.offset_tracker.finish_now(entry.modality, entry.offset, entry.stream)


def _received(entry: Entry) -> Received:
    """Return the record from which an entry was made."""
    if isinstance(entry.payload, Received):
        return entry.payload
    raise TypeError(f"payload: expected Received, got {type(entry.payload).__name__}")
