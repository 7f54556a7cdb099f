"""The work of one partition number: its aligner, its ledger, and what was decided but not handed on yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from triptych.schemas.names import DEFAULT_PIPELINE, MODALITY_OF, TOPIC_OF, Modality
from triptych.transport.records import GroupOffsets, Record, TopicPartition
from triptych.worker.alignment.aligner import Aligner, NextWakeup
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.decisions import Decision
from triptych.worker.alignment.snapshot import Snapshot
from triptych.worker.intake import received_entry
from triptych.worker.partitions.offset_tracker import OffsetTracker
from triptych.worker.publishing.novelty import RecentWindows


class PartitionSet:
    """One partition number of the three input topics, from its assignment until it is taken away."""

    def __init__(
        self,
        number: int,
        config: AlignConfig,
        start: Mapping[Modality, int],
        *,
        partitions: int,
        pipeline: str = DEFAULT_PIPELINE,
        restored: Mapping[str, Snapshot],
    ) -> None:
        """Begin at the offsets of `start` with the streams of `restored`; the topics have `partitions` partitions."""
        self.number = number
        self.tps: Mapping[Modality, TopicPartition] = {
            modality: TopicPartition(topic, number) for modality, topic in TOPIC_OF.items()
        }
        self.in_flight = 0
        """What was handed to the flow and did not come back yet; the flow counts it."""
        self.offset_tracker = OffsetTracker(start, restored)
        self.aligner = Aligner(config, start, restored)
        self.committed: dict[Modality, int] = dict(start)
        self.offsets: GroupOffsets | None = None
        """What a transaction stores beside results of this work: where that ends which earlier ones have published.
        Replaced whole, since another thread reads it; None where there are no transactions."""
        self.recent = RecentWindows(config.stream_ttl_ns)
        self._partitions = partitions
        self._pipeline = pipeline
        self._deciding: Iterator[Decision] | None = None

    @property
    def owned(self) -> bool:
        """Whether anything of it may still be published."""
        return self.offset_tracker.may_publish

    def receive(self, records: Sequence[Record], positions: Mapping[Modality, int], *, at_ns: int) -> None:
        """Take in the records of a poll that returned at `at_ns` (monotonic), in the order of offsets."""
        entries = [received_entry(record, self._partitions, self._pipeline) for record in records]
        for entry in entries:
            self.offset_tracker.add(entry.modality, entry.offset, entry.stream)
        self.offset_tracker.moved(positions)
        self.aligner.add_records(entries, positions, at_ns=at_ns)

    def answer(self, ends: Mapping[TopicPartition, int], *, at_ns: int, wall_ns: int) -> None:
        """Take in the end offsets that were asked for at `at_ns` (monotonic) and `wall_ns`."""
        positions = self.offset_tracker.positions()
        at_end = [modality for modality, tp in self.tps.items() if positions[modality] >= ends[tp]]
        self.aligner.confirm_at_end(at_end, at_ns=at_ns, wall_ns=wall_ns)

    def is_read_to(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Tell whether everything before these end offsets was read and taken."""
        positions = self.offset_tracker.positions()
        return self.aligner.unread == 0 and all(positions[modality] >= ends[tp] for modality, tp in self.tps.items())

    def decide(self) -> Decision | None:
        """Return the next decision, or None where nothing can be decided by now.

        A decision may close several windows; what is not asked for yet stays decided.
        """
        if self._deciding is None:
            self._deciding = self.aligner.advance()
        decision = next(self._deciding, None)
        if decision is None:
            self._deciding = None
        return decision

    def next_wakeup(self) -> NextWakeup:
        """Return when end offsets should be asked for."""
        return self.aligner.next_wakeup()

    def committable(self) -> dict[TopicPartition, int]:
        """Return the offsets to commit that are not committed yet."""
        return {tp: offset for tp, offset in self.finished().items() if offset != self.committed[MODALITY_OF[tp.topic]]}

    def finished(self) -> dict[TopicPartition, int]:
        """Return the offset of each partition below which everything is finished."""
        return {self.tps[modality]: offset for modality, offset in self.offset_tracker.committable().items()}

    def note_committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Remember what was committed."""
        for tp, offset in offsets.items():
            self.committed[MODALITY_OF[tp.topic]] = offset


def offsets_of(works: Iterable[PartitionSet]) -> GroupOffsets | None:
    """Return what a transaction stores beside results of these works; None where there are no transactions.

    In the name of the oldest membership: where a work is from before a rebalance, the group refuses the whole.
    """
    offsets = [work.offsets for work in works if work.offsets is not None]
    if not offsets:
        return None
    member = min((each.member for each in offsets), key=lambda member: member.generation)
    return GroupOffsets(member, {tp: commit for each in offsets for tp, commit in each.commits.items()})
