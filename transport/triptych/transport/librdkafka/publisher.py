"""Publish to Kafka with librdkafka: in order, with unlimited retries.

The thread, the order and the repetition are those of `KafkaPublisher`. What differs is what follows a failure. If the
broker rejects a batch, librdkafka fails all of its messages, does not split it, and stops (by the setting that
guarantees no gaps). The next client sends one message in each batch, so the message that it fails is the rejected one.
"""

from __future__ import annotations

from typing import Final

import structlog
from kafka import errors

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import TransportError
from triptych.transport.in_flight import SEND_TIMEOUT_S, Outgoing
from triptych.transport.kafka.errors import NOT_AUTHORIZED, REJECTED, SEQUENCE_LOST
from triptych.transport.kafka.publisher import MAX_FAILURES, KafkaPublisher, rejection_of
from triptych.transport.librdkafka.producer import SINGLE_MESSAGES, LibrdkafkaProducerClient

log = structlog.get_logger(__name__)

FLUSH_LIMIT_S: Final = 5.0


class LibrdkafkaPublisher(KafkaPublisher):
    """Publishes messages (see `Publisher`)."""

    _client: LibrdkafkaProducerClient

    def __init__(self, settings: KafkaSettings, *, send_timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Connect. Raises `BrokerUnavailableError` if no broker answers; later, brokers may become unavailable."""
        self._singles = 0
        super().__init__(settings, send_timeout_s=send_timeout_s)

    def _send_all(self, taken: list[Outgoing]) -> None:
        super()._send_all(taken)
        if self._client.sends_single_messages:
            self._singles -= len(taken)
            if self._singles <= 0 and self._client.flush(FLUSH_LIMIT_S) and not self._failed:
                self._send_batches()

    def _send_batches(self) -> None:
        """Open a client that sends batches again. Call it only while nothing is in flight."""
        self._singles = 0
        try:
            client = self._open()
        except TransportError as error:
            log.warning("kafka_broker_unavailable", error=str(error))
            self._singles = SINGLE_MESSAGES
            return
        self._client.close(0)
        self._client = client

    def _blame_record(self) -> bool:
        """Fail the rejected message, or let the next client find it; return whether the cause may be transient."""
        outgoing, error = self._failed[0]
        if isinstance(error, SEQUENCE_LOST):
            return True
        outgoing.failures += 1
        is_rejected = isinstance(error, (*REJECTED, *NOT_AUTHORIZED))
        if isinstance(error, errors.RetriableError) and not is_rejected:
            return True
        if outgoing.failures >= MAX_FAILURES or (is_rejected and self._client.sends_single_messages):
            self._in_flight.settle(outgoing, rejection_of(outgoing, error))
        self._singles = SINGLE_MESSAGES
        return not is_rejected

    def _open(self) -> LibrdkafkaProducerClient:
        return LibrdkafkaProducerClient(
            self._settings, self._in_flight.settle, self._on_failed, single_messages=self._singles > 0
        )
