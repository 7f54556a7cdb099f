"""The assignment of partitions to this worker: which ones it owns, and in which state."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from triptych.schemas.names import INPUT_TOPICS, MODALITY_OF, TOPIC_OF, Modality
from triptych.service.health import Health
from triptych.transport.errors import RetriableError, UnreadableBatchError
from triptych.transport.protocols import GroupConsumer
from triptych.transport.records import Poll, Record, TopicPartition, Unreadable
from triptych.units import NS_PER_MS
from triptych.worker.observability import events
from triptych.worker.observability.hooks import Hooks
from triptych.worker.partitions.backpressure import Backpressure
from triptych.worker.partitions.committer import OffsetCommitter
from triptych.worker.partitions.partition import PartitionSet
from triptych.worker.publishing.stores.protocol import StoredResult

RestorePartition = Callable[[int, dict[Modality, int]], tuple[PartitionSet, Sequence[StoredResult]]]
"""Restores a partition that is read from these offsets. Returns its set, and the results to replay to the store.

Blocks while it reads the results topic, and may raise `RetriableError`."""

SubmitReplay = Callable[[PartitionSet, Sequence[StoredResult]], None]
"""Submits restored results to the stage that writes them to the store again. Does not block."""

_READINESS: Final = "partitions_assigned"


class PartitionState(Enum):
    """The state of a partition of this worker. See the table in `Assignment`."""

    PENDING = "pending"
    ACTIVE = "active"
    REVOKING = "revoking"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Restorer:
    """How a partition becomes active: its set is restored, and the restored results are replayed to the store."""

    restore: RestorePartition
    submit_replay: SubmitReplay


class AssignedRecords(NamedTuple):
    """The records of one poll that belong to one active set, in offset order."""

    partition_set: PartitionSet
    records: Sequence[Record]


class Assignment:
    """The only owner of the partitions of this worker and of their states.

    | from     | on                               | to               | action                                          |
    |----------|----------------------------------|------------------|-------------------------------------------------|
    | -        | assigned                         | pending          | paused; seeks back to its first record          |
    | pending  | restored from the results topic  | active           | resumed; results are replayed to the store      |
    | pending  | an unreadable batch of the state | pending          | by the policy `stop`: not tried again           |
    | pending  | revoking, revoked or lost        | -                |                                                 |
    | active   | revoking                         | revoking         | no new decisions; in-flight results finish      |
    | active   | revoked or lost                  | retired          | abandoned: nothing more is published, committed |
    | active   | abandoned by the publish stage   | retired, pending | paused; starts again at the committed offsets   |
    | revoking | nothing in flight, or time limit | revoking         | committed, given back to the group              |
    | revoking | revoked or lost                  | retired          | abandoned                                       |
    | retired  | nothing in flight                | -                |                                                 |

    A partition may be pending while a retired set of it is still in flight. It becomes active only after that.

    Only the worker's main thread uses this class.
    """

    def __init__(
        self,
        consumer: GroupConsumer,
        restorer: Restorer,
        *,
        committer: OffsetCommitter,
        backpressure: Backpressure,
        revocation_limit_ns: int,
        hooks: Hooks,
        health: Health,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Start without partitions.

        Args:
            consumer: the group's consumer.
            restorer: restores a partition from the results topic.
            committer: commits before partitions are given back.
            backpressure: is told which partitions it must not resume.
            revocation_limit_ns: how long in-flight results may delay a revocation.
            hooks: receive the events.
            health: is ready once every assigned partition is active.
            monotonic_ns: the monotonic clock, in nanoseconds.
        """
        self._consumer = consumer
        self._restorer = restorer
        self._committer = committer
        self._backpressure = backpressure
        self._revocation_limit_ns = revocation_limit_ns
        self._hooks = hooks
        self._health = health
        self._monotonic_ns = monotonic_ns
        self._active: dict[int, PartitionSet] = {}
        # With the offsets to start from, or None for the committed ones.
        self._pending: dict[int, dict[Modality, int] | None] = {}
        # Pending partitions that cannot be restored, by the policy `stop` on unreadable batches.
        self._unrestorable: dict[int, Unreadable] = {}
        self._revoking: dict[int, PartitionSet] = {}
        self._retired: list[PartitionSet] = []
        self._revoking_since_ns: int | None = None
        self._was_assigned = False

    # --- views --------------------------------------------------------------------------------------------------------

    @property
    def active(self) -> tuple[PartitionSet, ...]:
        """The sets that are read, decided and published, in the order in which they became active."""
        return tuple(self._active.values())

    @property
    def is_restoring(self) -> bool:
        """Whether a partition is pending, and can be restored."""
        return bool(self._pending.keys() - self._unrestorable.keys())

    @property
    def stopped(self) -> tuple[Unreadable, ...]:
        """The batches that cannot be read and at which, by the policy `stop`, partitions of ours have stopped."""
        spans = [*self._unrestorable.values(), *(span for each in self.active for span in each.stopped.values())]
        return tuple(sorted(spans, key=lambda span: span.tp))

    @property
    def is_revoking(self) -> bool:
        """Whether a partition is being revoked."""
        return bool(self._revoking)

    @property
    def is_stable(self) -> bool:
        """Whether no partition is being restored or revoked."""
        return not (self.is_restoring or self.is_revoking)

    def open_streams(self) -> tuple[str, ...]:
        """Return the names of streams of active partitions that have items in open windows, sorted."""
        return tuple(sorted({name for each in self.active for name in each.aligner.open_streams()}))

    def states(self, partition: int) -> frozenset[PartitionState]:
        """Return the states of a partition: none if it is not ours, two if a retired set of it is in flight."""
        states = {
            PartitionState.PENDING: partition in self._pending,
            PartitionState.ACTIVE: partition in self._active,
            PartitionState.REVOKING: partition in self._revoking,
            PartitionState.RETIRED: any(each.partition == partition for each in self._retired),
        }
        return frozenset(state for state, holds in states.items() if holds)

    # --- transitions --------------------------------------------------------------------------------------------------

    def apply(self, poll: Poll) -> list[AssignedRecords]:
        """Apply the changes of a poll, except `revoking`. Return the records of active partitions.

        Restores at most one pending partition per call, because that may block for a while, and the active partitions
        should continue. Partitions that are still pending seek back, so that their records are read again later.
        """
        self._remove(poll)
        records: dict[int, list[Record]] = defaultdict(list)
        for record in poll.records:
            records[record.partition].append(record)
        self._add(poll, records)
        self._activate_one(records)
        self._note_unreadable(poll.unreadable)
        self._was_assigned |= bool(poll.assigned)
        is_ready = self._was_assigned and not self._pending
        self._health.set_ready(_READINESS, is_ready, "waiting for partitions, or for their state")
        return [
            AssignedRecords(self._active[partition], of_partition)
            for partition, of_partition in records.items()
            if partition in self._active
        ]

    def apply_removals(self, poll: Poll) -> None:
        """Apply the revoked, lost and revoking partitions of a poll. Newly assigned ones are left alone."""
        self._remove(poll)
        self.start_revocation(poll)

    def start_revocation(self, poll: Poll) -> None:
        """Make no more decisions for the partitions that the group asks back. Their in-flight results are finished."""
        if not poll.revoking:
            return
        self._revoking_since_ns = self._monotonic_ns()
        for partition in _partitions(poll.revoking):
            self._pending.pop(partition, None)
            self._unrestorable.pop(partition, None)
            partition_set = self._active.pop(partition, None)
            if partition_set is not None:
                self._revoking[partition] = partition_set

    def finish_revocation(self) -> None:
        """Commit and give back the revoking partitions, once none of their results are in flight.

        After the time limit, results in flight are left to the next owner: this worker does not publish them any more.
        """
        if self._revoking_since_ns is None:
            return
        took_ns = self._monotonic_ns() - self._revoking_since_ns
        left = sum(each.in_flight for each in self._revoking.values())
        if left and took_ns < self._revocation_limit_ns:
            return
        for each in self._revoking.values():
            if each.in_flight:
                each.offset_tracker.abandon()
        self._committer.commit(self._revoking.values())
        self._consumer.complete_revocation()
        self._revoking_since_ns = None
        self._hooks.emit(
            events.PartitionsHandedOver(numbers=tuple(self._revoking), left=left, took_ms=took_ns / NS_PER_MS)
        )

    def restart_abandoned(self) -> None:
        """Retire the active sets whose publication failed, and restore their partitions from the committed offsets."""
        for partition, partition_set in tuple(self._active.items()):
            if partition_set.may_publish:
                continue
            del self._active[partition]
            self._retired.append(partition_set)
            self._pending[partition] = None
            self._consumer.pause(partition_set.tps.values())
            self._backpressure.forget(partition_set.tps.values())
            self._hooks.emit(events.PartitionRestarted(number=partition))

    # --- revoked or lost ----------------------------------------------------------------------------------------------

    def _remove(self, poll: Poll) -> None:
        """Retire revoked and lost partitions: nothing more of them is published or committed."""
        removed = poll.revoked | poll.lost
        partitions = _partitions(tp for tp in removed if tp.topic in INPUT_TOPICS)
        for partition in partitions:
            self._pending.pop(partition, None)
            self._unrestorable.pop(partition, None)
            for sets in (self._active, self._revoking):
                partition_set = sets.pop(partition, None)
                if partition_set is not None:
                    partition_set.offset_tracker.abandon()
                    self._retired.append(partition_set)
        if partitions:
            self._backpressure.forget(removed)
            self._hooks.emit(events.PartitionsRevoked(numbers=partitions, lost=bool(poll.lost)))

    # --- assigned -----------------------------------------------------------------------------------------------------

    def _add(self, poll: Poll, records: dict[int, list[Record]]) -> None:
        partitions = _partitions(poll.assigned)
        for partition in partitions:
            spans = [span for span in poll.unreadable if span.tp.partition == partition]
            self._pending[partition] = _first_offsets(records[partition], spans)
        if partitions:
            self._hooks.emit(events.PartitionsAssigned(numbers=partitions))

    def _activate_one(self, records: dict[int, list[Record]]) -> None:
        """Try to activate one pending partition. Drop the records of those that stay pending, and seek back."""
        self._retired = [each for each in self._retired if each.in_flight]
        draining = {each.partition for each in self._retired}
        has_tried = False
        for partition in tuple(self._pending):
            if self._pending[partition] is None:
                records.pop(partition, None)  # read before the restart: the partition starts at other offsets
            is_due = partition not in draining and not has_tried and self._may_activate(partition)
            is_active = is_due and self._activate(partition, records)
            has_tried |= is_due
            if is_active:
                continue
            self._seek_back(partition)
            records.pop(partition, None)
            if is_due:  # the next turn tries another partition first, whose brokers may be available
                self._pending[partition] = self._pending.pop(partition)

    def _may_activate(self, partition: int) -> bool:
        """Return whether a partition may be restored.

        After an abandoned set, another worker may own the partition without our knowing, until the group confirms us.
        While topics grow, a partition may exist on some of them only.
        """
        if partition in self._unrestorable:
            return False
        if not self._consumer.assignment() >= {TopicPartition(topic, partition) for topic in INPUT_TOPICS}:
            return False
        return self._pending[partition] is not None or self._consumer.is_confirmed()

    def _activate(self, partition: int, records: dict[int, list[Record]]) -> bool:
        """Restore a pending partition from the results topic. Return False if its state cannot be read, or not now."""
        start = self._pending[partition]
        try:
            if start is None:
                start = {}
                self._consumer.rewind(TopicPartition(topic, partition) for topic in INPUT_TOPICS)
            for modality, topic in TOPIC_OF.items():
                start.setdefault(modality, self._consumer.position(TopicPartition(topic, partition)))
            partition_set, results = self._restorer.restore(partition, dict(start))
            if partition_set.committed != start:  # the commits were those of another incarnation of the topics
                records.pop(partition, None)
                for modality, offset in partition_set.committed.items():
                    self._consumer.seek(TopicPartition(TOPIC_OF[modality], partition), offset)
        except RetriableError as error:
            self._hooks.emit(events.RetryScheduled(what="kafka", error=str(error), attempt=1, delay_s=0.0))
            return False
        except UnreadableBatchError as error:
            for span in error.spans:
                self._unrestorable[partition] = span
                self._hooks.emit(events.BatchUnreadable.of(span))
            return False
        self._committer.update_transaction_offsets([partition_set])
        self._consumer.resume(partition_set.tps.values())
        self._active[partition] = partition_set
        del self._pending[partition]
        if results:
            self._restorer.submit_replay(partition_set, results)
        return True

    def _note_unreadable(self, spans: Iterable[Unreadable]) -> None:
        """Report what cannot be read of active partitions. Pending ones have been sought back, and report it again."""
        for span in spans:
            partition_set = self._active.get(span.tp.partition)
            if partition_set is None:
                continue
            if span.stopped:
                partition_set.stopped[MODALITY_OF[span.tp.topic]] = span
            self._hooks.emit(events.BatchUnreadable.of(span))

    def _seek_back(self, partition: int) -> None:
        """Pause a pending partition, and seek to where it starts."""
        self._consumer.pause(TopicPartition(topic, partition) for topic in INPUT_TOPICS)
        for modality, offset in (self._pending[partition] or {}).items():
            self._consumer.seek(TopicPartition(TOPIC_OF[modality], partition), offset)


def _partitions(tps: Iterable[TopicPartition]) -> tuple[int, ...]:
    return tuple(sorted({tp.partition for tp in tps}))


def _first_offsets(records: Iterable[Record], unreadable: Iterable[Unreadable]) -> dict[Modality, int]:
    """Return the first offset of each modality: the poll that reports an assignment may bring its first records."""
    first: dict[Modality, int] = {}
    for tp, offset in (*((each.tp, each.offset) for each in records), *((each.tp, each.offset) for each in unreadable)):
        modality = MODALITY_OF[tp.topic]
        first[modality] = min(first.get(modality, offset), offset)
    return first
