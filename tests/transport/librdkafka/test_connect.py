"""Connecting to a real broker: what a client reports before it is connected is not lost."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import closing

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import KafkaError

from tools.devservers import AccessRule, DevKafka
from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import NotAuthorizedError
from triptych.transport.librdkafka import connect
from triptych.transport.librdkafka.transport import LibrdkafkaTransport
from triptych.transport.topic_settings import TopicSettings

DEADLINE_S = 10.0
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
