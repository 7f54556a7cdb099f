"""The contract of transactions: a batch and the group's offsets are committed atomically.

The same tests run in memory and on a real Apache Kafka broker, with both clients.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from triptych.transport.errors import CommitRefusedError, RecordTooLargeError, TransportClosedError
from triptych.transport.records import Commit, Message, TopicPartition

if TYPE_CHECKING:
    from triptych.transport.protocols import GroupConsumer, TransactionalPublisher, Transport

DEADLINE_S = 30.0
NewTopic = Callable[..., str]

pytestmark = pytest.mark.parametrize("world", ["memory", "kafka", "librdkafka"], indirect=True)


@pytest.fixture
def name() -> str:
    """A new transactional id."""
    return f"contract-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def transactions(transport: Transport, name: str) -> Iterator[TransactionalPublisher]:
    """A transactional publisher."""
    made = transport.transactional_publisher(name)
    yield made
    made.close(DEADLINE_S)


def of(topic: str, *values: bytes) -> list[Message]:
    """Return messages for partition 0."""
    return [Message(topic, b"city", value, partition=0) for value in values]


def values(transport: Transport, topic: str) -> list[bytes]:
    """Return the values on partition 0, up to its end."""
    tp = TopicPartition(topic, 0)
    reader = transport.reader({tp: 0})
    end = reader.end_offsets([tp])[tp]
    found: list[bytes] = []
    deadline = time.monotonic() + DEADLINE_S
    while reader.position(tp) < end:
        assert time.monotonic() < deadline
        found += [record.value for record in reader.poll(0.2).records]
    reader.close()
    return found


def join(transport: Transport, topic: str, group: str) -> GroupConsumer:
    """Join a group and wait for the assignment."""
    consumer = transport.group_consumer([topic], group)
    turn_until([consumer], lambda: bool(consumer.assignment()))
    return consumer


def turn_until(consumers: list[GroupConsumer], true: Callable[[], bool]) -> None:
    """Poll all consumers in turn until the condition is true."""
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        for consumer in consumers:
            consumer.poll(0.1)


def test_messages_and_offsets_are_committed_together(
    transport: Transport, transactions: TransactionalPublisher, new_topic: NewTopic, group: str
) -> None:
    """Afterwards both are durable, and another transaction can follow."""
    inputs, results = new_topic(1), new_topic(1)
    tp = TopicPartition(inputs, 0)
    consumer = join(transport, inputs, group)

    for number in (1, 2):
        transactions.publish(of(results, b"a%d" % number, b"b%d" % number), consumer.group_offsets({tp: number}))

        # The coordinator informs the group after it has answered us, so the commit appears with a delay.
        turn_until([consumer], lambda n=number: consumer.committed([tp]) == {tp: Commit(n)})  # type: ignore[misc]
    assert values(transport, results) == [b"a1", b"b1", b"a2", b"b2"]
    transactions.publish(of(results, b"c"), None)
    assert values(transport, results)[-1] == b"c"


def test_a_batch_with_a_rejected_message_publishes_nothing(
    transport: Transport, transactions: TransactionalPublisher, new_topic: NewTopic, group: str
) -> None:
    """Rejected by this program or by the topic: no message, no offset. The next batch is published."""
    inputs, results = new_topic(1), new_topic(1, max_record_bytes=20_000)
    tp = TopicPartition(inputs, 0)
    consumer = join(transport, inputs, group)
    offsets = consumer.group_offsets({tp: 7})

    for too_large in (b"x" * 30_000, b"x" * 300_000):
        with pytest.raises(RecordTooLargeError):
            transactions.publish(of(results, b"before", too_large, b"after"), offsets)

    transactions.recover()
    assert (values(transport, results), consumer.committed([tp])) == ([], {tp: None})
    transactions.publish(of(results, b"small"), offsets)
    assert values(transport, results) == [b"small"]
    turn_until([consumer], lambda: consumer.committed([tp]) == {tp: Commit(7)})


def test_an_old_membership_publishes_nothing(
    transport: Transport, transactions: TransactionalPublisher, new_topic: NewTopic, group: str
) -> None:
    """After a rebalance neither messages nor offsets are accepted, whoever owns the partitions."""
    inputs, results = new_topic(2), new_topic(1)
    first = join(transport, inputs, group)
    before = first.group_offsets(dict.fromkeys(first.assignment(), 3))
    second = transport.group_consumer([inputs], group)
    turn_until([first, second], lambda: len(first.assignment()) == len(second.assignment()) == 1)

    with pytest.raises(CommitRefusedError):
        transactions.publish(of(results, b"of a zombie"), before)

    transactions.recover()
    assert values(transport, results) == []
    assert set(first.committed(before.commits).values()) == {None}
    transactions.publish(of(results, b"of its heir"), second.group_offsets(dict.fromkeys(second.assignment(), 4)))
    assert values(transport, results) == [b"of its heir"]


def test_the_last_owner_of_a_name_fences_the_one_before(
    transport: Transport, transactions: TransactionalPublisher, new_topic: NewTopic, name: str
) -> None:
    """The previous owner is rejected with its whole batch; to continue, it has to take the name again."""
    results = new_topic(1)
    transactions.publish(of(results, b"first"), None)
    heir = transport.transactional_publisher(name)

    with pytest.raises(CommitRefusedError):
        transactions.publish(of(results, b"of a zombie"), None)
    heir.publish(of(results, b"second"), None)
    heir.close(DEADLINE_S)

    assert values(transport, results) == [b"first", b"second"]
    with pytest.raises(TransportClosedError):
        heir.publish(of(results, b"closed"), None)


def test_a_reader_at_the_appended_end_has_read_all_committed_records(
    transport: Transport, transactions: TransactionalPublisher, new_topic: NewTopic
) -> None:
    """Without open transactions, a reader that has read everything is at that offset."""
    topic = new_topic(1)
    tp = TopicPartition(topic, 0)
    transactions.publish(of(topic, b"a", b"b"), None)
    admin, reader = transport.admin(), transport.reader({tp: 0})
    appended = admin.appended_offsets([tp])

    assert appended == reader.end_offsets([tp])
    deadline = time.monotonic() + DEADLINE_S
    while reader.position(tp) < appended[tp]:
        assert time.monotonic() < deadline
        reader.poll(0.2)
    admin.close()


def test_rewind_seeks_to_the_committed_offset(
    transport: Transport, transactions: TransactionalPublisher, new_topic: NewTopic, group: str
) -> None:
    """And to the beginning if there is none."""
    inputs = new_topic(2)
    first, second = (TopicPartition(inputs, number) for number in range(2))
    transactions.publish([Message(inputs, b"k", b"x", partition=number % 2) for number in range(10)], None)
    consumer = join(transport, inputs, group)
    consumer.commit({first: Commit(3)})
    turn_until([consumer], lambda: all(consumer.position(tp) >= 5 for tp in (first, second)))

    consumer.rewind([first, second])

    assert (consumer.position(first), consumer.position(second)) == (3, 0)
