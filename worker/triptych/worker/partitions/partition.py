"""A partition of the three co-partitioned input topics, with its aligner and its offset tracker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from triptych.schemas.names import DEFAULT_PIPELINE, MODALITY_OF, TOPIC_OF, Modality
from triptych.transport.records import GroupOffsets, Record, TopicPartition, Unreadable
from triptych.worker.alignment.aligner import Aligner, NextWakeup
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.decisions import Decision
from triptych.worker.alignment.snapshot import Snapshot
from triptych.worker.intake import received_entry
from triptych.worker.matching.match_history import MatchHistory
from triptych.worker.matching.prompt_timeline import NoPrompts
from triptych.worker.partitions.offset_tracker import OffsetTracker
from triptych.worker.publishing.novelty import RecentWindows
from triptych.worker.publishing.quality_flags import QualityHistory
from triptych.worker.publishing.tracking.object_tracks import TrackHistory


class PartitionSet:
    """Partition `partition` of the video, audio and subtitles topics, from its restoration until it is retired.

    Belongs to the worker's main thread, except that the publishing thread reads `may_publish`, `transaction_offsets`
    and `recent`, and may abandon the offset tracker.
    """

    def __init__(
        self,
        partition: int,
        config: AlignConfig,
        start: Mapping[Modality, int],
        *,
        partitions: int,
        pipeline: str = DEFAULT_PIPELINE,
        restored: Mapping[str, Snapshot],
    ) -> None:
        """Start at the offsets of `start` with the streams of `restored`. The topics have `partitions` partitions."""
        self.partition = partition
        self.tps: Mapping[Modality, TopicPartition] = {
            modality: TopicPartition(topic, partition) for modality, topic in TOPIC_OF.items()
        }
        self.in_flight = 0
        """How many jobs the stages have not returned yet. Counted by `Stages`."""
        self.offset_tracker = OffsetTracker(start, restored)
        self.aligner = Aligner(config, start, restored)
        self.committed: dict[Modality, int] = dict(start)
        self.transaction_offsets: GroupOffsets | None = None
        """The offsets that the next transaction stores: those that earlier transactions have finished.

        Always replaced as a whole, because the publishing thread reads it. None without transactions.
        """
        self.recent = RecentWindows(config.stream_ttl_ns)
        self.quality = QualityHistory(config.stream_ttl_ns)
        self.matches = MatchHistory(config.stream_ttl_ns, NoPrompts())
        self.tracks = TrackHistory(config.stream_ttl_ns)
        self.stopped: dict[Modality, Unreadable] = {}
        """The topics of which nothing more is read, each with the batch that cannot be read, by the policy `stop`."""
        self.counts: tuple[int, ...] = (partitions,)
        """The numbers of partitions that the topics have had, the current one last."""
        self._pipeline = pipeline
        self._deciding: Iterator[Decision] | None = None

    @property
    def may_publish(self) -> bool:
        """Whether results of this set may still be published. Safe to read from any thread."""
        return self.offset_tracker.may_publish

    @property
    def is_exhausted(self) -> bool:
        """Whether every record before an unreadable batch is taken. The others wait for that batch: they are in order.

        False while nothing is stopped.
        """
        return any(self.aligner.unread_of(modality) == 0 for modality in self.stopped)

    def receive(self, records: Sequence[Record], positions: Mapping[Modality, int], *, at_ns: int) -> None:
        """Receive the records, in offset order, of a poll that returned at `at_ns` (monotonic)."""
        *earlier, current = self.counts
        entries = [received_entry(record, current, self._pipeline, earlier=earlier) for record in records]
        for entry in entries:
            self.offset_tracker.add(entry.modality, entry.offset, entry.stream)
        self.offset_tracker.update_positions(positions)
        self.aligner.add_records(entries, positions, at_ns=at_ns)

    def apply_end_offsets(self, ends: Mapping[TopicPartition, int], *, at_ns: int, wall_ns: int) -> None:
        """Tell the aligner which partitions were read to their ends at `at_ns` (monotonic) and `wall_ns`."""
        positions = self.offset_tracker.positions()
        at_end = [modality for modality, tp in self.tps.items() if positions[modality] >= ends[tp]]
        self.aligner.confirm_at_end(at_end, at_ns=at_ns, wall_ns=wall_ns)

    def is_read_to(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Return whether every record before these end offsets was received and merged."""
        positions = self.offset_tracker.positions()
        return self.aligner.unread == 0 and all(positions[modality] >= ends[tp] for modality, tp in self.tps.items())

    def is_undecided(self, limited_wall_ns: Callable[[int], int]) -> bool:
        """Return whether a decision is still to come without another record.

        Received records may wait to be merged, and late items may wait for a revision. The latter counts only if the
        wall clock still reaches it: `limited_wall_ns` returns the time that it is given, or an earlier one at which the
        clock stops.
        """
        revision_ns = self.aligner.next_revision_wall_ns()
        return bool(self.aligner.unread) or (revision_ns is not None and limited_wall_ns(revision_ns) == revision_ns)

    def decide(self) -> Decision | None:
        """Return the next decision, or None if nothing can be decided yet.

        The aligner may make several decisions at once. Each call returns one of them.
        """
        if self._deciding is None:
            self._deciding = self.aligner.advance()
        decision = next(self._deciding, None)
        if decision is None:
            self._deciding = None
        return decision

    def next_wakeup(self) -> NextWakeup:
        """Return when the end offsets are needed next. With an unreadable batch ahead they are of no more use."""
        return NextWakeup(None, None) if self.is_exhausted else self.aligner.next_wakeup()

    def committable(self) -> dict[TopicPartition, int]:
        """Return the offsets that may be committed and differ from the committed ones."""
        return {
            tp: offset
            for tp, offset in self.finished_offsets().items()
            if offset != self.committed[MODALITY_OF[tp.topic]]
        }

    def finished_offsets(self) -> dict[TopicPartition, int]:
        """Return the offset of each partition below which every record is finished."""
        return {self.tps[modality]: offset for modality, offset in self.offset_tracker.committable().items()}

    def mark_committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Remember the committed offsets."""
        for tp, offset in offsets.items():
            self.committed[MODALITY_OF[tp.topic]] = offset


def merge_transaction_offsets(partition_sets: Iterable[PartitionSet]) -> GroupOffsets | None:
    """Return the offsets that a transaction with results of these sets stores, or None without transactions.

    They are stored under the oldest generation among the sets. If one of the sets is from before a rebalance, the group
    coordinator rejects the whole transaction.
    """
    offsets = [each.transaction_offsets for each in partition_sets if each.transaction_offsets is not None]
    if not offsets:
        return None
    member = min((each.member for each in offsets), key=lambda member: member.generation)
    return GroupOffsets(member, {tp: commit for each in offsets for tp, commit in each.commits.items()})
