"""What every transport promises of transactions: a batch and the group's offsets, all or nothing.

On the secured broker they do not work: it asks itself about transactions, over a listener that it may not log in to.
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

pytestmark = pytest.mark.parametrize("world", ["memory", "kafka"], indirect=True)


@pytest.fixture
def name() -> str:
    """The name of a publisher that nobody else has."""
    return f"contract-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def transactions(transport: Transport, name: str) -> Iterator[TransactionalPublisher]:
    """A publisher of transactions."""
    made = transport.transactional_publisher(name)
    yield made
    made.close(DEADLINE_S)


def of(topic: str, *values: bytes) -> list[Message]:
    """Return messages for partition 0."""
    return [Message(topic, b"city", value, partition=0) for value in values]


def values(transport: Transport, topic: str) -> list[bytes]:
    """Return what partition 0 holds, to its end."""
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
    """Join a group and wait for partitions."""
    consumer = transport.group_consumer([topic], group)
    turn_until([consumer], lambda: bool(consumer.assignment()))
    return consumer


def turn_until(consumers: list[GroupConsumer], true: Callable[[], bool]) -> None:
    """Poll all of them in turn until it is true."""
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        for consumer in consumers:
            consumer.poll(0.1)


def test_messages_and_offsets_come_together(
    transport: Transport, transactions: TransactionalPublisher, new_topic: NewTopic, group: str
) -> None:
    """Once both are there neither can be taken back, and it can be done again."""
    inputs, results = new_topic(1), new_topic(1)
    tp = TopicPartition(inputs, 0)
    consumer = join(transport, inputs, group)

    for number in (1, 2):
        transactions.publish(of(results, b"a%d" % number, b"b%d" % number), consumer.group_offsets({tp: number}))

        # The coordinator tells the group after it has told us, and for a moment the group knows of nothing.
        turn_until([consumer], lambda n=number: consumer.committed([tp]) == {tp: Commit(n)})  # type: ignore[misc]
    assert values(transport, results) == [b"a1", b"b1", b"a2", b"b2"]
    transactions.publish(of(results, b"c"), None)
    assert values(transport, results)[-1] == b"c"


def test_a_batch_with_a_message_that_is_refused_leaves_nothing(
    transport: Transport, transactions: TransactionalPublisher, new_topic: NewTopic, group: str
) -> None:
    """By us or by the topic: no message, no offset; what comes next is published."""
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


def test_whoever_was_given_partitions_before_a_rebalance_publishes_nothing(
    transport: Transport, transactions: TransactionalPublisher, new_topic: NewTopic, group: str
) -> None:
    """The group has gone on: neither messages nor offsets in the old name, whoever has the partitions now."""
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


def test_a_name_belongs_to_whoever_took_it_last(
    transport: Transport, transactions: TransactionalPublisher, new_topic: NewTopic, name: str
) -> None:
    """The one before is refused once, with all that it had; to go on it would have to take the name back."""
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


def test_a_reader_at_the_end_of_what_was_appended_has_read_all_that_is_committed(
    transport: Transport, transactions: TransactionalPublisher, new_topic: NewTopic
) -> None:
    """Where nothing is open, whoever has read what can be read stands there."""
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


def test_a_member_goes_back_to_where_its_group_committed(
    transport: Transport, transactions: TransactionalPublisher, new_topic: NewTopic, group: str
) -> None:
    """And to the beginning where it has not."""
    inputs = new_topic(2)
    first, second = (TopicPartition(inputs, number) for number in range(2))
    transactions.publish([Message(inputs, b"k", b"x", partition=number % 2) for number in range(10)], None)
    consumer = join(transport, inputs, group)
    consumer.commit({first: Commit(3)})
    turn_until([consumer], lambda: all(consumer.position(tp) >= 5 for tp in (first, second)))

    consumer.rewind([first, second])

    assert (consumer.position(first), consumer.position(second)) == (3, 0)
