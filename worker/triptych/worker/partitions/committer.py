"""Commits the offsets below which every record is finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from triptych.transport.errors import CommitRefusedError, RetriableError
from triptych.transport.protocols import GroupConsumer
from triptych.transport.records import Commit, TopicPartition
from triptych.units import NS_PER_MS
from triptych.worker.observability.events import CommitRefused, RetryScheduled, StageCompleted
from triptych.worker.observability.hooks import Hooks
from triptych.worker.partitions.partition import PartitionSet

CommitMetadata = Callable[[TopicPartition], str]
"""Returns the metadata of a commit of a partition."""


def _no_metadata(_: TopicPartition) -> str:
    return ""


class OffsetCommitter:
    """Commits at an interval, and on demand. Used by the worker's main thread only."""

    def __init__(
        self,
        consumer: GroupConsumer,
        hooks: Hooks,
        *,
        interval_ns: int,
        has_transactions: bool,
        metadata: CommitMetadata = _no_metadata,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Commit through `consumer`, every `interval_ns`.

        Args:
            consumer: the group's consumer.
            hooks: receives the events.
            interval_ns: the time between two periodic commits.
            has_transactions: whether results are published in transactions that store offsets too.
            metadata: what is stored beside an offset.
            monotonic_ns: the monotonic clock, in nanoseconds.
        """
        self._consumer = consumer
        self._metadata = metadata
        self._hooks = hooks
        self._interval_ns = interval_ns
        self._has_transactions = has_transactions
        self._monotonic_ns = monotonic_ns
        self._due_ns = 0

    def commit_if_due(self, partition_sets: Iterable[PartitionSet], *, now: bool = False) -> None:
        """Commit if the interval has passed since the last periodic commit, or `now`."""
        if not now and self._monotonic_ns() < self._due_ns:
            return
        self._due_ns = self._monotonic_ns() + self._interval_ns
        self.commit(partition_sets)

    def commit(self, partition_sets: Iterable[PartitionSet]) -> None:
        """Commit the lowest unfinished offset of each partition. Blocks until the broker answers.

        After a retriable error the remaining sets are left to the next call: each attempt may take as long as a request
        timeout.
        """
        for partition_set in partition_sets:
            offsets = partition_set.committable()
            if not offsets:
                continue
            started_ns = self._monotonic_ns()
            try:
                self._consumer.commit({tp: Commit(offset, self._metadata(tp)) for tp, offset in offsets.items()})
            except CommitRefusedError as error:
                self._hooks.emit(CommitRefused(error=str(error)))
            except RetriableError as error:
                self._hooks.emit(RetryScheduled(what="kafka", error=str(error), attempt=1, delay_s=0.0))
                return
            else:
                partition_set.mark_committed(offsets)
                took_ms = (self._monotonic_ns() - started_ns) / NS_PER_MS
                self._hooks.emit(StageCompleted(stage="commit", took_ms=took_ms))

    def update_transaction_offsets(self, partition_sets: Iterable[PartitionSet]) -> None:
        """Set the offsets that the next transaction of each set stores. Does nothing without transactions."""
        if not self._has_transactions:
            return
        for partition_set in partition_sets:
            whole = self._consumer.group_offsets(partition_set.finished_offsets())
            commits = {
                tp: commit if commit.metadata else Commit(commit.offset, self._metadata(tp))
                for tp, commit in whole.commits.items()
            }
            partition_set.transaction_offsets = replace(whole, commits=commits)
