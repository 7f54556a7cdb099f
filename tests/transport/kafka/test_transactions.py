"""Transactions on Kafka: publishers that are killed in the middle of one, and brokers that do not answer."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
from kafka import KafkaConsumer

from tests.servers import open_server
from tools.devservers import DevKafka, KafkaOptions
from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import BrokerUnavailableError, OutcomeUnknownError
from triptych.transport.kafka import admin as kafka_admin
from triptych.transport.kafka import transactions as kafka_transactions
from triptych.transport.kafka.transactions import KafkaTransactions
from triptych.transport.kafka.transport import KafkaTransport
from triptych.transport.records import Message, TopicPartition
from triptych.transport.topic_settings import TopicSettings

DEADLINE_S = 60.0
LIMIT_MS = 5_000
"""The shortest transaction timeout; the broker aborts the transaction afterwards."""


def to(broker: DevKafka) -> KafkaTransport:
    """Return a transport to a broker, with short transactions."""
    return KafkaTransport(KafkaSettings(bootstrap_servers=broker.bootstrap_servers, transaction_timeout_ms=LIMIT_MS))


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[DevKafka]:
    """A broker that the tests can freeze, and that checks for expired transactions each second."""
    often = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000"}
    with ExitStack() as stack:
        yield open_server(stack, lambda: DevKafka(KafkaOptions(properties=often, starts_often=True)))


@pytest.fixture
def topic(kafka: DevKafka) -> str:
    """A topic for the test on the shared broker."""
    with closing(to(kafka)) as transport:
        return new_topic(transport)


def new_topic(transport: KafkaTransport) -> str:
    """Create a topic of one partition."""
    name = f"kafka-{uuid.uuid4().hex[:12]}"
    with closing(transport.admin()) as admin:
        admin.create([TopicSettings(name, 1)])
    return name


def of(topic: str, *values: bytes) -> list[Message]:
    """Return messages of one key."""
    return [Message(topic, b"city", value) for value in values]


def ends(transport: KafkaTransport, topic: str) -> tuple[int, int]:
    """Return the end offset for readers of committed records, and the end of the log."""
    tp = TopicPartition(topic, 0)
    with closing(transport.admin()) as admin, closing(transport.reader({tp: 0})) as reader:
        return reader.end_offsets([tp])[tp], admin.appended_offsets([tp])[tp]


def committed(transport: KafkaTransport, topic: str) -> list[bytes]:
    """Read the committed records, once no transaction is open."""
    tp = TopicPartition(topic, 0)
    deadline = time.monotonic() + DEADLINE_S
    with closing(transport.admin()) as admin, closing(transport.reader({tp: 0})) as reader:
        appended, found = admin.appended_offsets([tp])[tp], []
        while reader.position(tp) < appended:
            assert time.monotonic() < deadline, "a transaction is open for ever"
            found += [record.value for record in reader.poll(0.2).records]
        return found


def appended(broker: DevKafka, topic: str) -> list[bytes]:
    """Read all records, ignoring transactions."""
    consumer = KafkaConsumer(topic, bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest")
    with closing(consumer):
        found: list[bytes] = []
        deadline = time.monotonic() + DEADLINE_S
        while not found:
            assert time.monotonic() < deadline
            found = [record.value for batch in consumer.poll(timeout_ms=500).values() for record in batch]
        return found


def leave_open(transport: KafkaTransport, name: str, messages: list[Message]) -> KafkaTransactions:
    """Put messages into a transaction that is never committed, as a killed process does."""
    publisher = transport.transactional_publisher(name)
    client = publisher._client  # noqa: SLF001 - nothing public leaves a transaction open
    assert client is not None
    client.fill(messages, None)
    client.abandon(DEADLINE_S)
    return publisher


def test_an_open_transaction_of_a_killed_publisher_is_aborted_by_its_successor(kafka: DevKafka, topic: str) -> None:
    """The records are on the topic twice, and a reader of committed records sees them once."""
    name = f"n-{uuid.uuid4().hex}"
    with closing(to(kafka)) as transport:
        leave_open(transport, name, of(topic, b"a", b"b"))
        readable, really = ends(transport, topic)
        assert (readable, really) == (0, 2)

        heir = transport.transactional_publisher(name)
        assert committed(transport, topic) == []
        heir.publish(of(topic, b"a", b"b"), None)

        assert committed(transport, topic) == [b"a", b"b"]
        assert appended(kafka, topic) == [b"a", b"b", b"a", b"b"]


def test_the_broker_aborts_an_open_transaction_without_a_successor(own_kafka: DevKafka) -> None:
    """After the transaction timeout. A reader waits for that and then continues."""
    with closing(to(own_kafka)) as transport:
        topic = new_topic(transport)
        before = transport.transactional_publisher("before")
        before.publish(of(topic, b"a"), None)
        leave_open(transport, "dead", of(topic, b"b"))
        before.publish(of(topic, b"c"), None)
        readable, really = ends(transport, topic)
        assert really > readable

        # It fails after a minute, which is the shortest time of a client that does not set the timeout.
        assert committed(transport, topic) == [b"a", b"c"]


@contextmanager
def frozen_at(broker: DevKafka, monkeypatch: pytest.MonkeyPatch, step: str) -> Iterator[None]:
    """Freeze the broker just before a step of the next transaction, until the end."""
    client = kafka_transactions.TransactionClient
    original = getattr(client, step)

    def freeze(*args: object) -> None:
        monkeypatch.setattr(client, step, original)
        broker.freeze()
        original(*args)

    monkeypatch.setattr(client, step, freeze)
    try:
        yield
    finally:
        broker.thaw()


def test_a_commit_without_an_answer_has_an_unknown_outcome(
    own_kafka: DevKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit ends at its limit. Recovering resolves it, and the batch is published exactly once."""
    with closing(to(own_kafka)) as transport:
        topic = new_topic(transport)
        publisher = transport.transactional_publisher(f"n-{uuid.uuid4().hex}")
        publisher.publish(of(topic, b"a"), None)
        with frozen_at(own_kafka, monkeypatch, "commit"):
            started = time.monotonic()
            with pytest.raises(OutcomeUnknownError, match="unknown"):
                publisher.publish(of(topic, b"b"), None)
            took_s = time.monotonic() - started
        assert took_s < DEADLINE_S

        publisher.recover()

        readable, really = ends(transport, topic)
        assert readable == really
        if committed(transport, topic) == [b"a"]:
            publisher.publish(of(topic, b"b"), None)
        publisher.publish(of(topic, b"c"), None)
        assert committed(transport, topic) == [b"a", b"b", b"c"]


def test_a_failure_before_the_commit_publishes_nothing(own_kafka: DevKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is certain, so the same batch can be published again."""
    with closing(to(own_kafka)) as transport:
        topic = new_topic(transport)
        publisher = transport.transactional_publisher(f"n-{uuid.uuid4().hex}")
        publisher.publish(of(topic, b"a"), None)
        with frozen_at(own_kafka, monkeypatch, "fill"), pytest.raises(BrokerUnavailableError):
            publisher.publish(of(topic, b"b"), None)

        publisher.publish(of(topic, b"b"), None)

        assert committed(transport, topic) == [b"a", b"b"]


def test_an_admin_call_ends_at_its_limit(own_kafka: DevKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client itself would look for a broker without limit."""
    monkeypatch.setattr(kafka_admin, "CALL_LIMIT_S", 0.5)
    with closing(to(own_kafka)) as transport, closing(transport.admin()) as admin:
        own_kafka.freeze()
        try:
            with pytest.raises(BrokerUnavailableError, match=r"the list of topics: no answer within 0\.5 s"):
                admin.describe(["any"])
        finally:
            own_kafka.thaw()
