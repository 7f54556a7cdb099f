"""How the publisher handles client failures: which records are suspect. The client is a fake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from kafka import errors

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import (
    BrokerUnavailableError,
    MessageRejectedError,
    NotAuthorizedError,
    TransportError,
)
from triptych.transport.in_flight import Outgoing
from triptych.transport.kafka import publisher as kafka_publisher
from triptych.transport.kafka.publisher import MAX_FAILURES, KafkaPublisher
from triptych.transport.records import Delivered, Message

DEADLINE_S = 60.0
BATCH = 5
Deaths = Sequence[Callable[[int], errors.KafkaError | None]]
"""For one client after the other: the error of each record of a batch, by index; None if it never reports one."""


@dataclass
class Clients:
    """Clients that fail as scripted, followed by one that delivers."""

    deaths: Deaths
    opened: list[Client] = field(default_factory=list)

    def __call__(self, _: KafkaSettings, on_sent: object, on_failed: object) -> Client:
        """Open the next client."""
        number = len(self.opened)
        death = self.deaths[number] if number < len(self.deaths) else None
        self.opened.append(Client(on_sent, on_failed, death))
        return self.opened[-1]


class Client:
    """Accepts a batch of records, then fails; or delivers each record at once."""

    def __init__(
        self, on_sent: object, on_failed: object, death: Callable[[int], errors.KafkaError | None] | None
    ) -> None:
        self._on_sent, self._on_failed, self._death = on_sent, on_failed, death
        self.taken: list[Outgoing] = []
        self.alone: list[bool] = []

    def send(self, outgoing: Outgoing) -> None:
        """Accept a record."""
        self.taken.append(outgoing)
        self.alone.append(outgoing.alone)
        if self._death is None:
            self._on_sent(outgoing, Delivered(outgoing.message.topic, 0, len(self.taken)))  # type: ignore[operator]
        elif len(self.taken) == BATCH or outgoing.alone:
            for place, own in enumerate(self.taken):
                if (error := self._death(place)) is not None:
                    self._on_failed(own, error)  # type: ignore[operator]

    def abandon(self) -> None:
        """Fail everything in flight, as the real client does."""
        for own in self.taken:
            self._on_failed(own, errors.IllegalStateError("closed"))  # type: ignore[operator]

    def close(self, _: float) -> None:
        """Do nothing."""


def published(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    """Send a batch through failing clients; return the outcome of each record."""
    monkeypatch.setattr(kafka_publisher, "ProducerClient", clients)
    monkeypatch.setattr(kafka_publisher, "BACKOFF_S", (0.0, 0.0))
    publisher = KafkaPublisher(KafkaSettings())
    try:
        futures = [publisher.send(Message("t", b"k", b"%d" % number)) for number in range(BATCH)]
        return [future.exception(DEADLINE_S) for future in futures]
    finally:
        publisher.close(DEADLINE_S)


@pytest.mark.parametrize("error", [errors.OutOfOrderSequenceNumberError, errors.InvalidProducerEpochError])
def test_a_lost_sequence_makes_no_record_suspect(
    error: type[errors.KafkaError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it happens, all records are resent together: one by one could be slower than they come in."""
    clients = Clients([lambda _: error("out of step")] * (MAX_FAILURES + 2))

    assert published(clients, monkeypatch) == [None] * BATCH
    assert not any(alone for client in clients.opened for alone in client.alone)


def test_only_the_records_of_the_failed_batch_are_suspect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others were aborted with the client."""

    def death(place: int) -> errors.KafkaError:
        return errors.InvalidTimestampError("old") if place < 2 else errors.IllegalStateError("closed")

    clients = Clients([death])

    assert published(clients, monkeypatch) == [None] * BATCH
    assert clients.opened[1].alone == [True, True, False, False, False]


def test_a_record_that_is_rejected_alone_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the others arrive."""

    def death(_: int) -> errors.KafkaError:
        return errors.InvalidTimestampError("old")

    clients = Clients([death, death])

    outcomes = published(clients, monkeypatch)

    assert isinstance(outcomes[0], MessageRejectedError)
    assert outcomes[1:] == [None] * (BATCH - 1)


def test_a_client_that_never_answers_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """All records are resent in order; the outcome of the first attempt is unknown."""
    monkeypatch.setattr(kafka_publisher, "STUCK_S", 0.05)
    clients = Clients([lambda _: None])

    assert published(clients, monkeypatch) == [None] * BATCH
    assert [own.message.value for own in clients.opened[1].taken] == [b"%d" % number for number in range(BATCH)]
    assert not any(clients.opened[1].alone)


def test_an_idle_client_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long nothing is sent."""
    monkeypatch.setattr(kafka_publisher, "STUCK_S", 0.0)
    clients = Clients([])

    assert published(clients, monkeypatch) == [None] * BATCH
    assert len(clients.opened) == 1


@pytest.mark.parametrize("error", [BrokerUnavailableError("away"), NotAuthorizedError("no")])
def test_after_an_attempt_that_found_no_broker_the_next_one_follows_soon(
    error: TransportError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such an attempt waits for the broker by itself. A refusal comes at once: the delays after it double."""
    clients, waits = Clients([lambda _: errors.OutOfOrderSequenceNumberError("out of step")]), list[float]()
    left = [error] * 5

    def opened(*args: object) -> Client:
        if clients.opened and left:
            raise left.pop()
        return clients(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(kafka_publisher, "ProducerClient", opened)
    monkeypatch.setattr(KafkaPublisher, "_wait_with_jitter", lambda _, wait_s: waits.append(wait_s))
    publisher = KafkaPublisher(KafkaSettings())
    futures = [publisher.send(Message("t", b"k", b"%d" % number)) for number in range(BATCH)]
    assert [future.exception(DEADLINE_S) for future in futures] == [None] * BATCH
    publisher.close(DEADLINE_S)

    first_s, longest_s = kafka_publisher.BACKOFF_S
    assert len(waits) == 6  # the first one before the first attempt
    is_away = isinstance(error, BrokerUnavailableError)
    assert waits[-1] == (first_s if is_away else min(longest_s, first_s * 2**4))
