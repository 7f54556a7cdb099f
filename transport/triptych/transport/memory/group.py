"""An in-memory consumer group: members, assignment, committed offsets.

It follows Kafka's eager protocol: when a member joins or leaves, all members give up their partitions, and only then
are the partitions assigned again. So a partition never has two readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from triptych.transport.errors import CommitRefusedError
from triptych.transport.records import Commit, GroupOffsets, TopicPartition

NO_PARTITIONS: frozenset[TopicPartition] = frozenset()


@dataclass(slots=True)
class MemoryGroupMember:
    """The group's view of one consumer."""

    topics: frozenset[str]
    last_seen_s: float
    ready: bool = False
    generation: int = 0
    assignment: frozenset[TopicPartition] = field(default=NO_PARTITIONS)


class MemoryConsumerGroup:
    """Holds a group's members and commits. The caller passes the time, and holds the broker's lock."""

    def __init__(self, session_timeout_s: float) -> None:
        self._session_timeout_s = session_timeout_s
        self._members: dict[str, MemoryGroupMember] = {}
        self._generation = 0
        self.rebalancing = False
        self.topics: set[str] = set()
        self.commits: dict[TopicPartition, Commit] = {}

    def join(self, member_id: str, topics: frozenset[str], now_s: float) -> None:
        """Add a member and start a rebalance."""
        self._members[member_id] = MemoryGroupMember(topics, now_s)
        self.topics |= topics
        self.begin_rebalance()

    def leave(self, member_id: str) -> None:
        """Remove a member and start a rebalance."""
        if self._members.pop(member_id, None) is not None:
            self.begin_rebalance()

    def member(self, member_id: str) -> MemoryGroupMember | None:
        """Return a member, or None if it was evicted."""
        return self._members.get(member_id)

    def member_ids(self) -> tuple[str, ...]:
        """Return the ids of all members."""
        return tuple(self._members)

    def evict_silent(self, now_s: float) -> None:
        """Evict the members that have not polled within the session timeout."""
        silent = [
            name for name, member in self._members.items() if now_s - member.last_seen_s > self._session_timeout_s
        ]
        for name in silent:
            self.leave(name)

    def give_up(self, member_id: str) -> frozenset[TopicPartition]:
        """Mark a member as ready for the next assignment, and return its previous one."""
        member = self._members[member_id]
        had, member.assignment, member.ready = member.assignment, NO_PARTITIONS, True
        return had

    def finish_rebalance(self, partitions: Mapping[str, int]) -> bool:
        """Assign the partitions if all members gave up theirs; return whether that happened."""
        if not self.rebalancing or not all(member.ready for member in self._members.values()):
            return False
        self._generation += 1
        shares = range_assignment({name: member.topics for name, member in self._members.items()}, partitions)
        for name, member in self._members.items():
            member.assignment, member.generation = shares[name], self._generation
        self.rebalancing = False
        return True

    def store(self, offsets: GroupOffsets) -> None:
        """Commit the offsets of a transaction. Raises `CommitRefusedError` if the partitions have another owner."""
        member = self._members.get(offsets.member.member_id)
        is_current = member is not None and member.generation == offsets.member.generation
        if member is None or not is_current or not member.assignment >= offsets.commits.keys():
            raise CommitRefusedError("the group has reassigned these partitions; keep polling")
        self.commits.update(offsets.commits)

    def resume_offset(self, tp: TopicPartition, begin: int) -> int:
        """Return the committed offset, or `begin` if there is none: the group needs no earlier records."""
        commit = self.commits.get(tp)
        return begin if commit is None else commit.offset

    def begin_rebalance(self) -> None:
        """Let all members give up their partitions."""
        self.rebalancing = True
        for member in self._members.values():
            member.ready = False


def range_assignment(
    members: Mapping[str, frozenset[str]], partitions: Mapping[str, int]
) -> dict[str, frozenset[TopicPartition]]:
    """Divide each topic into ranges among its readers, in the order of their ids, as Kafka's range assignor does."""
    shares: dict[str, set[TopicPartition]] = {name: set() for name in members}
    for topic, count in partitions.items():
        readers = sorted(name for name, topics in members.items() if topic in topics)
        first = 0
        for index, name in enumerate(readers):
            last = first + count // len(readers) + (index < count % len(readers))
            shares[name].update(TopicPartition(topic, number) for number in range(first, last))
            first = last
    return {name: frozenset(share) for name, share in shares.items()}
