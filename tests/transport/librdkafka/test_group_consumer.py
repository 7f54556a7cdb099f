"""A member whose start fails: the cause is reported, and nothing is left open."""

from __future__ import annotations

import threading
from typing import Any

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import BrokerUnavailableError, NotAuthorizedError, TransportError
from triptych.transport.librdkafka import connect, consumer_client, group_consumer
from triptych.transport.librdkafka.connect import ClientErrors
from triptych.transport.librdkafka.consumer_client import require_topics
from triptych.transport.librdkafka.group_consumer import LibrdkafkaGroupConsumer
from triptych.transport.librdkafka.heartbeats import HeartbeatWatch
from triptych.transport.records import Commit, TopicPartition

SETTINGS = KafkaSettings(bootstrap_servers="127.0.0.1:1", session_timeout_ms=6_000)
"""Nothing listens there. With this session timeout the client reports statistics three times a second."""


class _Refused:
    """A consumer client whose broker refuses each call."""

    def __init__(self, code: int) -> None:
        self.error = KafkaException(KafkaError(code))
        self.is_closed = False

    def list_topics(self, **_: object) -> None:
        """Raise the client's error."""
        raise self.error

    def subscribe(self, *_: object, **__: object) -> None:
        """Raise the client's error."""
        raise self.error

    def close(self) -> None:
        """Record that it was closed."""
        self.is_closed = True


def join() -> LibrdkafkaGroupConsumer:
    """Open a member of a group."""
    return LibrdkafkaGroupConsumer(SETTINGS, ["video"], "workers", when_out_of_range="earliest")


def test_an_unavailable_broker_is_reported_to_a_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although the client reports statistics before it has connected."""
    monkeypatch.setattr(connect, "CONNECT_LIMIT_MS", 2_000)
    reports: list[str] = []
    monkeypatch.setattr(HeartbeatWatch, "on_statistics", lambda _, text: reports.append(text))

    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1"):
        join()

    assert reports


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError.REQUEST_TIMED_OUT, BrokerUnavailableError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, NotAuthorizedError),
    ],
)
def test_a_client_is_closed_if_its_topics_are_unknown(
    monkeypatch: pytest.MonkeyPatch, code: int, expected: type[TransportError]
) -> None:
    """Whatever the reason."""
    monkeypatch.setattr(consumer_client, "REQUEST_LIMIT_MS", 0)
    client: Any = _Refused(code)

    with pytest.raises(expected):
        require_topics(client, ["video"])

    assert client.is_closed


def test_a_member_that_cannot_subscribe_says_so_when_it_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time. Closing it ends the thread that uses its client."""
    client = _Refused(KafkaError.INVALID_REQUEST)
    monkeypatch.setattr(group_consumer, "open_consumer", lambda *_, **__: (client, ClientErrors()))
    monkeypatch.setattr(group_consumer, "require_topics", lambda *_: None)
    before = set(threading.enumerate())

    member = join()
    for _ in range(2):
        with pytest.raises(TransportError, match="subscribing for group workers"):
            member.poll(1)
    member.close()

    assert client.is_closed
    assert set(threading.enumerate()) <= before


class _Subscribing:
    """A consumer client with commits and without records. It counts how often it subscribes."""

    def __init__(self) -> None:
        self.subscribed: list[list[str]] = []

    def subscribe(self, topics: list[str], **_: object) -> None:
        """Count it."""
        self.subscribed.append(topics)

    def committed(self, tps: list[ClientPartition], timeout: float) -> list[ClientPartition]:  # noqa: ARG002 - as the client's
        """Return an offset."""
        return [ClientPartition(tp.topic, tp.partition, 7) for tp in tps]

    def consume(self, *_: object, **__: object) -> list[object]:
        """Return no records."""
        return []

    def poll(self, *_: object, **__: object) -> None:
        """Return no record."""

    def close(self) -> None:
        """Do nothing."""


def test_reading_commits_does_not_subscribe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscribed client joins in the background, which rebalances the group. The first poll subscribes."""
    client = _Subscribing()
    monkeypatch.setattr(group_consumer, "open_consumer", lambda *_, **__: (client, ClientErrors()))
    monkeypatch.setattr(group_consumer, "require_topics", lambda *_: None)
    tp = TopicPartition("video", 0)

    member = join()
    assert member.committed([tp]) == {tp: Commit(7)}
    assert client.subscribed == []
    member.poll(0)
    member.poll(0)
    assert client.subscribed == [["video"]]
    member.close()


class _WithoutCoordinator(_Subscribing):
    """A client of a new cluster: the first two questions for commits find no coordinator."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code
        self.asked = 0

    def committed(self, tps: list[ClientPartition], timeout: float) -> list[ClientPartition]:
        """Fail twice."""
        self.asked += 1
        if self.asked < 3:
            raise KafkaException(KafkaError(self.code))
        return super().committed(tps, timeout)


@pytest.mark.parametrize("code", [KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS])
def test_commits_are_asked_for_until_there_is_a_coordinator(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """A worker that starts right after its broker gets an answer, with either client."""
    client = _WithoutCoordinator(code)
    monkeypatch.setattr(group_consumer, "open_consumer", lambda *_, **__: (client, ClientErrors()))
    monkeypatch.setattr(group_consumer, "require_topics", lambda *_: None)
    tp = TopicPartition("video", 0)

    member = join()
    assert member.committed([tp]) == {tp: Commit(7)}
    assert client.asked == 3
    member.close()
