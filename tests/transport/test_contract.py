"""The contract of a transport: the same tests in memory and on a real Apache Kafka broker."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress

import pytest

from triptych.schemas.partition import partition_of
from triptych.transport.errors import (
    CommitRefusedError,
    MessageRejectedError,
    OffsetOutOfRangeError,
    PublishTimeoutError,
    RecordTooLargeError,
    RetriableError,
    TransportClosedError,
)
from triptych.transport.protocols import GroupConsumer, Publisher, Reader, Transport
from triptych.transport.records import Commit, Delivered, Message, OffsetOutOfRange, Poll, Record, TopicPartition

DEADLINE_S = 30.0
NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

NewTopic = Callable[..., str]
NothingMoves = Callable[[str], AbstractContextManager[None]]


def read_until(reader: Reader, enough: Callable[[list[Record]], bool]) -> list[Record]:
    """Poll until `enough` returns true, or fail."""
    taken: list[Record] = []
    deadline = time.monotonic() + DEADLINE_S
    while not enough(taken):
        assert time.monotonic() < deadline, f"only {len(taken)} records came: {taken[-3:]}"
        taken += reader.poll(0.2).records
    return taken


def read_count(reader: Reader, count: int) -> list[Record]:
    """Poll until `count` records have come."""
    return read_until(reader, lambda taken: len(taken) >= count)


def poll_until(consumer: GroupConsumer, enough: Callable[[Poll], bool]) -> Poll:
    """Poll until one poll satisfies `enough`, and return it."""
    deadline = time.monotonic() + DEADLINE_S
    while not enough(found := consumer.poll(0.2)):
        assert time.monotonic() < deadline, "it never came"
    return found


def duration_s(act: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began_s = time.monotonic()
    act()
    return time.monotonic() - began_s


def until_in_time(act: Callable[[], object], limit_s: float) -> None:
    """Repeat a call until it takes less than a limit: on a busy machine each one may take longer, but not all."""
    deadline = time.monotonic() + DEADLINE_S
    while duration_s(act) >= limit_s:
        assert time.monotonic() < deadline, f"it never took less than {limit_s:g} s"


def join(transport: Transport, topics: list[str], group: str, **policy: str) -> GroupConsumer:
    """Join a group and wait for the assignment; no record may come."""
    consumer = transport.group_consumer(topics, group, **policy)  # type: ignore[arg-type]
    poll_until(consumer, lambda found: bool(found.assigned))
    return consumer


def of(topic: str, count: int, *, key: bytes = b"city") -> list[Message]:
    """Return messages of one key, numbered in order."""
    return [Message(topic, key, b"%d" % number) for number in range(count)]


def send_all(publisher: Publisher, messages: Iterable[Message]) -> list[Delivered]:
    """Send messages and wait for their acknowledgements."""
    on_their_way = [publisher.send(message) for message in messages]
    publisher.flush(DEADLINE_S)
    return [future.result(0) for future in on_their_way]


def partitions(topic: str, count: int = 3) -> list[TopicPartition]:
    """Return the partitions of a topic."""
    return [TopicPartition(topic, number) for number in range(count)]


def from_the_start(transport: Transport, topic: str, count: int = 3) -> Reader:
    """Open a reader at the beginning of a topic."""
    return transport.reader(dict.fromkeys(partitions(topic, count), 0))


# --- records ------------------------------------------------------------------------------------------------------


def test_a_record_is_read_as_it_was_sent(transport: Transport, new_topic: NewTopic, publisher: Publisher) -> None:
    """Key, value, headers (a repeated name, empty, any bytes) and position."""
    topic = new_topic()
    headers = (("ce_id", b"1"), ("ce_id", b"2"), ("empty", b""), ("raw", bytes(range(256))))
    message = Message(topic, b"city", bytes(range(256)) * 40, headers)

    (where,) = send_all(publisher, [message])

    (record,) = read_count(from_the_start(transport, topic), 1)
    assert (record.key, record.value, record.headers) == (message.key, message.value, message.headers)
    assert (record.topic, record.partition, record.offset) == (where.topic, where.partition, where.offset)
    assert record.size_bytes == message.size_bytes


def test_an_empty_value_is_preserved(transport: Transport, new_topic: NewTopic, publisher: Publisher) -> None:
    """Control records have empty values."""
    topic = new_topic()

    send_all(publisher, [Message(topic, b"city", b"", (("ce_type", b"triptych.end"),))])

    (record,) = read_count(from_the_start(transport, topic), 1)
    assert record.value == b""


def test_a_message_without_a_value_is_a_tombstone(
    transport: Transport, new_topic: NewTopic, publisher: Publisher
) -> None:
    """It reads as no bytes. Only its key counts for the size."""
    topic = new_topic(1)
    message = Message(topic, b"key", None)
    assert message.size_bytes == len(b"key")
    send_all(publisher, [message])
    (record,) = read_count(from_the_start(transport, topic, 1), 1)
    assert (record.key, record.value) == (b"key", b"")


def test_records_of_one_key_keep_their_order(transport: Transport, new_topic: NewTopic, publisher: Publisher) -> None:
    """Also if several keys share a partition and several threads send."""
    topic = new_topic(2)
    keys = [b"city", b"sintel", b"harbour", b"studio"]

    def send(key: bytes) -> None:
        send_all(publisher, of(topic, 300, key=key))

    threads = [threading.Thread(target=send, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    records = read_count(from_the_start(transport, topic, 2), 1200)
    for key in keys:
        assert [int(record.value) for record in records if record.key == key] == list(range(300))


def test_the_append_time_is_the_brokers(transport: Transport, new_topic: NewTopic, publisher: Publisher) -> None:
    """The arrival time is between the send and the acknowledgement."""
    topic = new_topic()
    before_ns = time.time_ns() - NS_PER_MS  # Kafka counts in milliseconds

    send_all(publisher, of(topic, 3))

    after_ns = time.time_ns()
    records = read_count(from_the_start(transport, topic), 3)
    assert all(before_ns <= record.arrival_ns <= after_ns for record in records)
    assert [record.arrival_ns for record in records] == sorted(record.arrival_ns for record in records)


def test_a_stream_has_one_partition_number_on_all_topics(new_topic: NewTopic, publisher: Publisher) -> None:
    """It is the number that the contract computes without a client."""
    topics = [new_topic(6) for _ in range(3)]
    keys = [f"stream-{number}".encode() for number in range(40)]

    where = send_all(publisher, [Message(topic, key, b"x") for topic in topics for key in keys])

    expected = [partition_of(key, 6) for key in keys] * 3
    assert [delivered.partition for delivered in where] == expected
    assert len(set(expected)) == 6


def test_a_message_can_name_its_partition(new_topic: NewTopic, publisher: Publisher) -> None:
    """The worker does so for results, which go to the partition of their inputs."""
    topic = new_topic()

    where = send_all(publisher, [Message(topic, b"city", b"x", partition=number) for number in (2, 0, 1)])

    assert [delivered.partition for delivered in where] == [2, 0, 1]


# --- reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit_s", [0.0, 0.3])
def test_a_poll_ends_within_its_timeout(transport: Transport, new_topic: NewTopic, limit_s: float) -> None:
    """Whether or not there are records."""
    reader = from_the_start(transport, new_topic())

    def poll() -> None:
        assert reader.poll(limit_s) == Poll()

    assert min(duration_s(poll) for _ in range(3)) >= limit_s - 0.01
    until_in_time(poll, limit_s + 0.5)


def test_a_poll_returns_as_soon_as_there_is_a_record(
    transport: Transport, new_topic: NewTopic, publisher: Publisher
) -> None:
    """It does not wait for its timeout."""
    topic = new_topic()
    reader = from_the_start(transport, topic)
    reader.poll(0.2)
    timer = threading.Timer(0.2, lambda: publisher.send(Message(topic, b"city", b"x")))
    timer.start()
    started = time.monotonic()

    found = reader.poll(3 * DEADLINE_S)

    assert len(found.records) == 1
    assert time.monotonic() - started < 2 * DEADLINE_S
    timer.join()


def test_a_poll_ends_within_its_timeout_while_the_broker_is_unavailable(
    transport: Transport, new_topic: NewTopic, group: str, nothing_moves: NothingMoves
) -> None:
    """It returns no records, for readers and for members that wait for their assignment."""
    topic = new_topic()
    reader = from_the_start(transport, topic)
    member = transport.group_consumer([topic], group)
    reader.poll(0.2)

    with nothing_moves(topic):
        until_in_time(lambda: reader.poll(0.5), 1.0)
        until_in_time(lambda: member.poll(0.5), 1.0)

    poll_until(member, lambda _: bool(member.assignment()))


def test_end_offsets_are_not_cached(transport: Transport, new_topic: NewTopic, publisher: Publisher) -> None:
    """An end offset that is queried after the last poll includes later records."""
    topic = new_topic()
    tp = TopicPartition(topic, partition_of(b"city", 3))
    send_all(publisher, of(topic, 5))
    reader = from_the_start(transport, topic)
    read_count(reader, 5)
    assert reader.end_offsets([tp]) == {tp: reader.position(tp)} == {tp: 5}

    send_all(publisher, of(topic, 2))

    assert reader.end_offsets([tp]) == {tp: 7}
    assert reader.position(tp) == 5
    read_count(reader, 2)
    assert reader.position(tp) == 7
    assert reader.begin_offsets([tp]) == {tp: 0}


def test_seeking_moves_the_position_back_and_forward(
    transport: Transport, new_topic: NewTopic, publisher: Publisher
) -> None:
    """Forward also over records that were never read."""
    topic = new_topic(1)
    send_all(publisher, of(topic, 10))
    tp = TopicPartition(topic, 0)
    reader = transport.reader({tp: 2})
    assert [record.offset for record in read_count(reader, 8)] == list(range(2, 10))

    reader.seek(tp, 7)

    assert reader.position(tp) == 7
    assert [record.offset for record in read_count(reader, 3)] == [7, 8, 9]
    with pytest.raises(ValueError, match="not assigned"):
        reader.seek(TopicPartition(topic, 99), 0)


def test_offsets_are_found_by_append_time(transport: Transport, new_topic: NewTopic, publisher: Publisher) -> None:
    """The first offset at or after the time; the end offset if all records are older."""
    topic = new_topic(1)
    tp = TopicPartition(topic, 0)
    for message in of(topic, 4):
        send_all(publisher, [message])
        started = time.time_ns()
        while time.time_ns() - started < 3 * NS_PER_MS:
            pass  # the next one gets a later millisecond
    reader = from_the_start(transport, topic, 1)
    arrivals = [record.arrival_ns for record in read_count(reader, 4)]

    def at(time_ns: int) -> int:
        return reader.offsets_for_times({tp: time_ns})[tp]

    assert [at(arrival) for arrival in arrivals] == [0, 1, 2, 3]
    assert [at(arrival + 1) for arrival in arrivals] == [1, 2, 3, 4]
    assert at(0) == 0
    assert at(arrivals[-1] + 3600 * NS_PER_S) == 4


def test_offsets_of_partitions_that_are_not_read_can_be_queried(
    transport: Transport, new_topic: NewTopic, publisher: Publisher
) -> None:
    """Those of several partitions of another topic, in one call."""
    topic = new_topic(3)
    send_all(publisher, [Message(topic, b"city", b"x", (), number) for number in (0, 2, 2)])
    reader = from_the_start(transport, new_topic(1), 1)

    assert reader.begin_offsets(partitions(topic)) == dict.fromkeys(partitions(topic), 0)
    assert reader.end_offsets(partitions(topic)) == dict(zip(partitions(topic), (1, 0, 2), strict=True))
    later_ns = time.time_ns() + 3600 * NS_PER_S
    assert reader.offsets_for_times(dict.fromkeys(partitions(topic), 0)) == dict.fromkeys(partitions(topic), 0)
    assert reader.offsets_for_times(dict.fromkeys(partitions(topic), later_ns)) == dict(
        zip(partitions(topic), (1, 0, 2), strict=True)
    )


def test_paused_partitions_return_no_records_until_resumed(
    transport: Transport, new_topic: NewTopic, publisher: Publisher
) -> None:
    """Nothing is skipped, and unassigned partitions are ignored."""
    topic = new_topic(2)
    reader = from_the_start(transport, topic, 2)
    first, second = partitions(topic, 2)
    reader.pause([first, TopicPartition("another", 0)])
    send_all(publisher, [Message(topic, b"k", b"%d" % n, partition=n % 2) for n in range(20)])

    assert {record.partition for record in read_count(reader, 10)} == {1}
    assert reader.poll(0.3) == Poll()
    assert reader.position(first) == 0

    reader.resume([first, second, TopicPartition("another", 0)])
    assert [record.offset for record in read_count(reader, 10) if record.tp == first] == list(range(10))


@pytest.mark.parametrize("seed", range(12))
def test_pausing_and_resuming_loses_no_fetched_records(
    transport: Transport, publisher: Publisher, new_topic: NewTopic, seed: int
) -> None:
    """All records arrive once and in order, however often partitions are paused while fetched records wait."""
    topic, count = new_topic(6), 3_000
    send_all(publisher, (Message(topic, b"k", b"x" * 100, partition=number % 6) for number in range(count)))
    reader = from_the_start(transport, topic, 6)
    tps = partitions(topic, 6)
    chance = random.Random(seed)  # noqa: S311 - a test's dice
    positions, paused, taken = dict.fromkeys(tps, 0), set[TopicPartition](), 0
    deadline = time.monotonic() + DEADLINE_S
    step = 0
    while taken < count:
        assert time.monotonic() < deadline, f"stranded: {positions}"
        for record in reader.poll(0.05 if paused != set(tps) else 0.0).records:
            assert record.tp not in paused
            assert record.offset == positions[record.tp]
            positions[record.tp] += 1
            taken += 1
        step += 1
        if step < 60:
            for tp in chance.sample(tps, 2):
                (reader.resume if tp in paused else reader.pause)([tp])
                paused ^= {tp}
        elif paused:
            reader.resume(paused)
            paused = set()


# --- groups -------------------------------------------------------------------------------------------------------


def test_a_group_starts_at_the_beginning_and_continues_at_its_commit(
    transport: Transport, new_topic: NewTopic, publisher: Publisher, group: str
) -> None:
    """Only commits count, not reads. The commit metadata is preserved."""
    topic = new_topic(1)
    tp = TopicPartition(topic, 0)
    send_all(publisher, of(topic, 10))
    first = transport.group_consumer([topic], group)
    assert [record.offset for record in read_count(first, 10)] == list(range(10))
    assert first.assignment() == {tp}
    assert first.committed([tp]) == {tp: None}
    first.commit({tp: Commit(4, "floor=17")})
    assert first.committed([tp]) == {tp: Commit(4, "floor=17")}
    first.close()

    second = transport.group_consumer([topic], group)

    assert [record.offset for record in read_count(second, 6)] == list(range(4, 10))
    assert second.committed([tp]) == {tp: Commit(4, "floor=17")}


def test_only_named_offsets_are_committed(
    transport: Transport, new_topic: NewTopic, publisher: Publisher, group: str
) -> None:
    """Reading and closing commit nothing; a commit of one partition does not affect the others."""
    topic = new_topic(2)
    first, second = partitions(topic, 2)
    send_all(publisher, [Message(topic, b"k", b"x", partition=n % 2) for n in range(10)])
    consumer = transport.group_consumer([topic], group)
    read_count(consumer, 10)
    consumer.commit({first: Commit(3)})
    consumer.commit({})
    consumer.close()

    again = join(transport, [topic], group)

    assert again.committed([first, second]) == {first: Commit(3), second: None}


def test_members_get_the_same_partitions_of_all_topics(transport: Transport, new_topic: NewTopic, group: str) -> None:
    """Polls report assigned and revoked partitions."""
    topics = [new_topic(4) for _ in range(3)]
    everything = {TopicPartition(topic, number) for topic in topics for number in range(4)}
    first = join(transport, topics, group)
    assert first.assignment() == everything

    second = transport.group_consumer(topics, group)
    told = set(everything)
    deadline = time.monotonic() + DEADLINE_S
    while not (second.assignment() and len(first.assignment()) == 6):
        assert time.monotonic() < deadline
        changes = first.poll(0.1)
        assert changes.revoked <= told
        assert not changes.lost
        told = (told - changes.revoked) | changes.assigned
        assert first.assignment() == told
        second.poll(0.1)

    assert first.assignment() | second.assignment() == everything
    assert not first.assignment() & second.assignment()
    assert not {tp.partition for tp in first.assignment()} & {tp.partition for tp in second.assignment()}

    second.close()
    poll_until(first, lambda _: first.assignment() == everything)


def test_a_commit_of_reassigned_partitions_is_refused(
    transport: Transport, new_topic: NewTopic, publisher: Publisher, group: str
) -> None:
    """The member continues with its remaining partitions."""
    topic = new_topic(2)
    send_all(publisher, [Message(topic, b"k", b"x", partition=n % 2) for n in range(4)])
    first = join(transport, [topic], group)
    mine_before = first.assignment()
    second = transport.group_consumer([topic], group)
    deadline = time.monotonic() + DEADLINE_S
    while not second.assignment() or len(first.assignment()) != 1:
        assert time.monotonic() < deadline
        first.poll(0.1)
        second.poll(0.1)
    (moved,) = second.assignment()

    with pytest.raises(CommitRefusedError):
        first.commit(dict.fromkeys(mine_before, Commit(1)))

    assert second.committed([moved]) == {moved: None}
    (kept,) = first.assignment()
    first.commit({kept: Commit(1)})
    assert second.committed([kept]) == {kept: Commit(1)}


def test_uncommitted_records_are_read_again_after_a_rebalance(
    transport: Transport, new_topic: NewTopic, publisher: Publisher, group: str
) -> None:
    """Also by the member that keeps the partition: all members start at the commits."""
    topic = new_topic(2)
    send_all(publisher, [Message(topic, b"k", b"%d" % n, partition=n % 2) for n in range(8)])
    first = transport.group_consumer([topic], group)
    read_count(first, 8)
    first.commit({TopicPartition(topic, 0): Commit(1), TopicPartition(topic, 1): Commit(2)})
    first.pause(first.assignment())

    second = transport.group_consumer([topic], group)
    again: set[int] = set()
    deadline = time.monotonic() + DEADLINE_S
    while not (len(again) >= 5 and len(first.assignment()) == len(second.assignment()) == 1):
        assert time.monotonic() < deadline, f"only {again} came"
        again |= {int(record.value) for member in (first, second) for record in member.poll(0.1).records}

    assert again == {2, 4, 5, 6, 7}


def test_a_rebalance_waits_for_the_revocation_to_complete(
    transport: Transport, new_topic: NewTopic, publisher: Publisher, group: str
) -> None:
    """The member can commit until it completes the revocation, and nobody owns the partitions before that."""
    topic = new_topic(2)
    everything = frozenset(partitions(topic, 2))
    first = transport.group_consumer([topic], group, hand_over_s=DEADLINE_S)
    poll_until(first, lambda found: bool(found.assigned))
    second = transport.group_consumer([topic], group)

    asked = Poll()
    deadline = time.monotonic() + DEADLINE_S
    while not asked.revoking:
        assert time.monotonic() < deadline
        second.poll(0)
        asked = first.poll(0.1)
    send_all(publisher, [Message(topic, b"k", b"x", partition=n) for n in range(2)])
    for _ in range(5):
        assert first.poll(0.05) == Poll()
        assert second.poll(0.05).assigned == frozenset()
    assert (asked.revoking, asked.revoked, first.assignment()) == (everything, frozenset(), everything)
    first.commit(dict.fromkeys(everything, Commit(1)))
    first.complete_revocation()

    revoked: frozenset[TopicPartition] = frozenset()
    while not (len(first.assignment()) == len(second.assignment()) == 1):
        assert time.monotonic() < deadline
        revoked |= first.poll(0.1).revoked
        second.poll(0.1)
    assert revoked == everything
    assert second.committed(everything) == dict.fromkeys(everything, Commit(1))


def test_a_revocation_ends_at_its_limit(transport: Transport, new_topic: NewTopic, group: str) -> None:
    """A member that does not complete it loses the partitions, and can no longer commit."""
    topic = new_topic(2)
    first = transport.group_consumer([topic], group, hand_over_s=0.3)
    had = poll_until(first, lambda found: bool(found.assigned)).assigned
    second = transport.group_consumer([topic], group)

    deadline = time.monotonic() + DEADLINE_S
    told: list[Poll] = []
    while not second.assignment() or len(first.assignment()) != 1:
        assert time.monotonic() < deadline
        told.append(first.poll(0.1))
        second.poll(0.1)

    asked = next(number for number, poll in enumerate(told) if poll.revoking)
    gone = next(number for number, poll in enumerate(told) if poll.revoked)
    assert (told[asked].revoking, told[gone].revoked) == (had, had)
    assert asked < gone
    with pytest.raises(CommitRefusedError):
        first.commit(dict.fromkeys(second.assignment(), Commit(0)))


def test_closing_does_not_wait_for_a_revocation(transport: Transport, new_topic: NewTopic, group: str) -> None:
    """The other members continue at once."""
    topic = new_topic(2)
    first = transport.group_consumer([topic], group, hand_over_s=4 * DEADLINE_S)
    poll_until(first, lambda found: bool(found.assigned))
    second = transport.group_consumer([topic], group, hand_over_s=4 * DEADLINE_S)
    poll_until(first, lambda found: second.poll(0) is not None and bool(found.revoking))

    first.close()  # `poll_until` fails before the time for the handover is over
    poll_until(second, lambda _: second.assignment() == frozenset(partitions(topic, 2)))


@pytest.mark.parametrize(("policy", "resumed"), [("earliest", 6), ("latest", 10)])
def test_a_jump_over_a_deleted_committed_offset_is_reported(
    transport: Transport, new_topic: NewTopic, publisher: Publisher, group: str, policy: str, resumed: int
) -> None:
    """The poll returns the wanted and the resumed offset."""
    topic = new_topic(1)
    tp = TopicPartition(topic, 0)
    commit_then_lose(transport, publisher, topic, group)

    consumer = transport.group_consumer([topic], group, when_out_of_range=policy)  # type: ignore[arg-type]

    found = poll_until(consumer, lambda found: bool(found.out_of_range))
    assert found.out_of_range == (OffsetOutOfRange(tp, wanted=3, resumed=resumed),)
    assert consumer.committed([tp]) == {tp: Commit(3)}
    send_all(publisher, of(topic, 1))
    records = list(found.records) or read_count(consumer, 1)
    assert records[0].offset == resumed


def test_the_policy_stop_raises_for_a_deleted_committed_offset(
    transport: Transport, new_topic: NewTopic, publisher: Publisher, group: str
) -> None:
    """Nothing is read; the error names the missing offsets."""
    topic = new_topic(1)
    commit_then_lose(transport, publisher, topic, group)

    consumer = transport.group_consumer([topic], group, when_out_of_range="stop")

    with pytest.raises(OffsetOutOfRangeError, match=f"{topic} 0: offset 3 is outside 6 to 10"):
        poll_until(consumer, lambda found: bool(found.records))


def test_a_jump_over_records_deleted_while_reading_is_reported(
    transport: Transport, new_topic: NewTopic, publisher: Publisher
) -> None:
    """Retention can overtake a reader."""
    topic = new_topic(1)
    tp = TopicPartition(topic, 0)
    send_all(publisher, of(topic, 10))
    reader = transport.reader({tp: 0})
    reader.pause([tp])
    reader.poll(0.2)
    admin = transport.admin()
    admin.delete_records({tp: 8})
    admin.close()
    reader.resume([tp])

    found: list[OffsetOutOfRange] = []
    offsets: list[int] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(offsets) < 2:
        assert time.monotonic() < deadline
        polled = reader.poll(0.2)
        found += polled.out_of_range
        offsets += [record.offset for record in polled.records]

    assert found == [OffsetOutOfRange(tp, wanted=0, resumed=8)]
    assert offsets == [8, 9]


def commit_then_lose(transport: Transport, publisher: Publisher, topic: str, group: str) -> None:
    """Commit offset 3 of 10, and delete the records before 6."""
    tp = TopicPartition(topic, 0)
    send_all(publisher, of(topic, 10))
    consumer = join(transport, [topic], group)
    consumer.commit({tp: Commit(3)})
    consumer.close()
    admin = transport.admin()
    admin.delete_records({tp: 6})
    admin.close()


# --- publishing ---------------------------------------------------------------------------------------------------


def test_a_publisher_is_bounded_while_the_broker_is_unavailable(
    transport: Transport, new_topic: NewTopic, publisher: Publisher, nothing_moves: NothingMoves
) -> None:
    """It raises in time, holds no more than its limit, and later delivers what it accepted, in order."""
    topic = new_topic(1)
    send_all(publisher, of(topic, 1, key=b"first"))
    taken = 0

    def send_without_end() -> None:
        nonlocal taken
        while True:
            publisher.send(Message(topic, b"city", b"%10d" % taken * 5_000))
            taken += 1

    with nothing_moves(topic):
        started = time.monotonic()
        with pytest.raises(PublishTimeoutError, match="1048576"):
            send_without_end()
        assert time.monotonic() - started < DEADLINE_S
        assert taken == 20  # of 50 kB, in 1 MiB

    records = read_count(from_the_start(transport, topic, 1), taken + 1)
    assert [int(record.value[:10]) for record in records if record.key == b"city"] == list(range(taken))
    publisher.send(Message(topic, b"city", b"and on it goes")).result(DEADLINE_S)


def test_a_record_over_our_limit_is_rejected_before_sending(
    transport: Transport, new_topic: NewTopic, publisher: Publisher
) -> None:
    """Key and headers count. The error names the sizes and the three places where Kafka sets the limit."""
    topic = new_topic(1)
    headers = (("ce_id", b"x" * 50),)
    room = 200_000 - len(b"city") - len("ce_id") - 50
    fits = Message(topic, b"city", b"x" * room, headers)
    too_large = Message(topic, b"city", b"x" * (room + 1), headers)

    with pytest.raises(RecordTooLargeError) as refused:
        publisher.send(too_large)

    for part in ("200001", "200000", "max.message.bytes", "max_request_size", "max_partition_fetch_bytes"):
        assert part in str(refused.value)
    send_all(publisher, [fits])
    assert [len(record.value) for record in read_count(from_the_start(transport, topic, 1), 1)] == [room]


def test_a_rejected_record_does_not_affect_others(
    transport: Transport, new_topic: NewTopic, publisher: Publisher
) -> None:
    """A topic with a lower limit rejects some records. All others arrive, in order by key."""
    small, other = new_topic(2, max_record_bytes=20_000), new_topic(2)
    keys = [b"city", b"sintel", b"harbour"]
    too_large = {60, 61, 150}
    on_their_way: list[tuple[Message, Future[Delivered]]] = []
    for number in range(240):
        topic = other if number % 4 == 3 else small
        size = 60_000 if number in too_large else 500
        message = Message(topic, keys[number % 3], b"%4d" % number + b"." * size)
        on_their_way.append((message, publisher.send(message)))
    publisher.flush(60.0)

    refused = [message for message, future in on_their_way if future.exception(0) is not None]
    assert [int(message.value[:4]) for message in refused] == sorted(too_large)
    for message, future in on_their_way:
        if message in refused:
            error = future.exception(0)
            assert isinstance(error, RecordTooLargeError)
            for part in (str(message.size_bytes), "max.message.bytes", "max_request_size", "max_partition_fetch_bytes"):
                assert part in str(error)
    for topic in (small, other):
        sent = [message for message, _ in on_their_way if message.topic == topic and message not in refused]
        assert_arrived_in_order(from_the_start(transport, topic, 2), sent)


def assert_arrived_in_order(reader: Reader, sent: list[Message]) -> None:
    """Check that all records arrived, in order by key, after dropping duplicates as readers do."""
    wanted = {message.value for message in sent}
    records = read_until(reader, lambda found: {record.value for record in found} >= wanted)
    for key in {message.key for message in sent}:
        seen: list[bytes] = []
        for record in records:
            if record.key == key and (not seen or record.value > seen[-1]):
                seen.append(record.value)
        assert seen == [message.value for message in sent if message.key == key]


def test_a_message_for_a_missing_partition_fails_alone(new_topic: NewTopic, publisher: Publisher) -> None:
    """Other messages are not affected, and a message in flight cannot be cancelled."""
    topic = new_topic(2)
    wrong = publisher.send(Message(topic, b"k", b"x", partition=7))
    right = publisher.send(Message(topic, b"k", b"x", partition=1))
    assert not right.cancel()
    publisher.flush(DEADLINE_S)

    assert isinstance(wrong.exception(0), MessageRejectedError)
    assert right.result(0) == Delivered(topic, 1, 0)


def test_a_closed_publisher_accepts_nothing(transport: Transport, new_topic: NewTopic) -> None:
    """Closing sends the accepted messages. Closing twice does nothing."""
    topic = new_topic(1)
    publisher = transport.publisher()
    on_its_way = publisher.send(Message(topic, b"city", b"x"))
    publisher.close(DEADLINE_S)
    publisher.close(DEADLINE_S)

    assert on_its_way.result(0) == Delivered(topic, 0, 0)
    with pytest.raises(TransportClosedError):
        publisher.send(Message(topic, b"city", b"x"))


# --- topics -------------------------------------------------------------------------------------------------------


def test_topics_are_described_as_created(transport: Transport, new_topic: NewTopic) -> None:
    """Append time and size limit; nothing for missing topics."""
    topic = new_topic(5, max_record_bytes=123_000)
    admin = transport.admin()

    found = admin.describe([topic, "nowhere"])

    assert found.keys() == {topic}
    assert found[topic].partitions == admin.partition_count(topic) == 5
    assert admin.partition_count("nowhere") is None
    assert found[topic].configs["message.timestamp.type"] == "LogAppendTime"
    assert int(found[topic].configs["max.message.bytes"]) >= 123_000
    assert found[topic].configs["retention.ms"] == str(7 * 24 * 3600 * 1000)
    admin.alter(topic, {"retention.ms": "1000"})
    assert admin.describe([topic])[topic].configs["retention.ms"] == "1000"
    admin.close()


def test_topics_grow(transport: Transport, new_topic: NewTopic) -> None:
    """Several in one request. Records stay where they are, and new partitions are empty."""
    topics = [new_topic(2), new_topic(2), new_topic(2)]
    publisher = transport.publisher()
    send_all(publisher, of(topics[0], 3))
    publisher.close(DEADLINE_S)
    admin = transport.admin()
    assert {*topics} <= {*admin.names()}
    assert not [name for name in admin.names() if name.startswith("__")]

    admin.grow(dict.fromkeys(topics[:2], 4))
    deadline = time.monotonic() + DEADLINE_S
    wanted = dict(zip(topics, (4, 4, 2), strict=True))
    while {topic: found.partitions for topic, found in admin.identify(topics).items()} != wanted:
        assert time.monotonic() < deadline, "the brokers do not show the new partitions"
        time.sleep(0.05)
    ends: dict[TopicPartition, int] = {}
    while not ends:  # a new partition has no leader for a moment
        assert time.monotonic() < deadline, "the new partitions have no leaders"
        with suppress(RetriableError):
            ends = admin.appended_offsets(partitions(topics[0], 4))
    admin.close()

    assert sum(ends.values()) == ends[TopicPartition(topics[0], partition_of(b"city", 2))] == 3
