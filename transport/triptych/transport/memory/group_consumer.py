"""Read the partitions that an in-memory consumer group assigns (see `GroupConsumer`)."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from triptych.transport.errors import CommitRefusedError, TransportClosedError
from triptych.transport.memory.broker import MemoryBroker
from triptych.transport.memory.group import NO_PARTITIONS, MemoryGroupMember
from triptych.transport.memory.reader import MemoryReader
from triptych.transport.records import Commit, GroupOffsets, Membership, OutOfRangePolicy, Poll, TopicPartition

REBALANCE_WAIT_S = 0.05
"""How often a waiting member checks for silent members: nothing notifies it of silence."""


class MemoryGroupConsumer(MemoryReader):
    """A member of an in-memory consumer group (see `GroupConsumer`)."""

    def __init__(
        self,
        broker: MemoryBroker,
        topics: Sequence[str],
        group: str,
        *,
        when_out_of_range: OutOfRangePolicy,
        hand_over_s: float = 0.0,
        monotonic_s: Callable[[], float],
    ) -> None:
        super().__init__(broker, {}, when_out_of_range=when_out_of_range)
        self._topics = frozenset(topics)
        self._group = broker.group(group, topics)
        self._group_name = group
        self._member_id = uuid.uuid4().hex
        self._generation = 0
        self._hand_over_s = hand_over_s
        self._revocation_deadline_s: float | None = None
        """During a revocation: when the partitions are given up at the latest."""
        self._monotonic_s = monotonic_s
        with broker.changed:
            self._group.join(self._member_id, self._topics, monotonic_s())
            broker.wake_all()

    def poll(self, timeout_s: float) -> Poll:
        """Return records and changes of the assignment. Wait up to `timeout_s` for either."""
        deadline = time.monotonic() + timeout_s
        with self._broker.changed:
            while True:
                self._check_open()
                changes = self._take_changes()
                records = () if self._revocation_deadline_s is not None else self._take_records()
                found = replace(changes, records=records, out_of_range=self._take_out_of_range())
                remaining_s = deadline - time.monotonic()
                if found != Poll() or remaining_s <= 0:
                    return found
                self._wait(remaining_s)

    def assignment(self) -> frozenset[TopicPartition]:
        """Return the assignment as of the last poll."""
        return frozenset(self._positions)

    def commit(self, offsets: Mapping[TopicPartition, Commit]) -> None:
        """Commit offsets, unless the partitions were reassigned."""
        with self._broker.changed:
            self._check_open()
            member = self._group.member(self._member_id)
            if member is None or member.generation != self._generation or not member.assignment >= offsets.keys():
                raise CommitRefusedError("the group has reassigned these partitions; keep polling")
            member.last_seen_s = self._monotonic_s()
            self._group.commits.update(offsets)
            self._broker.changed.notify_all()

    def committed(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, Commit | None]:
        """Return the group's committed offsets."""
        with self._broker.changed:
            return {tp: self._group.commits.get(tp) for tp in tps}

    def rewind(self, tps: Iterable[TopicPartition]) -> None:
        """Seek to the committed offsets, or to the beginning."""
        with self._broker.changed:
            for tp in tps:
                self.seek(tp, self._group.resume_offset(tp, self._broker.log(tp).begin))

    def group_offsets(self, offsets: Mapping[TopicPartition, int]) -> GroupOffsets:
        """Return what a transaction commits, with the membership of the last poll."""
        member = Membership(self._group_name, self._generation, self._member_id)
        return GroupOffsets(member, {tp: Commit(offset) for tp, offset in offsets.items()})

    def is_confirmed(self) -> bool:
        """Return whether the member still belongs to the current generation."""
        with self._broker.changed:
            member = self._group.member(self._member_id)
            return member is not None and member.generation == self._generation

    def complete_revocation(self) -> None:
        """Let the group continue the rebalance."""
        with self._broker.changed:
            if self._revocation_deadline_s is not None:
                self._revocation_deadline_s = float("-inf")

    def close(self) -> None:
        """Leave the group."""
        with self._broker.changed:
            self._group.leave(self._member_id)
            self._broker.wake_all()
        super().close()

    def _take_changes(self) -> Poll:
        now_s = self._monotonic_s()
        member = self._group.member(self._member_id)
        lost: frozenset[TopicPartition] = frozenset()
        if member is None:
            lost = self._drop_positions()
            self._group.join(self._member_id, self._topics, now_s)
            self._broker.wake_all()
            member = self._joined()
        member.last_seen_s = now_s
        self._group.evict_silent(now_s)
        revoking = self._begin_revocation(now_s) if self._group.rebalancing and not member.ready else NO_PARTITIONS
        revoked: frozenset[TopicPartition] = frozenset()
        if (
            self._group.rebalancing
            and not member.ready
            and (self._revocation_deadline_s is None or now_s >= self._revocation_deadline_s)
        ):
            self._group.give_up(self._member_id)
            revoked = self._drop_positions()
        if self._group.rebalancing and self._group.finish_rebalance(
            {name: len(self._broker.topic(name).logs) for name in self._group.topics}
        ):
            self._broker.wake_all()
        return Poll(assigned=self._take_assigned(member), revoked=revoked, lost=lost, revoking=revoking)

    def _begin_revocation(self, now_s: float) -> frozenset[TopicPartition]:
        """Return the partitions that the caller has to finish, once; none if there are none or no time for it."""
        if self._revocation_deadline_s is not None or not self._positions or not self._hand_over_s:
            return NO_PARTITIONS
        self._revocation_deadline_s = now_s + self._hand_over_s
        return frozenset(self._positions)

    def _take_assigned(self, member: MemoryGroupMember) -> frozenset[TopicPartition]:
        if member.generation == self._generation:
            return frozenset()
        self._generation = member.generation
        for tp in sorted(member.assignment):
            self._positions[tp] = self._group.resume_offset(tp, self._broker.log(tp).begin)
        return member.assignment

    def _drop_positions(self) -> frozenset[TopicPartition]:
        had = frozenset(self._positions)
        self._positions.clear()
        self._paused.clear()
        self._revocation_deadline_s = None
        return had

    def _joined(self) -> MemoryGroupMember:
        member = self._group.member(self._member_id)
        if member is None:
            raise TransportClosedError("this consumer is not a member of its group")
        return member

    def _wait(self, remaining_s: float) -> None:
        """Wait for a change. A member that waits here is alive, whatever the session timeout."""
        limit_s = min(remaining_s, REBALANCE_WAIT_S) if self._group.rebalancing else remaining_s
        member = self._joined()
        member.last_seen_s = float("inf")
        self._registration.woken.wait(limit_s)
        member.last_seen_s = self._monotonic_s()
