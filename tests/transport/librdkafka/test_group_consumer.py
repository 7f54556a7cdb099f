"""A member whose start fails: the cause is reported, and nothing is left open."""

from __future__ import annotations

import threading
from typing import Any

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import KafkaError, KafkaException

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import BrokerUnavailableError, NotAuthorizedError, TransportError
from triptych.transport.librdkafka import connect, consumer_client, group_consumer
from triptych.transport.librdkafka.connect import ClientErrors
from triptych.transport.librdkafka.consumer_client import require_topics
from triptych.transport.librdkafka.group_consumer import LibrdkafkaGroupConsumer
from triptych.transport.librdkafka.heartbeats import HeartbeatWatch

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


def test_a_member_is_closed_if_it_cannot_subscribe(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the thread that uses its client."""
    client = _Refused(KafkaError.INVALID_REQUEST)
    monkeypatch.setattr(group_consumer, "open_consumer", lambda *_, **__: (client, ClientErrors()))
    monkeypatch.setattr(group_consumer, "require_topics", lambda *_: None)
    before = set(threading.enumerate())

    with pytest.raises(TransportError, match="subscribing for group workers"):
        join()

    assert client.is_closed
    assert set(threading.enumerate()) <= before
