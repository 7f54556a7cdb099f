"""Checking the topics of a consumer, on a broker that has just restarted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kafka import errors

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import BrokerUnavailableError, TopicMissingError
from triptych.transport.kafka import consumer_client
from triptych.transport.kafka.consumer_client import open_client, require_topics


class _Client:
    """Reports a number of times that there are no brokers, and then that one topic exists."""

    def __init__(self, empty_answers: int) -> None:
        self.empty_answers = empty_answers
        self.is_closed = False

    def partitions_for_topic(self, topic: str) -> set[int]:
        """Answer, or raise the client's error."""
        if self.empty_answers:
            self.empty_answers -= 1
            raise errors.MetadataEmptyBrokerList("no brokers")
        return {0} if topic == "there" else set()

    def close(self, **_: object) -> None:
        """Record that it was closed."""
        self.is_closed = True


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Remove delays, and set the time limit for connections."""
    monkeypatch.setattr(consumer_client, "RETRY_DELAY_S", 0.0)
    return lambda limit_ms: monkeypatch.setattr(consumer_client, "CONNECT_LIMIT_MS", limit_ms)


def test_a_broker_that_knows_of_no_broker_is_queried_again(hurry: Callable[[int], None]) -> None:
    """An answer without brokers does not count."""
    hurry(10_000)
    client = _Client(empty_answers=3)

    require_topics(client, ["there"])

    assert client.empty_answers == 0
    assert not client.is_closed


def test_a_missing_topic_is_reported_after_the_broker_is_ready(hurry: Callable[[int], None]) -> None:
    """And the client is closed."""
    hurry(10_000)
    client = _Client(empty_answers=1)

    with pytest.raises(TopicMissingError, match="no such topic: elsewhere"):
        require_topics(client, ["there", "elsewhere"])

    assert client.is_closed


def test_a_broker_that_never_knows_of_a_broker_is_unavailable(hurry: Callable[[int], None]) -> None:
    """After the time limit for connections."""
    hurry(0)
    client = _Client(empty_answers=1_000_000)

    with pytest.raises(BrokerUnavailableError, match="it reports that there are no brokers"):
        require_topics(client, ["there"])

    assert client.is_closed


@pytest.mark.parametrize(
    ("session_ms", "expected_ms"), [(9_000, 1_000), (45_000, 3_000)], ids=["as in Compose", "default"]
)
def test_a_short_session_has_short_pauses_between_heartbeats(
    session_ms: int, expected_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others learn of a crash from the answer to their next heartbeat: 3 s later would be a third of 9 s."""
    options: dict[str, object] = {}
    monkeypatch.setattr(consumer_client, "connect", lambda *_, **given: options.update(given))

    open_client(KafkaSettings(session_timeout_ms=session_ms), group="workers")

    assert options["heartbeat_interval_ms"] == expected_ms
