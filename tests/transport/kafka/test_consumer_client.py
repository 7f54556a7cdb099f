"""Whether the topics of a reader are there, asked of a broker that has just come back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kafka import errors

from triptych.transport.errors import BrokerUnavailableError, TopicMissingError
from triptych.transport.kafka import consumer_client
from triptych.transport.kafka.consumer_client import require_topics


class _Client:
    """Says so many times that there are no brokers; then that one topic is there."""

    def __init__(self, empty_answers: int) -> None:
        self.empty_answers = empty_answers
        self.is_closed = False

    def partitions_for_topic(self, topic: str) -> set[int]:
        """Answer, or raise what the real one raises."""
        if self.empty_answers:
            self.empty_answers -= 1
            raise errors.MetadataEmptyBrokerList("no brokers")
        return {0} if topic == "there" else set()

    def close(self, **_: object) -> None:
        """Note it."""
        self.is_closed = True


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let nothing wait, and set for how long a broker is looked for."""
    monkeypatch.setattr(consumer_client, "RETRY_DELAY_S", 0.0)
    return lambda limit_ms: monkeypatch.setattr(consumer_client, "CONNECT_LIMIT_MS", limit_ms)


def test_a_broker_that_is_not_counted_in_yet_is_asked_again(hurry: Callable[[int], None]) -> None:
    """Its answer without brokers is no answer."""
    hurry(10_000)
    client = _Client(empty_answers=3)

    require_topics(client, ["there"])

    assert client.empty_answers == 0
    assert not client.is_closed


def test_a_topic_that_is_missing_then_is_missing(hurry: Callable[[int], None]) -> None:
    """And the client is closed."""
    hurry(10_000)
    client = _Client(empty_answers=1)

    with pytest.raises(TopicMissingError, match="no such topic: elsewhere"):
        require_topics(client, ["there", "elsewhere"])

    assert client.is_closed


def test_a_broker_that_stays_out_counts_as_away(hurry: Callable[[int], None]) -> None:
    """After the time in which any other is looked for."""
    hurry(0)
    client = _Client(empty_answers=1_000_000)

    with pytest.raises(BrokerUnavailableError, match="it says that there are no brokers"):
        require_topics(client, ["there"])

    assert client.is_closed
