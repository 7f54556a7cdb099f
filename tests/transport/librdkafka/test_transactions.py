"""Transactions after a batch that was too large: one message in each batch, for a limited time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import KafkaError, KafkaException
from kafka import errors

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import RecordTooLargeError
from triptych.transport.librdkafka import transactions
from triptych.transport.librdkafka.connect import ClientErrors
from triptych.transport.librdkafka.producer import SINGLE_MESSAGES
from triptych.transport.librdkafka.transactions import LibrdkafkaTransactions
from triptych.transport.records import Message

LIMIT_BYTES = 100
"""Of a batch on the topic."""


class _LimitedTopic:
    """Opens clients of a topic with a limit, and records what they do."""

    def __init__(self) -> None:
        self.opened: list[_TransactionsOnTopic] = []

    def open(self, *_: object, single_messages: bool) -> _TransactionsOnTopic:
        """Open a client."""
        self.opened.append(_TransactionsOnTopic(single_messages=single_messages))
        return self.opened[-1]

    def kinds(self) -> list[str]:
        """Return how the clients that were opened send."""
        return ["single" if client.single_messages else "batches" for client in self.opened]

    def left_open(self) -> int:
        """Return how many clients are open."""
        return sum(not client.is_closed for client in self.opened)


class _TransactionsOnTopic:
    """A client whose topic rejects a batch over the limit."""

    def __init__(self, *, single_messages: bool) -> None:
        self.single_messages = single_messages
        self.is_closed = False

    def fill(self, messages: Sequence[Message], _: object) -> None:
        """Accept the messages, or raise the broker's error."""
        sizes = [len(message.value) for message in messages]
        if (max(sizes) if self.single_messages else sum(sizes)) > LIMIT_BYTES:
            raise errors.MessageSizeTooLargeError

    def commit(self) -> None:
        """Commit."""

    def abandon(self, _: float) -> None:
        """Record that it was closed."""
        self.is_closed = True


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> _LimitedTopic:
    """The topic to which all clients of the test publish."""
    made = _LimitedTopic()
    monkeypatch.setattr(transactions, "LibrdkafkaTransactionClient", made.open)
    return made


def of(count: int, size: int) -> list[Message]:
    """Return messages of this size."""
    return [Message("results", b"city", b"x" * size)] * count


def test_batches_are_sent_again_after_a_batch_that_was_too_large(topic: _LimitedTopic) -> None:
    """Single messages take one round trip each, so a client for them is not kept for ever."""
    publisher = LibrdkafkaTransactions(KafkaSettings(), "worker-0")

    publisher.publish(of(10, 20), None)
    publisher.publish(of(10, 20), None)
    assert topic.kinds() == ["batches", "single"]

    for _ in range(SINGLE_MESSAGES // 10):
        publisher.publish(of(10, 1), None)

    assert topic.kinds() == ["batches", "single", "batches"]
    assert topic.left_open() == 1
    publisher.close(0)
    assert topic.left_open() == 0


def test_a_message_that_is_too_large_alone_is_rejected(topic: _LimitedTopic) -> None:
    """It is tried alone once, and the next batch is published."""
    publisher = LibrdkafkaTransactions(KafkaSettings(), "worker-0")

    with pytest.raises(RecordTooLargeError):
        publisher.publish(of(1, LIMIT_BYTES + 1), None)
    assert topic.kinds() == ["batches", "single"]
    publisher.publish(of(2, 1), None)

    assert topic.kinds() == ["batches", "single", "single"]
    assert topic.left_open() == 1


class _Fenced:
    """A producer client that another one fences while it sends a transaction."""

    def __init__(self) -> None:
        self._has_begun = False

    def init_transactions(self, _: float) -> None:
        """Take the name."""

    def begin_transaction(self) -> None:
        """Begin; refuse to begin twice, with the reason why the transaction has failed."""
        if self._has_begun:
            raise KafkaException(KafkaError(KafkaError._FENCED, "another one has the name", fatal=True))  # noqa: SLF001 - the name of an error of librdkafka
        self._has_begun = True

    def produce(self, *_: object, **__: object) -> None:
        """Refuse messages, because the client has stopped."""
        raise KafkaException(KafkaError(KafkaError._FATAL))  # noqa: SLF001 - as above


def test_a_message_that_the_stopped_client_refuses_fails_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own error for the message says only that there is a fatal error."""
    monkeypatch.setattr(transactions, "open_producer", lambda *_: (_Fenced(), ClientErrors()))
    client = transactions.LibrdkafkaTransactionClient(KafkaSettings(), "worker-0", 1.0, single_messages=False)

    with pytest.raises(errors.ProducerFencedError, match="another one has the name"):
        client.fill(of(1, 1), None)
