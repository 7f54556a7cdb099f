"""The main loop of a worker: poll, align, prepare, batch, infer, publish, commit.

`Pipeline.step` is one iteration. One thread runs it; only that thread uses the consumer and the aligners. Preparation,
inference and publication run on threads of their own (`inference/stages.py`), so a slow model never delays a poll.
`waiting_poll.py` says what the loop waits for.
Alignment decides (`alignment/`); this package owns the clocks and the order of operations.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from triptych.schemas.names import MODALITY_OF
from triptych.service.health import Health
from triptych.transport.errors import TopicMissingError, UnreadableBatchError
from triptych.transport.protocols import GroupConsumer
from triptych.transport.records import Poll
from triptych.worker.decision_handler import DecisionHandler
from triptych.worker.inference.stages import Stages
from triptych.worker.observability import events
from triptych.worker.observability.hooks import Hooks
from triptych.worker.observability.poll_events import emit_poll_events
from triptych.worker.partitions.assignment import AssignedRecords, Assignment, Restorer, Restoring
from triptych.worker.partitions.backpressure import Backpressure
from triptych.worker.partitions.committer import OffsetCommitter
from triptych.worker.partitions.end_offsets import EndOffsetRefresher, positions
from triptych.worker.partitions.load import LoadReporter
from triptych.worker.partitions.origin import commit_metadata
from triptych.worker.partitions.topic_hold import TopicHold
from triptych.worker.partitions.topic_watch import TopicWatch
from triptych.worker.publish_cutoff import EVERYTHING, PublishCutoff
from triptych.worker.publishing.publisher import ResultPublisher
from triptych.worker.waiting_poll import MAX_STAGES_WAIT_S, WaitingPoll


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
    """Where a pipeline reads: its consumer, what restores partitions, and what is known of the topics."""

    consumer: GroupConsumer
    restorer: Restorer
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
            Restoring(source.restorer, stages.submit_replay),
            committer=self._committer,
            backpressure=self._backpressure,
            revocation_limit_ns=limits.revocation_limit_ns,
            hooks=hooks,
            health=health,
        )
        self._end_offsets = EndOffsetRefresher(consumer, hooks, wall_ns=lambda: cutoff.wall_ns(time.time_ns()))
        self._decisions = DecisionHandler(stages, hooks, cutoff=cutoff, dead_letter_late=limits.dead_letter_late)
        self._hold = TopicHold(
            consumer, topics, assignment=self._assignment, backpressure=self._backpressure, health=health
        )
        self._load = LoadReporter(hooks, self._end_offsets)
        self._waiting = WaitingPoll(
            consumer, stages, assignment=self._assignment, end_offsets=self._end_offsets, hold=self._hold
        )

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
            self._waiting.is_ending = until_end()
            if self._waiting.is_ending and self._has_reached_end():
                self._finish(stop, decide=True)
                is_done = not self._assignment.is_restoring  # else some results were not published: read them again
                self._backpressure.assume_paused(self._consumer.assignment())
        self._hooks.emit(events.Stopping(reason="end of the topics" if is_done else "signal"))
        if not is_done:
            self._finish(stop, decide=False)
        report = RunReport(self._assignment.open_streams())
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
            if not self._hold.begin_if_missing():
                raise
            self._health.beat()

    def _step(self) -> None:
        poll = self._waiting.poll()
        polled_ns = time.monotonic_ns()
        self._hold.apply(poll)
        records = self._assignment.apply(poll)  # revoked, lost and assigned partitions
        if self._hold.allows_reading():
            self._receive(poll, records, polled_ns)
        self._assignment.start_revocation(poll)
        if not self._hold.is_active:
            self._end_offsets.refresh_if_due(self._assignment.active)
        self._collect()
        self._decide()
        self._stages.update(time.monotonic_ns(), flush=self._assignment.is_revoking)
        self._assignment.finish_revocation()
        if not self._hold.is_active:
            self._backpressure.apply(self._assignment.active, has_room=self._stages.has_room)
        self._committer.commit_if_due(self._assignment.active)
        self._health.beat()
        self._load.report_if_due(self._assignment.active, refresh=not self._hold.is_active)

    def _receive(self, poll: Poll, assigned: Iterable[AssignedRecords], polled_ns: int) -> None:
        """Pass the records of active partitions to their aligners."""
        emit_poll_events(self._hooks, poll)
        for partition_set, records in assigned:
            partition_set.receive(records, positions(self._consumer, partition_set), at_ns=polled_ns)

    def _decide(self) -> None:
        """Handle decisions while the stages have room, one of each partition set in turn."""
        deciding = list(self._assignment.active)
        while deciding and self._stages.has_room:
            for partition_set in tuple(deciding):
                if (decision := partition_set.decide()) is None:
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
        is_known = bool(active or self._assignment.stopped) and self._assignment.is_stable
        if not is_known or self._hold.is_active or self._stages.in_flight:
            return False
        if any(each.is_undecided(self._cutoff.wall_ns) for each in active):
            return False
        return not active or self._end_offsets.refresh_and_check_end(active)

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
            self._stages.wait_until_published(MAX_STAGES_WAIT_S)
            self._assignment.apply_removals(self._consumer.poll(0))
            self._stages.update(time.monotonic_ns(), flush=True)
            self._collect()
            self._assignment.finish_revocation()
            self._health.beat()
        self._assignment.finish_revocation()
        self._committer.commit_if_due(self._assignment.active, now=True)
