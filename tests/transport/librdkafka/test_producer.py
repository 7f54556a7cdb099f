"""The failures of a producer client, which two threads report."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import KafkaError

from triptych.settings.kafka import KafkaSettings
from triptych.transport.in_flight import Outgoing
from triptych.transport.librdkafka import producer
from triptych.transport.librdkafka.connect import ClientErrors
from triptych.transport.librdkafka.producer import LibrdkafkaProducerClient
from triptych.transport.records import Message

DEADLINE_S = 10.0
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
