"""The assignment of partitions to this worker: which ones it owns, and in which state."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple, Protocol

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
from triptych.worker.partitions.restorer import Restored, RestoreOutcome
from triptych.worker.publishing.stores.protocol import StoredResult

SubmitReplay = Callable[[PartitionSet, Sequence[StoredResult]], None]
"""Submits restored results to the stage that writes them to the store again. Does not block."""

_READINESS: Final = "partitions_assigned"
_MAX_TOGETHER: Final = 16
"""How many partitions are restored side by side at most. The results in their tails are in memory until then."""


class PartitionState(Enum):
    """The state of a partition of this worker. See the table in `Assignment`."""

    PENDING = "pending"
    ACTIVE = "active"
    REVOKING = "revoking"
    RETIRED = "retired"


class Restorer(Protocol):
    """Restores partitions, several at a time (see `PartitionRestorer`)."""

    @property
    def is_busy(self) -> bool:
        """Whether partitions are being restored. Others can be begun after that."""

    def begin(self, starts: Mapping[int, Mapping[Modality, int]]) -> None:
        """Begin to restore these partitions, which are read from these offsets on. May raise `RetriableError`."""

    def advance(self) -> Mapping[int, RestoreOutcome]:
        """Read on for a moment, and return the partitions that are done.

        After a `RetriableError`, those that were not returned have to be begun again.
        """

    def drop(self, partition: int) -> None:
        """Do not restore a partition that was begun: it is not ours any more."""


@dataclass(frozen=True, slots=True)
class Restoring:
    """How a partition becomes active: its set is restored, and the restored results are replayed to the store."""

    restorer: Restorer
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
        restoring: Restoring,
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
            restoring: restores partitions from the results topic.
            committer: commits before partitions are given back.
            backpressure: is told which partitions it must not resume.
            revocation_limit_ns: how long in-flight results may delay a revocation.
            hooks: receive the events.
            health: is ready once every assigned partition is active.
            monotonic_ns: the monotonic clock, in nanoseconds.
        """
        self._consumer = consumer
        self._restorer = restoring.restorer
        self._submit_replay = restoring.submit_replay
        self._committer = committer
        self._backpressure = backpressure
        self._revocation_limit_ns = revocation_limit_ns
        self._hooks = hooks
        self._health = health
        self._monotonic_ns = monotonic_ns
        self._active: dict[int, PartitionSet] = {}
        # With the offsets to start from, or None for the committed ones.
        self._pending: dict[int, dict[Modality, int] | None] = {}
        # The pending partitions that are being restored, with the offsets from which they will be read.
        self._restoring: dict[int, dict[Modality, int]] = {}
        self._together = _MAX_TOGETHER
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

        Pending partitions are restored side by side, for a moment in each call, so that the active ones continue. Those
        that are still pending seek back, so that their records are read again later.
        """
        self._remove(poll)
        records: dict[int, list[Record]] = defaultdict(list)
        for record in poll.records:
            records[record.partition].append(record)
        self._add(poll, records)
        self._retired = [each for each in self._retired if each.in_flight]
        self._begin_restoring()
        self._activate_restored(poll, records)
        self._seek_back(poll, records)
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
            self._forget_pending(partition)
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

    def _forget_pending(self, partition: int) -> None:
        """A partition is not ours any more. If it is assigned again, its state is read anew."""
        self._pending.pop(partition, None)
        self._unrestorable.pop(partition, None)
        if self._restoring.pop(partition, None) is not None:
            self._restorer.drop(partition)

    # --- revoked or lost ----------------------------------------------------------------------------------------------

    def _remove(self, poll: Poll) -> None:
        """Retire revoked and lost partitions: nothing more of them is published or committed."""
        removed = poll.revoked | poll.lost
        partitions = _partitions(tp for tp in removed if tp.topic in INPUT_TOPICS)
        for partition in partitions:
            self._forget_pending(partition)
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
            self._forget_pending(partition)
            spans = [span for span in poll.unreadable if span.tp.partition == partition]
            self._pending[partition] = _first_offsets(records[partition], spans)
        if partitions:
            self._hooks.emit(events.PartitionsAssigned(numbers=partitions))

    def _begin_restoring(self) -> None:
        """Begin to restore the pending partitions that may be, unless others are still being restored.

        Without an answer for one of them, none is begun. So after such a failure one partition is tried, then twice as
        many each time, and those that failed come last: a partition without a broker does not stop the others.
        """
        if self._restorer.is_busy:
            return
        draining = {each.partition for each in self._retired}
        due = [each for each in self._pending if each not in draining and self._may_restore(each)][: self._together]
        if not due:
            return
        try:
            self._restoring = self._starts(due)
            self._restorer.begin(self._restoring)
        except RetriableError as error:
            self._together = 1
            self._retry_later(due, error)

    def _starts(self, partitions: Iterable[int]) -> dict[int, dict[Modality, int]]:
        """Return the offsets from which partitions will be read: those of their first records, or the positions."""
        restarted = [each for each in partitions if self._pending[each] is None]
        if restarted:
            self._consumer.rewind(TopicPartition(topic, each) for each in restarted for topic in INPUT_TOPICS)
        starts = {}
        for partition in partitions:
            start = dict(self._pending[partition] or {})
            for modality, topic in TOPIC_OF.items():
                if modality not in start:
                    start[modality] = self._consumer.position(TopicPartition(topic, partition))
            starts[partition] = start
        return starts

    def _activate_restored(self, poll: Poll, records: dict[int, list[Record]]) -> None:
        """Read on, and make the restored partitions active."""
        resumed: list[TopicPartition] = []
        try:
            outcomes = self._restorer.advance()
            for partition, outcome in outcomes.items():
                if isinstance(outcome, RetriableError):
                    self._retry_later([partition], outcome)
                elif isinstance(outcome, UnreadableBatchError):
                    self._stop_restoring(partition, outcome)
                else:
                    self._activate(partition, outcome, poll, records)
                    resumed += outcome.partition_set.tps.values()
        except RetriableError as error:
            self._together = 1
            self._retry_later(tuple(self._restoring), error)
        else:
            if outcomes and not self._restorer.is_busy:
                self._together = min(_MAX_TOGETHER, 2 * self._together)
        if resumed:
            self._consumer.resume(resumed)

    def _activate(self, partition: int, restored: Restored, poll: Poll, records: dict[int, list[Record]]) -> None:
        """Make a partition active. Of the records of this poll it takes those that continue at its start."""
        partition_set, results = restored
        is_new = any(tp.partition == partition for tp in poll.assigned)
        if not is_new or partition_set.committed != self._restoring[partition]:
            # It was paused, or the commits were those of another incarnation of the topics.
            records.pop(partition, None)
            for modality, offset in partition_set.committed.items():
                self._consumer.seek(partition_set.tps[modality], offset)
        del self._restoring[partition], self._pending[partition]
        self._committer.update_transaction_offsets([partition_set])
        self._active[partition] = partition_set
        if results:
            self._submit_replay(partition_set, results)

    def _retry_later(self, partitions: Iterable[int], error: RetriableError) -> None:
        """Leave partitions pending, behind the others, whose brokers may be available."""
        for partition in partitions:
            self._restoring.pop(partition, None)
            self._pending[partition] = self._pending.pop(partition)
        self._hooks.emit(events.RetryScheduled(what="kafka", error=str(error), attempt=1, delay_s=0.0))

    def _stop_restoring(self, partition: int, error: UnreadableBatchError) -> None:
        del self._restoring[partition]
        for span in error.spans:
            self._unrestorable[partition] = span
            self._hooks.emit(events.BatchUnreadable.of(span))

    def _may_restore(self, partition: int) -> bool:
        """Return whether a partition may be restored.

        After an abandoned set, another worker may own the partition without our knowing, until the group confirms us.
        While topics grow, a partition may exist on some of them only.
        """
        if partition in self._unrestorable:
            return False
        if not self._consumer.assignment() >= {TopicPartition(topic, partition) for topic in INPUT_TOPICS}:
            return False
        return self._pending[partition] is not None or self._consumer.is_confirmed()

    def _note_unreadable(self, spans: Iterable[Unreadable]) -> None:
        """Report what cannot be read of active partitions. Pending ones have been sought back, and report it again."""
        for span in spans:
            partition_set = self._active.get(span.tp.partition)
            if partition_set is None:
                continue
            if span.stopped:
                partition_set.stopped[MODALITY_OF[span.tp.topic]] = span
            self._hooks.emit(events.BatchUnreadable.of(span))

    def _seek_back(self, poll: Poll, records: dict[int, list[Record]]) -> None:
        """Pause the partitions that are still pending, drop their records, and seek to where they start."""
        read = {*_partitions(poll.assigned), *records, *(span.tp.partition for span in poll.unreadable)}
        pending = [partition for partition in self._pending if partition in read]
        if not pending:  # nearly always: they are paused, and a call of the consumer may wait for its thread
            return
        self._consumer.pause([TopicPartition(topic, each) for each in pending for topic in INPUT_TOPICS])
        for partition in pending:
            dropped = records.pop(partition, [])
            start = self._restoring.get(partition, self._pending[partition])
            if start is None:  # read before the restart: it starts at other offsets
                continue
            spans = [span for span in poll.unreadable if span.tp.partition == partition]
            for modality, offset in _first_offsets(dropped, spans).items():
                self._consumer.seek(TopicPartition(TOPIC_OF[modality], partition), start.setdefault(modality, offset))


def _partitions(tps: Iterable[TopicPartition]) -> tuple[int, ...]:
    return tuple(sorted({tp.partition for tp in tps}))


def _first_offsets(records: Iterable[Record], unreadable: Iterable[Unreadable]) -> dict[Modality, int]:
    """Return the first offset of each modality: the poll that reports an assignment may bring its first records."""
    first: dict[Modality, int] = {}
    for tp, offset in (*((each.tp, each.offset) for each in records), *((each.tp, each.offset) for each in unreadable)):
        modality = MODALITY_OF[tp.topic]
        first[modality] = min(first.get(modality, offset), offset)
    return first
