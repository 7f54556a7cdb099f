"""Connecting: what a client reports before it is connected is not lost."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import closing

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import KafkaError, KafkaException

from tools.devservers import AccessRule, DevKafka
from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import NotAuthorizedError
from triptych.transport.librdkafka import connect
from triptych.transport.librdkafka.transport import LibrdkafkaTransport
from triptych.transport.topic_settings import TopicSettings

DEADLINE_S = 60.0
SLOW_S = 2.0
"""How long the broker seems not to answer. Meanwhile it answers the client's other requests."""


def test_an_error_of_the_group_while_the_client_connects_is_reported(
    login: Callable[..., KafkaSettings], secured_kafka: DevKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client reports it once only, and looks for the group's coordinator before it has any metadata."""
    topic = f"contract-{uuid.uuid4().hex[:12]}"
    with closing(LibrdkafkaTransport(login("suite"))) as suite:
        suite.admin().create([TopicSettings(topic, 1)])
    secured_kafka.allow(AccessRule("guest", ("READ",), "TOPIC", topic))
    ask, slow_until_s = connect._failure, time.monotonic() + SLOW_S  # noqa: SLF001 - a broker that is slow only now

    def slow(client: connect.Pollable) -> KafkaError | None:
        failure = ask(client)
        return KafkaError(KafkaError._TIMED_OUT) if time.monotonic() < slow_until_s else failure  # noqa: SLF001 - the name of an error of librdkafka

    monkeypatch.setattr(connect, "_failure", slow)
    with (
        closing(LibrdkafkaTransport(login("guest"))) as guest,
        pytest.raises(NotAuthorizedError, match=r"GroupAuthorizationFailed \(crowd\)"),
    ):
        guest.group_consumer([topic], "crowd").poll(DEADLINE_S)


class _Refused:
    """A client that is connected at the second attempt, and whose producer id the broker has refused by then."""

    def __init__(self, _: connect.Configs) -> None:
        self._asked = 0

    def poll(self, _: float = 0) -> int:
        """Raise the fatal error."""
        raise KafkaException(KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, "no producer id", fatal=True))

    def list_topics(self, *_: object, **__: object) -> None:
        """Fail once."""
        self._asked += 1
        if self._asked == 1:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - the name of an error of librdkafka


def test_a_client_that_stops_while_it_connects_is_opened_and_keeps_the_reason() -> None:
    """Whoever uses it gets an error of ours. The client's own exception would end the thread of a publisher."""
    _, reported = connect.connect(_Refused, KafkaSettings(), {})  # type: ignore[type-var] # has what connecting needs

    assert reported.fatal is not None
    assert reported.fatal.code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED
