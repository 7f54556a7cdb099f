"""Makes assigned partitions ready: their tails are read side by side, and each becomes a `PartitionSet`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from triptych.schemas.names import MODALITY_OF, TOPIC_OF, Modality
from triptych.transport.errors import RetriableError, UnreadableBatchError
from triptych.transport.protocols import GroupConsumer, Transport
from triptych.transport.records import Commit, TopicPartition
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.matching.match_history import MatchHistory
from triptych.worker.observability.events import PartitionRestored
from triptych.worker.observability.hooks import Hooks
from triptych.worker.partitions.origin import read_commit_metadata
from triptych.worker.partitions.partition import PartitionSet
from triptych.worker.partitions.restore import RestorePlan, Tail, TailReader
from triptych.worker.partitions.topic_watch import TopicWatch
from triptych.worker.publishing.stores.protocol import StoredResult

_log = structlog.get_logger(__name__)

_READ_LIMIT_S: Final = 0.05
"""How long one step of the worker's loop reads at most, so that polls and active partitions continue."""


class Restored(NamedTuple):
    """A restored partition, and the results to replay to the store."""

    partition_set: PartitionSet
    results: Sequence[StoredResult]


RestoreOutcome = Restored | RetriableError | UnreadableBatchError
"""What became of a partition. After a `RetriableError` it may be restored later; an unreadable batch stays one."""


@dataclass(frozen=True, slots=True)
class RestoreSources:
    """Where a restorer reads: the clients, and what is known of the topics. None of it is closed by the restorer."""

    transport: Transport
    consumer: GroupConsumer
    topics: TopicWatch


class PartitionRestorer:
    """Restores partitions from the tails of their results. Only the worker's main thread uses it.

    Partitions that are begun together share their clients and requests, and are read side by side. They do not wait for
    each other.
    """

    def __init__(
        self,
        pipeline: str,
        config: AlignConfig,
        sources: RestoreSources,
        *,
        new_matches: Callable[[], MatchHistory],
        hooks: Hooks,
    ) -> None:
        """Begin nothing yet.

        Args:
            pipeline: the name of the pipeline.
            config: the settings of alignment.
            sources: where to read.
            new_matches: returns the empty history of prompts of a partition.
            hooks: receive the events.
        """
        self._pipeline = pipeline
        self._config = config
        self._sources = sources
        self._new_matches = new_matches
        self._hooks = hooks
        self._reader: TailReader | None = None
        self._plans: dict[int, RestorePlan] = {}

    @property
    def is_busy(self) -> bool:
        """Whether partitions are being restored. Others can be begun after that."""
        return self._reader is not None

    def begin(self, starts: Mapping[int, Mapping[Modality, int]]) -> None:
        """Begin to restore these partitions, whose inputs are read from these offsets on. Blocks for some requests.

        The group must have assigned them: what is queried here must be later than what a former owner has published.

        Raises:
            RetriableError: the broker is not available, at least for one of the partitions. None is begun.
        """
        self._plans = self._plan(starts)
        self._reader = TailReader(self._sources.transport, self._plans.values(), wall_ns=time.time_ns())

    def advance(self) -> dict[int, RestoreOutcome]:
        """Read on for a moment, and return the partitions that are done.

        After an error, those that were not returned have to be begun again.

        Raises:
            RetriableError: the broker is not available, at least for one of the partitions.
            StateUnreadableError: the last state of a stream cannot be read.
        """
        if self._reader is None:
            return {}
        try:
            outcomes = self._reader.advance(_READ_LIMIT_S)
        except BaseException:
            self.close()
            raise
        plans = {partition: self._plans.pop(partition) for partition in outcomes}
        self._close_if_done()
        return {
            partition: self._restored(plans[partition], outcome) if isinstance(outcome, Tail) else outcome
            for partition, outcome in outcomes.items()
        }

    def drop(self, partition: int) -> None:
        """Do not restore a partition that was begun: it is not ours any more."""
        if self._plans.pop(partition, None) is not None and self._reader is not None:
            self._reader.drop(partition)
            self._close_if_done()

    def close(self) -> None:
        """Restore nothing that was begun."""
        reader, self._reader = self._reader, None
        self._plans = {}
        if reader is not None:
            reader.close()

    def _close_if_done(self) -> None:
        if not self._plans:
            self.close()

    def _plan(self, starts: Mapping[int, Mapping[Modality, int]]) -> dict[int, RestorePlan]:
        """Query the commits of all partitions, and return what to restore.

        Partitions of topics that were created again since a commit start at their beginning.
        """
        topics, consumer = self._sources.topics, self._sources.consumer
        commits = consumer.committed([TopicPartition(topic, p) for p in starts for topic in TOPIC_OF.values()])
        stale = {
            tp for tp, commit in commits.items() if _is_of_another_topic(commit, topics.ids[MODALITY_OF[tp.topic]])
        }
        begins = consumer.begin_offsets(stale) if stale else {}
        for partition in sorted({tp.partition for tp in stale}):
            _log.warning(
                "commits_of_recreated_topics",
                partition=partition,
                topics=[topic for topic in TOPIC_OF.values() if TopicPartition(topic, partition) in stale],
                hint="the topics were deleted and created again since: they are read from the beginning",
            )
        for commit in commits.values():
            topics.remember(read_commit_metadata(commit.metadata)[1] if commit else ())
        plans = {}
        for partition, start in starts.items():
            tps = {modality: TopicPartition(topic, partition) for modality, topic in TOPIC_OF.items()}
            plans[partition] = RestorePlan(
                pipeline=self._pipeline,
                partition=partition,
                start={modality: begins.get(tp, start[modality]) for modality, tp in tps.items()},
                has_commit=any(commits[tp] is not None and tp not in stale for tp in tps.values()),
                stream_ttl_ns=self._config.stream_ttl_ns,
                topic_ids=topics.ids,
            )
        return plans

    def _restored(self, plan: RestorePlan, tail: Tail) -> Restored:
        topics = self._sources.topics
        self._hooks.emit(
            PartitionRestored(number=plan.partition, streams=len(tail.snapshots), results=len(tail.results))
        )
        partition_set = PartitionSet(
            plan.partition,
            self._config,
            plan.start,
            partitions=topics.counts[-1],
            pipeline=self._pipeline,
            restored=tail.snapshots,
        )
        partition_set.counts = topics.counts
        partition_set.matches = self._new_matches()
        for stored in tail.results:
            partition_set.recent.remember(stored.result)
            partition_set.quality.remember(stored.result)
            partition_set.matches.remember(stored.result)
            partition_set.tracks.remember(stored.result)
        return Restored(partition_set, tail.results)


def _is_of_another_topic(commit: Commit | None, topic_id: str) -> bool:
    """Return whether a commit belongs to a topic that was deleted. One without an id counts as ours."""
    written = "" if commit is None else read_commit_metadata(commit.metadata)[0]
    return bool(written and topic_id) and written != topic_id
