"""One producer client of Kafka, used until its first failure.

An idempotent producer is dead after one record that the broker refuses: every later send, to every topic, fails with
that same error (kafka-python up to 3.0.12 at least; the Java client goes on). After other failures it goes on, but may
send later records of a partition before the failed one is sent again. So the first failure ends it here, at once and on
the client's own thread; the publisher opens another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka import KafkaProducer, errors

from triptych.settings.kafka import KafkaSettings
from triptych.transport.in_flight import Outgoing
from triptych.transport.kafka.connect import connect
from triptych.transport.records import Delivered
from triptych.transport.topic_settings import BATCH_OVERHEAD_BYTES

BATCH_BYTES = 1 << 20
"""With the client's 16 KiB each picture would be a batch, and only one batch of a partition may be under way."""
LINGER_MS = 5
REQUEST_BYTES = 16 << 20
METADATA_LIMIT_MS = 2_000
FOREVER_MS = 2**31 - 1
"""What was taken is sent when the broker is back, whenever that is: the bound is in bytes, not in time."""
ABANDON_LIMIT_S = 10.0

OnSent = Callable[[Outgoing, Delivered], None]
OnFailed = Callable[[Outgoing, errors.KafkaError], None]


class ProducerClient:
    """Send until something fails."""

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
        """Hand a message to the client; one of the two callbacks says later what became of it.

        Raises the client's own errors: `KafkaTimeoutError` where the topic's partitions are not known yet.
        """
        message = outgoing.message
        under_way = self._producer.send(
            message.topic,
            key=message.key,
            value=message.value,
            headers=list(message.headers),
            partition=message.partition,
        )
        under_way.add_callback(self._sent, outgoing)
        under_way.add_errback(self._failed, outgoing)

    def abandon(self) -> None:
        """End the client as it is; when this returns, nothing more of it will be sent."""
        sender = self._producer._sender  # noqa: SLF001 - close() waits for what will never be acknowledged
        sender.force_close()
        sender.join(ABANDON_LIMIT_S)
        self._abandoned = True
        self.close(0)

    def close(self, timeout_s: float) -> None:
        """End the client after what it holds is sent; used where nothing is under way."""
        try:
            self._producer.close(timeout=timeout_s)
        except errors.KafkaError:
            # It flushes first, and what was aborted does not count as flushed.
            self._producer._sender.force_close()  # noqa: SLF001 - as above

    def _sent(self, outgoing: Outgoing, where: Any) -> None:  # noqa: ANN401 - the client is untyped
        self._on_sent(outgoing, Delivered(where.topic, where.partition, where.offset))

    def _failed(self, outgoing: Outgoing, error: errors.KafkaError) -> None:
        if not self._abandoned:
            self._on_failed(outgoing, error)
        self._producer._sender.force_close()  # noqa: SLF001 - on its own thread: it sends nothing more
