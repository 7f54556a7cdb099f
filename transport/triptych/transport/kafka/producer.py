"""One Kafka producer client, used until its first failure.

After one record that the broker rejects, an idempotent producer is unusable: every later send, to every topic, fails
with the same error (kafka-python up to 3.0.12 at least; the Java client continues). After other failures it continues,
but may send later records of a partition before it retries the failed one. So this class ends the client at the first
failure, on the client's own thread, and the publisher opens another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from kafka import KafkaProducer, errors

from triptych.settings.kafka import KafkaSettings
from triptych.transport.in_flight import Outgoing
from triptych.transport.kafka.connect import connect
from triptych.transport.records import Delivered
from triptych.transport.topic_settings import BATCH_OVERHEAD_BYTES

BATCH_BYTES = 1 << 20
"""With the client's default of 16 KiB each image would be one batch, and a partition has one batch in flight only."""
LINGER_MS = 5
REQUEST_BYTES = 16 << 20
METADATA_LIMIT_MS = 2_000
FOREVER_MS = 2**31 - 1
"""Accepted messages are sent whenever the broker is available again: the bound is in bytes, not in time."""
ABANDON_LIMIT_S = 10.0

OnSent = Callable[[Outgoing, Delivered], None]
OnFailed = Callable[[Outgoing, errors.KafkaError], None]


class OneUseClient(Protocol):
    """A producer client that is used until its first failure."""

    def send(self, outgoing: Outgoing) -> None:
        """Pass a message to the client; later a callback reports the outcome.

        Raises errors of kafka-python: `KafkaTimeoutError` if the topic's partitions are not known yet.
        """

    def abandon(self) -> None:
        """Stop the client at once. After the return it sends nothing more."""

    def close(self, timeout_s: float) -> None:
        """Close the client. Call it only while nothing is in flight."""


class ProducerClient:
    """Sends messages until one fails."""

    def __init__(self, settings: KafkaSettings, on_sent: OnSent, on_failed: OnFailed) -> None:
        self._on_sent = on_sent
        self._on_failed = on_failed
        self._abandoned = False
        self._producer = connect(
            KafkaProducer,
            settings,
            acks="all",
            enable_idempotence=True,
            batch_size=min(BATCH_BYTES, settings.max_record_bytes),
            linger_ms=LINGER_MS,
            max_request_size=max(REQUEST_BYTES, settings.max_record_bytes + BATCH_OVERHEAD_BYTES),
            max_block_ms=METADATA_LIMIT_MS,
            delivery_timeout_ms=FOREVER_MS,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )

    def send(self, outgoing: Outgoing) -> None:
        """Pass a message to the client; later one of the two callbacks reports the outcome.

        Raises the client's own errors: `KafkaTimeoutError` if the topic's partitions are not known yet.
        """
        message = outgoing.message
        sent = self._producer.send(
            message.topic,
            key=message.key,
            value=message.value,
            headers=list(message.headers),
            partition=message.partition,
        )
        sent.add_callback(self._sent, outgoing)
        sent.add_errback(self._failed, outgoing)

    def abandon(self) -> None:
        """Stop the client at once. After the return it sends nothing more."""
        sender = self._producer._sender  # noqa: SLF001 - close() would wait for acknowledgements that never come
        sender.force_close()
        sender.join(ABANDON_LIMIT_S)
        self._abandoned = True
        self.close(0)

    def close(self, timeout_s: float) -> None:
        """Close the client. Call it only while nothing is in flight."""
        try:
            self._producer.close(timeout=timeout_s)
        except errors.KafkaError:
            # close() flushes first, and aborted messages do not count as flushed.
            self._producer._sender.force_close()  # noqa: SLF001 - as above

    def _sent(self, outgoing: Outgoing, where: Any) -> None:  # noqa: ANN401 - the client is untyped
        self._on_sent(outgoing, Delivered(where.topic, where.partition, where.offset))

    def _failed(self, outgoing: Outgoing, error: errors.KafkaError) -> None:
        if not self._abandoned:
            self._on_failed(outgoing, error)
        self._producer._sender.force_close()  # noqa: SLF001 - runs on the sender's thread, so it sends nothing more
