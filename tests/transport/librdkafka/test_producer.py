"""The failures of a producer client: which message is the cause, and in which order two threads report them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import KafkaError, KafkaException
from kafka import errors

from triptych.settings.kafka import KafkaSettings
from triptych.transport.in_flight import Outgoing
from triptych.transport.librdkafka import producer
from triptych.transport.librdkafka.connect import ClientErrors
from triptych.transport.librdkafka.producer import LibrdkafkaProducerClient
from triptych.transport.records import Message

DEADLINE_S = 60.0
OVERTAKE_S = 0.5
"""Long enough for another thread to report a failure, if it may."""


class _Failing:
    """A producer client that fails all its messages in one call of `poll`."""

    def __init__(self) -> None:
        self.may_fail = threading.Event()
        self._reports: list[Callable[[KafkaError, None], None]] = []

    def produce(self, *_: object, on_delivery: Callable[[KafkaError, None], None], **__: object) -> None:
        """Accept a message."""
        self._reports.append(on_delivery)

    def poll(self, _: float) -> None:
        """Fail the messages, once that is allowed."""
        if self.may_fail.wait(0.01):
            reports, self._reports = self._reports, []
            for report in reports:
                report(KafkaError(KafkaError.REQUEST_TIMED_OUT), None)

    def flush(self, _: float) -> int:
        """Send nothing."""
        return 0

    def purge(self, **_: object) -> None:
        """Discard nothing."""


class _Stopping:
    """A producer client whose calls of `poll` do what is given, and which then has stopped."""

    def __init__(self) -> None:
        self.is_stopped = False
        self.steps: deque[Callable[[], object]] = deque()
        self.reports: list[Callable[[KafkaError, None], None]] = []

    def produce(self, *_: object, on_delivery: Callable[[KafkaError, None], None], **__: object) -> None:
        """Accept a message until the client has stopped."""
        if self.is_stopped:
            raise KafkaException(KafkaError(KafkaError._FATAL))  # noqa: SLF001 - the names of librdkafka's own errors
        self.reports.append(on_delivery)

    def poll(self, _: float) -> None:
        """Take the next step, if there is one."""
        if self.steps:
            self.steps.popleft()()
        else:
            time.sleep(0.001)

    def flush(self, _: float) -> int:
        """Send nothing."""
        return 0

    def purge(self, **_: object) -> None:
        """Discard nothing."""

    def stop(self, code: int) -> None:
        """Raise a fatal error, as the client does where it serves callbacks."""
        raise KafkaException(KafkaError(code, "the reason", fatal=True))


class _Reported:
    """What a client reports as failed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fake: _Stopping) -> None:
        monkeypatch.setattr(producer, "open_producer", lambda *_: (fake, ClientErrors()))
        self.failures: list[tuple[int, errors.KafkaError]] = []
        self._any = threading.Event()
        self.client = LibrdkafkaProducerClient(KafkaSettings(), lambda *_: None, self._on_failed)

    def send(self, number: int) -> None:
        """Send a message of this number."""
        self.client.send(Outgoing(number, Message("video", b"city", b"frame"), size_bytes=5))

    def first(self) -> tuple[int, type[errors.KafkaError], str]:
        """Wait for the first failure, and return it."""
        assert self._any.wait(DEADLINE_S)
        number, error = self.failures[0]
        return number, type(error), str(error)

    def _on_failed(self, outgoing: Outgoing, error: errors.KafkaError) -> None:
        self.failures.append((outgoing.number, error))
        self._any.set()


def test_the_rejected_message_is_the_cause_however_late_it_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client stops when the broker rejects a message. It refuses and discards others before it reports that one."""
    fake = _Stopping()
    reported = _Reported(monkeypatch, fake)
    for number in range(3):
        reported.send(number)
    fake.is_stopped = True
    reported.send(3)  # refused
    discarded, rejected = KafkaError(KafkaError._PURGE_QUEUE), KafkaError(KafkaError.INVALID_TIMESTAMP)  # noqa: SLF001 - the name of an error of librdkafka
    fake.steps += [
        lambda: fake.reports[2](discarded, None),
        lambda: fake.stop(KafkaError._GAPLESS_GUARANTEE),  # noqa: SLF001 - as above
        lambda: fake.reports[1](rejected, None),
    ]

    assert reported.first()[:2] == (1, errors.InvalidTimestampError)
    reported.client.abandon()
    assert len(reported.failures) == 1


def test_a_client_that_stops_before_it_has_sent_anything_names_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who may write to no topic gets no producer id. The message's own error would be "fatal error" only."""
    fake = _Stopping()
    fake.is_stopped = True
    reported = _Reported(monkeypatch, fake)
    reported.send(7)
    fake.steps.append(lambda: fake.stop(KafkaError.CLUSTER_AUTHORIZATION_FAILED))

    number, kind, text = reported.first()

    assert (number, kind) == (7, errors.ClusterAuthorizationFailedError)
    assert "the reason" in text
    reported.client.abandon()


def test_failures_are_reported_in_order_by_two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one counts as the cause, so a second thread must not overtake the one that reports it."""
    client = _Failing()
    monkeypatch.setattr(producer, "open_producer", lambda *_: (client, ClientErrors()))
    reported: list[int] = []
    first_taken, may_continue, second_reported = threading.Event(), threading.Event(), threading.Event()

    def on_failed(outgoing: Outgoing, _: Any) -> None:  # noqa: ANN401 - the client's errors are untyped
        if outgoing.number == 0:
            first_taken.set()
            may_continue.wait(DEADLINE_S)
        else:
            second_reported.set()
        reported.append(outgoing.number)

    made = LibrdkafkaProducerClient(KafkaSettings(), lambda *_: None, on_failed)
    for number in range(2):
        made.send(Outgoing(number, Message("video", b"city", b"frame"), size_bytes=5))
    client.may_fail.set()
    assert first_taken.wait(DEADLINE_S)
    closing = threading.Thread(target=made.abandon)
    closing.start()

    assert not second_reported.wait(OVERTAKE_S)
    may_continue.set()
    closing.join(DEADLINE_S)
    assert reported == [0, 1]
