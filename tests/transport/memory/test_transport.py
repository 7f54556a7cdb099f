"""Tests specific to the memory transport: its clock, its limit, and silent members."""

from __future__ import annotations

import pytest

from triptych.transport.errors import CommitRefusedError, PublishTimeoutError
from triptych.transport.memory.group import range_assignment
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Commit, Message, TopicPartition

TP = TopicPartition("t", 0)


def message(size: int = 10) -> Message:
    """Return a message of the given size."""
    return Message("t", b"", b"x" * size, partition=0)


def test_arrival_times_come_from_the_given_clock() -> None:
    """To the nanosecond, so that tests and replays control them."""
    times = iter([17, 23, 23])
    transport = MemoryTransport(clock_ns=lambda: next(times))
    publisher = transport.publisher()
    for _ in range(3):
        publisher.send(message())

    reader = transport.reader({TP: 0})

    assert [record.arrival_ns for record in reader.poll(0).records] == [17, 23, 23]
    assert reader.offsets_for_times({TP: 18}) == {TP: 1}


def test_records_committed_by_every_group_make_room() -> None:
    """Not records that were only read, nor those of one group alone."""
    transport = MemoryTransport(max_bytes=100, send_timeout_s=0.01)
    publisher = transport.publisher()
    groups = [transport.group_consumer(["t"], name) for name in ("a", "b")]
    for group in groups:
        group.poll(0)
    for _ in range(10):
        publisher.send(message())
    for group in groups:
        assert len(group.poll(0).records) == 10
    groups[0].commit({TP: Commit(5)})
    with pytest.raises(PublishTimeoutError, match="not yet read and committed"):
        publisher.send(message())

    groups[1].commit({TP: Commit(3)})
    for _ in range(3):
        publisher.send(message())

    assert groups[0].begin_offsets([TP]) == {TP: 3}
    with pytest.raises(PublishTimeoutError):
        publisher.send(message())


def test_records_behind_open_readers_make_room() -> None:
    """A closed reader needs nothing. A topic that was never read keeps all records."""
    transport = MemoryTransport(max_bytes=100, send_timeout_s=0.01)
    publisher = transport.publisher()
    for _ in range(10):
        publisher.send(message())
    with pytest.raises(PublishTimeoutError):
        publisher.send(message())
    reader = transport.reader({TP: 0})
    with pytest.raises(PublishTimeoutError):
        publisher.send(message())

    reader.poll(0)
    publisher.send(message())
    assert reader.begin_offsets([TP]) == {TP: 1}
    reader.close()
    for _ in range(50):
        publisher.send(message())


def test_a_silent_member_is_evicted() -> None:
    """The others take its partitions. It sees them as lost, cannot commit, and joins again."""
    now_s = 0.0
    transport = MemoryTransport(partitions=2, session_timeout_s=10, monotonic_s=lambda: now_s)
    silent, other = (transport.group_consumer(["t"], "g") for _ in range(2))
    everything = frozenset({TopicPartition("t", 0), TopicPartition("t", 1)})
    for _ in range(2):
        silent.poll(0)
        other.poll(0)
    (had,) = silent.assignment()

    now_s = 9.0
    other.poll(0)
    now_s = 11.0
    for _ in range(2):
        other.poll(0)

    assert other.assignment() == everything
    with pytest.raises(CommitRefusedError):
        silent.commit({had: Commit(1)})
    assert silent.poll(0).lost == {had}
    for _ in range(2):
        other.poll(0)
        silent.poll(0)
    assert len(silent.assignment()) == len(other.assignment()) == 1


def test_partitions_are_assigned_by_range() -> None:
    """In the order of the members, where the first ones get the remainder, as Kafka's range assignor does."""
    members = {name: frozenset({"t", "u"}) for name in "cab"}

    shares = range_assignment(members, {"t": 5, "u": 5})

    numbers = {name: sorted({tp.partition for tp in share}) for name, share in shares.items()}
    assert numbers == {"a": [0, 1], "b": [2, 3], "c": [4]}
    assert all({tp.topic for tp in share} == {"t", "u"} for share in shares.values())


def test_a_full_poll_starves_no_partition() -> None:
    """Partitions that did not fit come first in the next poll."""
    transport = MemoryTransport(partitions=20, max_bytes=1 << 30)
    publisher = transport.publisher()
    for number in range(20):
        for _ in range(2):
            publisher.send(Message("t", b"", b"x" * 1_000_000, partition=number))
    reader = transport.reader({TopicPartition("t", number): 0 for number in range(20)})

    first, second = reader.poll(0).records, reader.poll(0).records

    assert len({record.partition for record in first}) < 20
    assert {record.partition for record in second} > set(range(20)) - {record.partition for record in first}
