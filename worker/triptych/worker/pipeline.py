"""The main loop of a worker: poll, align, prepare, batch, infer, publish, commit.

`Pipeline.step` is one iteration. One thread runs it; only that thread uses the consumer and the aligners. Preparation,
inference and publication run on threads of their own (`inference/stages.py`), so a slow model never delays a poll.
Alignment decides (`alignment/`); this package owns the clocks and the order of operations.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from triptych.schemas.names import MODALITY_OF, Modality
from triptych.service.health import Health
from triptych.transport.errors import TopicMissingError, UnreadableBatchError
from triptych.transport.protocols import GroupConsumer
from triptych.transport.records import OffsetOutOfRange, Poll, Record
from triptych.units import NS_PER_MS, NS_PER_S
from triptych.worker.decision_handler import DecisionHandler
from triptych.worker.inference.stages import Stages
from triptych.worker.observability import events
from triptych.worker.observability.hooks import Hooks
from triptych.worker.partitions.assignment import AssignedRecords, Assignment, RestorePartition, Restorer
from triptych.worker.partitions.backpressure import Backpressure
from triptych.worker.partitions.committer import OffsetCommitter
from triptych.worker.partitions.end_offsets import EndOffsetRefresher, positions
from triptych.worker.partitions.origin import commit_metadata
from triptych.worker.partitions.partition import PartitionSet
from triptych.worker.partitions.topic_watch import TopicWatch
from triptych.worker.publish_cutoff import EVERYTHING, PublishCutoff
from triptych.worker.publishing.publisher import ResultPublisher

_MAX_POLL_NS: Final = 100 * NS_PER_MS
_BUSY_POLL_NS: Final = 5 * NS_PER_MS
_TOPICS_READY: Final = "topics_equal"
_OBSERVE_INTERVAL_NS: Final = 1 * NS_PER_S


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """Time limits and memory limits of a pipeline."""

    commit_interval_ns: int
    shutdown_limit_ns: int
    revocation_limit_ns: int
    partition_max_bytes: int
    dead_letter_late: bool = False


@dataclass(frozen=True, slots=True)
class RunReport:
    """The result of a run: the streams whose last windows are still open, and so uncommitted."""

    open_streams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PipelineInput:
    """Where a pipeline reads: its consumer, how partitions are restored, and what is known of the topics."""

    consumer: GroupConsumer
    restore: RestorePartition
    topics: TopicWatch


class Pipeline:
    """One worker of one pipeline."""

    def __init__(
        self,
        source: PipelineInput,
        stages: Stages,
        publication: ResultPublisher,
        *,
        limits: PipelineLimits,
        hooks: Hooks,
        health: Health,
        cutoff: PublishCutoff = EVERYTHING,
    ) -> None:
        """Compose the loop from parts that `wiring.py` made and closes."""
        consumer, topics = source.consumer, source.topics
        self._consumer = consumer
        self._stages = stages
        self._publication = publication
        self._limits = limits
        self._hooks = hooks
        self._health = health
        self._cutoff = cutoff
        self._committer = OffsetCommitter(
            consumer,
            hooks,
            interval_ns=limits.commit_interval_ns,
            has_transactions=publication.offsets_needed,
            metadata=lambda tp: commit_metadata(topics.ids[MODALITY_OF[tp.topic]], topics.counts),
        )
        self._backpressure = Backpressure(consumer, partition_max_bytes=limits.partition_max_bytes)
        self._assignment = Assignment(
            consumer,
            Restorer(source.restore, stages.submit_replay),
            committer=self._committer,
            backpressure=self._backpressure,
            revocation_limit_ns=limits.revocation_limit_ns,
            hooks=hooks,
            health=health,
        )
        self._end_offsets = EndOffsetRefresher(consumer, hooks, wall_ns=lambda: cutoff.wall_ns(time.time_ns()))
        self._decisions = DecisionHandler(stages, hooks, cutoff=cutoff, dead_letter_late=limits.dead_letter_late)
        self._topics = topics
        self._is_holding = False
        self._observe_at_ns = 0

    # --- the loop -----------------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event, *, until_end: Callable[[], bool] = bool) -> RunReport:
        """Run until `stop` is set, or until every record is read and published while `until_end()` is true.

        `until_end` is called after each step and may become true while the worker runs.

        Raises:
            UnreadableBatchError: everything else is read and published, but partitions have stopped at unreadable
                batches.
        """
        is_done = False
        while not (is_done or stop.is_set()):
            self.step()
            if until_end() and self._has_reached_end():
                self._finish(stop, decide=True)
                is_done = not self._assignment.is_restoring  # else some results were not published: read them again
                self._backpressure.assume_paused(self._consumer.assignment())
        self._hooks.emit(events.Stopping(reason="end of the topics" if is_done else "signal"))
        if not is_done:
            self._finish(stop, decide=False)
        report = RunReport(self._open_streams())
        self._hooks.emit(events.Stopped(open_streams=report.open_streams))
        if is_done and self._assignment.stopped:
            raise UnreadableBatchError(*self._assignment.stopped)
        return report

    def step(self) -> None:
        """Run one iteration of the loop.

        Raises:
            TopicRecreatedError: an input topic was deleted and created again.
        """
        try:
            self._step()
        except TopicMissingError:
            if not self._topics.try_refresh() or self._topics.waiting_for is None:
                raise
            self._hold()
            self._health.beat()

    def _step(self) -> None:
        poll = self._consumer.poll(self._poll_timeout_s())
        polled_ns = time.monotonic_ns()
        self._watch_topics(poll)
        records = self._assignment.apply(poll)  # revoked, lost and assigned partitions
        if self._topics.waiting_for is None:
            self._release()
            self._receive(poll, records, polled_ns)
        else:
            self._hold()
        self._assignment.start_revocation(poll)
        if not self._is_holding:
            self._end_offsets.refresh_if_due(self._assignment.active)
        self._decide()
        self._stages.pump(time.monotonic_ns(), flush=self._assignment.is_revoking)
        self._collect()
        self._assignment.finish_revocation()
        if not self._is_holding:
            self._backpressure.apply(self._assignment.active, has_room=self._stages.has_room)
        self._committer.commit_if_due(self._assignment.active)
        self._observe()

    def _poll_timeout_s(self) -> float:
        """Return how long a poll may block: until something else is due, and never in a busy loop."""
        now_ns = time.monotonic_ns()
        waits_ns = [_MAX_POLL_NS]
        end_offsets_ns = None if self._is_holding else self._end_offsets.wait_ns(self._assignment.active)
        if end_offsets_ns is not None:
            waits_ns.append(end_offsets_ns)
        if (pump_ns := self._stages.next_pump_ns(now_ns)) is not None:
            waits_ns.append(pump_ns - now_ns)
        if self._stages.in_flight or self._assignment.is_restoring:
            waits_ns.append(_BUSY_POLL_NS)
        return max(0, min(waits_ns)) / NS_PER_S

    def _receive(self, poll: Poll, assigned: Iterable[AssignedRecords], polled_ns: int) -> None:
        """Pass the records of active partitions to their aligners."""
        self._report_out_of_range(poll.out_of_range)
        for partition_set, records in assigned:
            partition_set.receive(records, positions(self._consumer, partition_set), at_ns=polled_ns)
        self._report_read(poll.records)

    def _watch_topics(self, poll: Poll) -> None:
        """Notice topics that have grown, are missing, or were created again."""
        if poll.assigned or any(jump.resumed < jump.wanted for jump in poll.out_of_range):
            self._topics.try_refresh()
        self._topics.notice(poll.records)
        self._topics.apply()
        for each in self._assignment.active:
            each.counts = self._topics.counts
        waiting_for = self._topics.waiting_for
        self._health.set_ready(_TOPICS_READY, waiting_for is None, waiting_for or "")

    def _hold(self) -> None:
        """Read no records while the topics have different numbers of partitions. Those just read come again."""
        assignment = self._consumer.assignment()
        for each in self._assignment.active:
            for modality, offset in each.offset_tracker.positions().items():
                tp = each.tps[modality]
                if tp in assignment and self._consumer.position(tp) != offset:
                    self._consumer.seek(tp, offset)
        self._consumer.pause(assignment)
        self._is_holding = True

    def _release(self) -> None:
        """Read on after the topics agree again."""
        if self._is_holding:
            self._is_holding = False
            self._backpressure.assume_paused(frozenset(tp for s in self._assignment.active for tp in s.tps.values()))

    def _decide(self) -> None:
        """Handle decisions while the stages have room, one of each partition set in turn."""
        deciding = list(self._assignment.active)
        while deciding and self._stages.has_room:
            for partition_set in tuple(deciding):
                decision = partition_set.decide()
                if decision is None:
                    deciding.remove(partition_set)
                else:
                    self._decisions.handle(partition_set, decision)

    def _collect(self) -> None:
        """Complete published jobs. Restart partitions of which something was not published, or may not have been."""
        if self._stages.collect():
            self._committer.update_transaction_offsets(self._assignment.active)
        self._assignment.restart_abandoned()

    # --- the end ------------------------------------------------------------------------------------------------------

    def _has_reached_end(self) -> bool:
        """Return whether every record is read, decided and published, or waits for an unreadable batch.

        Requests the end offsets once more, so that deadlines that are due by then still take effect.
        """
        active = [each for each in self._assignment.active if not each.is_exhausted]
        # Without partitions nothing is known: they are moving, or other members own all of them.
        if (
            not (active or self._assignment.stopped)
            or self._is_holding
            or self._assignment.is_restoring
            or self._assignment.is_revoking
            or self._stages.in_flight
        ):
            return False
        if any(each.aligner.unread or self._has_due_revision(each) for each in active):
            return False
        return not active or self._end_offsets.refresh_and_check_end(active)

    def _has_due_revision(self, partition_set: PartitionSet) -> bool:
        """Return whether late items wait for a revision that the wall clock, which may be cut off, still reaches."""
        revision_ns = partition_set.aligner.next_revision_wall_ns()
        return revision_ns is not None and self._cutoff.wall_ns(revision_ns) == revision_ns

    def _finish(self, stop: threading.Event, *, decide: bool) -> None:
        """Publish what is in flight, and commit. Without `decide`, make no more decisions and limit the time."""
        limit_ns = None if decide else time.monotonic_ns() + self._limits.shutdown_limit_ns
        while True:
            if decide and not stop.is_set():
                self._decide()
            elif limit_ns is None:
                limit_ns = time.monotonic_ns() + self._limits.shutdown_limit_ns
            if not self._stages.in_flight:
                break
            if limit_ns is not None and time.monotonic_ns() > limit_ns:
                self._publication.give_up()
            self._consumer.pause(self._consumer.assignment())
            self._assignment.apply_removals(self._consumer.poll(_BUSY_POLL_NS / NS_PER_S))
            self._stages.pump(time.monotonic_ns(), flush=True)
            self._collect()
            self._assignment.finish_revocation()
            self._health.beat()
        self._assignment.finish_revocation()
        self._committer.commit_if_due(self._assignment.active, now=True)

    def _open_streams(self) -> tuple[str, ...]:
        return tuple(sorted({name for each in self._assignment.active for name in each.aligner.open_streams()}))

    # --- observability ------------------------------------------------------------------------------------------------

    def _report_out_of_range(self, jumps: Iterable[OffsetOutOfRange]) -> None:
        for jump in jumps:
            self._hooks.emit(
                events.OffsetsOutOfRange(
                    topic=jump.tp.topic, partition=jump.tp.partition, wanted=jump.wanted, resumed=jump.resumed
                )
            )

    def _report_read(self, records: Iterable[Record]) -> None:
        sizes: dict[Modality, list[int]] = defaultdict(list)
        for record in records:
            sizes[MODALITY_OF[record.topic]].append(record.size_bytes)
        for modality, of_modality in sizes.items():
            self._hooks.emit(events.RecordsRead(modality=modality, records=len(of_modality), bytes=sum(of_modality)))

    def _observe(self) -> None:
        """Report liveness, and once per second the lag and the bytes held."""
        self._health.beat()
        now_ns = time.monotonic_ns()
        if now_ns < self._observe_at_ns:
            return
        self._observe_at_ns = now_ns + _OBSERVE_INTERVAL_NS
        active = self._assignment.active
        # Without records the arrival clock advances only with end offsets. Without them the lag would seem to grow.
        if not self._is_holding:
            self._end_offsets.refresh(active)
        aligners = [each.aligner for each in active]
        if clocks_ns := [aligner.clock_ns for aligner in aligners if aligner.clock_ns]:
            self._hooks.emit(events.LagMeasured(seconds=max(0.0, (time.time_ns() - min(clocks_ns)) / NS_PER_S)))
        held_bytes = sum(aligner.held_bytes for aligner in aligners)
        streams = sum(len(aligner.streams()) for aligner in aligners)
        self._hooks.emit(events.BytesHeld(bytes=held_bytes, streams=streams))
