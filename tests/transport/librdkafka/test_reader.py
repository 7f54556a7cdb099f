"""What a reader does with the answers of its client."""

from __future__ import annotations

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import KafkaError, KafkaException

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import NotAuthorizedError, TransportError
from triptych.transport.librdkafka import reader
from triptych.transport.librdkafka.connect import ClientErrors
from triptych.transport.librdkafka.reader import LibrdkafkaReader
from triptych.transport.records import TopicPartition

TP = TopicPartition("video", 0)


class _ClientRecord:
    """A record as the client returns it."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def error(self) -> None:
        """It is no event."""

    def topic(self) -> str:
        """Return the topic."""
        return TP.topic

    def partition(self) -> int:
        """Return the partition."""
        return TP.partition

    def offset(self) -> int:
        """Return the offset."""
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        """Return the kind of the time, and the time in milliseconds."""
        return 1, 1_000

    def headers(self) -> None:
        """It has none."""

    def key(self) -> bytes:
        """Return the key."""
        return b"city"

    def value(self) -> bytes:
        """Return the value."""
        return b"frame"


class _HalfFailing:
    """Returns one record, and then raises an error in each second call."""

    def __init__(self, code: int) -> None:
        self.error = KafkaException(KafkaError(code))
        self.can_assign = True
        self.is_closed = False
        self._next = 0

    def assign(self, _: object) -> None:
        """Accept the assignment, or raise the error."""
        if not self.can_assign:
            raise self.error

    def pause(self, _: object) -> None:
        """Do nothing."""

    def consume(self, count: int, _: float) -> list[_ClientRecord]:
        """Return the next record if one is wanted; otherwise raise the error."""
        if count > 1:
            raise self.error
        self._next += 1
        return [_ClientRecord(self._next - 1)]

    def close(self) -> None:
        """Record that it was closed."""
        self.is_closed = True


def opened(monkeypatch: pytest.MonkeyPatch, client: _HalfFailing) -> LibrdkafkaReader:
    """Open a reader of one partition with this client."""
    monkeypatch.setattr(reader, "open_consumer", lambda *_, **__: (client, ClientErrors()))
    monkeypatch.setattr(reader, "require_topics", lambda *_: None)
    return LibrdkafkaReader.open(KafkaSettings(), {TP: 0}, when_out_of_range="earliest")


def test_a_record_is_returned_although_the_next_call_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client does not return it again."""
    made = opened(monkeypatch, _HalfFailing(KafkaError.NETWORK_EXCEPTION))

    offsets = [record.offset for _ in range(3) for record in made.poll(0).records]

    assert offsets == [0, 1, 2]
    assert made.position(TP) == 3


def test_an_error_that_does_not_pass_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also behind a record: the caller stops, and reads it again after a restart."""
    made = opened(monkeypatch, _HalfFailing(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    with pytest.raises(NotAuthorizedError):
        made.poll(0)


def test_a_reader_that_cannot_assign_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else could close it."""
    client = _HalfFailing(KafkaError.INVALID_REQUEST)
    client.can_assign = False

    with pytest.raises(TransportError, match="assigning partitions"):
        opened(monkeypatch, client)

    assert client.is_closed
