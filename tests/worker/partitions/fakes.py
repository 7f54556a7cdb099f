"""A group consumer without a group, and a clock, for unit tests of the classes that use them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from triptych.schemas.names import TOPIC_OF, Modality
from triptych.transport.records import Commit, GroupOffsets, Membership, TopicPartition
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.partitions.partition import PartitionSet


@dataclass
class FakeClock:
    """A clock that only the test advances."""

    now_ns: int = 1_000_000_000

    def __call__(self) -> int:
        """Return the current time in nanoseconds."""
        return self.now_ns


@dataclass
class FakeConsumer:
    """Records the calls that a worker makes. Set `error` to make requests fail."""

    ends: dict[TopicPartition, int] = field(default_factory=dict)
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    paused: set[TopicPartition] = field(default_factory=set)
    commits: list[Mapping[TopicPartition, Commit]] = field(default_factory=list)
    seeks: list[tuple[TopicPartition, int]] = field(default_factory=list)
    rewound: set[TopicPartition] = field(default_factory=set)
    end_offset_requests: int = 0
    commit_requests: int = 0
    completed_revocations: int = 0
    confirmed: bool = True
    assigned: frozenset[TopicPartition] = frozenset(
        TopicPartition(topic, number) for topic in TOPIC_OF.values() for number in range(6)
    )
    error: Exception | None = None

    def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the end offsets of the test, or 0."""
        self.end_offset_requests += 1
        self._fail()
        return {tp: self.ends.get(tp, 0) for tp in tps}

    def assignment(self) -> frozenset[TopicPartition]:
        """Return the partitions of the test."""
        return self.assigned

    def position(self, tp: TopicPartition) -> int:
        """Return the position of the test, or 0."""
        return self.positions.get(tp, 0)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Record a seek."""
        self.seeks.append((tp, offset))

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Pause partitions."""
        self.paused |= set(tps)

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Resume partitions."""
        self.paused -= set(tps)

    def rewind(self, tps: Iterable[TopicPartition]) -> None:
        """Record a return to the committed offsets."""
        self.rewound |= set(tps)

    def commit(self, offsets: Mapping[TopicPartition, Commit]) -> None:
        """Record a commit."""
        self.commit_requests += 1
        self._fail()
        self.commits.append(offsets)

    def group_offsets(self, offsets: Mapping[TopicPartition, int]) -> GroupOffsets:
        """Return the offsets of a transaction."""
        return GroupOffsets(Membership("group", 1, "member"), {tp: Commit(offset) for tp, offset in offsets.items()})

    def is_confirmed(self) -> bool:
        """Return whether the group confirms our membership."""
        return self.confirmed

    def complete_revocation(self) -> None:
        """Count a completed revocation."""
        self.completed_revocations += 1

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


def tps(partition: int) -> frozenset[TopicPartition]:
    """Return the three input partitions of one number."""
    return frozenset(TopicPartition(topic, partition) for topic in TOPIC_OF.values())


def partition_set(partition: int, start: Mapping[Modality, int] | None = None) -> PartitionSet:
    """Return a set without streams."""
    offsets = dict.fromkeys(TOPIC_OF, 0) | dict(start or {})
    return PartitionSet(partition, AlignConfig(), offsets, partitions=6, restored={})
