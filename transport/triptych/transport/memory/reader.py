"""Reading from memory: by hand, or as a member of a group."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from triptych.transport.errors import CommitRefusedError, OffsetGoneError, TransportClosedError
from triptych.transport.memory.broker import MemoryBroker
from triptych.transport.memory.group import NOBODY, MemoryGroupMember
from triptych.transport.records import (
    Commit,
    GroupOffsets,
    Membership,
    OffsetOutOfRange,
    OutOfRangePolicy,
    Poll,
    Record,
    TopicPartition,
)

POLL_BYTES = 16 << 20
PARTITION_POLL_BYTES = 1 << 20
REBALANCE_WAIT_S = 0.05
"""How often a waiting member looks for members that fell silent; their silence notifies nobody."""


class MemoryReader:
    """Read partitions chosen by hand (see `Reader`)."""

    def __init__(
        self, broker: MemoryBroker, start: Mapping[TopicPartition, int], *, when_out_of_range: OutOfRangePolicy
    ) -> None:
        self._broker = broker
        self._when_out_of_range = when_out_of_range
        self._positions = dict(start)
        self._paused: set[TopicPartition] = set()
        self._out_of_range: list[OffsetOutOfRange] = []
        self._closed = False
        for tp in start:
            broker.log(tp)
        self._reader_id = broker.open_reader(self._positions)

    def poll(self, timeout_s: float) -> Poll:
        """Return what there is, waiting no longer than the time-out for something."""
        deadline = time.monotonic() + timeout_s
        with self._broker.changed:
            while True:
                self._check_open()
                found = Poll(records=self._take_records(), out_of_range=self._take_out_of_range())
                remaining_s = deadline - time.monotonic()
                if found.records or found.out_of_range or remaining_s <= 0:
                    return found
                self._broker.changed.wait(remaining_s)

    def position(self, tp: TopicPartition) -> int:
        """Return the offset to be read next."""
        self._check_assigned(tp)
        return self._positions[tp]

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Go on reading at `offset`."""
        with self._broker.changed:
            self._check_assigned(tp)
            self._positions[tp] = offset

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Return no more records of these."""
        self._paused |= self._positions.keys() & set(tps)

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Return records of these again."""
        self._paused -= set(tps)

    def begin_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the first offsets still held."""
        with self._broker.changed:
            return {tp: self._broker.log(tp).begin for tp in tps}

    def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offsets after the last records."""
        with self._broker.changed:
            return {tp: self._broker.log(tp).end for tp in tps}

    def offsets_for_times(self, times_ns: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return the first offsets appended at or after the times."""
        with self._broker.changed:
            return {tp: self._broker.log(tp).first_at(time_ns) for tp, time_ns in times_ns.items()}

    def close(self) -> None:
        """Hold nothing any more."""
        self._closed = True
        self._broker.close_reader(self._reader_id)

    def _check_open(self) -> None:
        if self._closed:
            raise TransportClosedError("this consumer is closed")

    def _check_assigned(self, tp: TopicPartition) -> None:
        if tp not in self._positions:
            raise ValueError(f"{tp} is not assigned")

    def _take_records(self) -> tuple[Record, ...]:
        taken: list[Record] = []
        room = POLL_BYTES
        for tp in list(self._positions):
            if tp in self._paused or room <= 0:
                continue
            self._jump_if_out_of_range(tp)
            found = self._broker.log(tp).read(self._positions[tp], min(room, PARTITION_POLL_BYTES))
            if found:
                room -= sum(record.size_bytes for record in found)
                # Behind the others next time, so that a full poll starves no partition.
                del self._positions[tp]
                self._positions[tp] = found[-1].offset + 1
                taken += found
        return tuple(taken)

    def _jump_if_out_of_range(self, tp: TopicPartition) -> None:
        log, wanted = self._broker.log(tp), self._positions[tp]
        if log.begin <= wanted <= log.end:
            return
        if self._when_out_of_range == "stop":
            raise OffsetGoneError(f"{tp.topic} {tp.partition}: offset {wanted} is outside {log.begin} to {log.end}")
        resumed = log.begin if self._when_out_of_range == "earliest" else log.end
        self._positions[tp] = resumed
        self._out_of_range.append(OffsetOutOfRange(tp, wanted, resumed))

    def _take_out_of_range(self) -> tuple[OffsetOutOfRange, ...]:
        gone, self._out_of_range = tuple(self._out_of_range), []
        return gone


class MemoryGroupConsumer(MemoryReader):
    """Read what a group assigns (see `GroupConsumer`)."""

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
        self._let_go_at_s: float | None = None
        """While partitions are handed over: when they go at the latest."""
        self._monotonic_s = monotonic_s
        with broker.changed:
            self._group.join(self._member_id, self._topics, monotonic_s())
            broker.changed.notify_all()

    def poll(self, timeout_s: float) -> Poll:
        """Return records and changes of the assignment, waiting no longer than the time-out for either."""
        deadline = time.monotonic() + timeout_s
        with self._broker.changed:
            while True:
                self._check_open()
                changes = self._take_changes()
                records = () if self._let_go_at_s is not None else self._take_records()
                found = replace(changes, records=records, out_of_range=self._take_out_of_range())
                remaining_s = deadline - time.monotonic()
                if found != Poll() or remaining_s <= 0:
                    return found
                self._wait(remaining_s)

    def assignment(self) -> frozenset[TopicPartition]:
        """Return what the last poll left assigned."""
        return frozenset(self._positions)

    def commit(self, offsets: Mapping[TopicPartition, Commit]) -> None:
        """Store offsets, unless the partitions are another's by now."""
        with self._broker.changed:
            self._check_open()
            member = self._group.member(self._member_id)
            if member is None or member.generation != self._generation or not member.assignment >= offsets.keys():
                raise CommitRefusedError("the group has given these partitions away; keep polling")
            member.last_seen_s = self._monotonic_s()
            self._group.commits.update(offsets)
            self._broker.changed.notify_all()

    def committed(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, Commit | None]:
        """Return what the group has committed."""
        with self._broker.changed:
            return {tp: self._group.commits.get(tp) for tp in tps}

    def rewind(self, tps: Iterable[TopicPartition]) -> None:
        """Go back to where the group committed."""
        with self._broker.changed:
            for tp in tps:
                self.seek(tp, self._group.floor(tp, self._broker.log(tp).begin))

    def group_offsets(self, offsets: Mapping[TopicPartition, int]) -> GroupOffsets:
        """Return what a transaction stores, in the name of what the last poll left."""
        member = Membership(self._group_name, self._generation, self._member_id)
        return GroupOffsets(member, {tp: Commit(offset) for tp, offset in offsets.items()})

    def is_confirmed(self) -> bool:
        """Whether the group still counts us in, with what we have."""
        with self._broker.changed:
            member = self._group.member(self._member_id)
            return member is not None and member.generation == self._generation

    def complete_revocation(self) -> None:
        """Let the group go on with a rebalance."""
        with self._broker.changed:
            if self._let_go_at_s is not None:
                self._let_go_at_s = float("-inf")

    def close(self) -> None:
        """Leave the group."""
        with self._broker.changed:
            self._group.leave(self._member_id)
            self._broker.changed.notify_all()
        super().close()

    def _take_changes(self) -> Poll:
        now_s = self._monotonic_s()
        member = self._group.member(self._member_id)
        lost: frozenset[TopicPartition] = frozenset()
        if member is None:
            lost = self._drop_positions()
            self._group.join(self._member_id, self._topics, now_s)
            self._broker.changed.notify_all()
            member = self._joined()
        member.last_seen_s = now_s
        self._group.evict_silent(now_s)
        revoking = self._begin_hand_over(now_s) if self._group.rebalancing and not member.ready else NOBODY
        revoked: frozenset[TopicPartition] = frozenset()
        if self._group.rebalancing and not member.ready and (self._let_go_at_s is None or now_s >= self._let_go_at_s):
            self._group.give_up(self._member_id)
            revoked = self._drop_positions()
        if self._group.finish_rebalance({name: len(self._broker.topic(name).logs) for name in self._group.topics}):
            self._broker.changed.notify_all()
        return Poll(assigned=self._take_assigned(member), revoked=revoked, lost=lost, revoking=revoking)

    def _begin_hand_over(self, now_s: float) -> frozenset[TopicPartition]:
        """Return what the caller has to finish with, once; nothing where it has nothing or is not waited for."""
        if self._let_go_at_s is not None or not self._positions or not self._hand_over_s:
            return NOBODY
        self._let_go_at_s = now_s + self._hand_over_s
        return frozenset(self._positions)

    def _take_assigned(self, member: MemoryGroupMember) -> frozenset[TopicPartition]:
        if member.generation == self._generation:
            return frozenset()
        self._generation = member.generation
        for tp in sorted(member.assignment):
            self._positions[tp] = self._group.floor(tp, self._broker.log(tp).begin)
        return member.assignment

    def _drop_positions(self) -> frozenset[TopicPartition]:
        had = frozenset(self._positions)
        self._positions.clear()
        self._paused.clear()
        self._let_go_at_s = None
        return had

    def _joined(self) -> MemoryGroupMember:
        member = self._group.member(self._member_id)
        if member is None:
            raise TransportClosedError("this consumer is no member of its group")
        return member

    def _wait(self, remaining_s: float) -> None:
        """Wait for a change; a member that waits here is alive, whatever the session time-out."""
        limit_s = min(remaining_s, REBALANCE_WAIT_S) if self._group.rebalancing else remaining_s
        member = self._joined()
        member.last_seen_s = float("inf")
        self._broker.changed.wait(limit_s)
        member.last_seen_s = self._monotonic_s()
