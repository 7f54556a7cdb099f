"""One producer client of librdkafka, used until its first failure.

The client keeps the order of a partition only as long as no message fails: behind a rejected batch it would renumber
and go on. With the setting that guarantees no gaps it stops instead, and what it has queued is discarded, so the
publisher sends it again with the next client.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer
from kafka import errors

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import BrokerUnavailableError, MessageRejectedError
from triptych.transport.in_flight import Outgoing
from triptych.transport.kafka.errors import NOT_AUTHORIZED
from triptych.transport.kafka.producer import ABANDON_LIMIT_S, BATCH_BYTES, LINGER_MS, OnFailed, OnSent
from triptych.transport.librdkafka.connect import ClientErrors, Configs, connect
from triptych.transport.librdkafka.errors import as_kafka_python, kafka_error_of
from triptych.transport.records import Delivered, Message
from triptych.transport.topic_settings import BATCH_OVERHEAD_BYTES
from triptych.transport.watchdog import within

POLL_S: Final = 0.5
"""How long the thread that serves the callbacks waits for one."""
MAX_BYTES: Final = 1_000_000_000
"""librdkafka's greatest `message.max.bytes`."""
UNLIMITED_KBYTES: Final = (1 << 31) - 1
SINGLE_MESSAGES: Final = 1_000
"""After a failure, so many messages are sent in batches of one."""


def open_producer(settings: KafkaSettings, configs: Configs) -> tuple[Producer, ClientErrors]:
    """Open a producer client with the settings that all publishing uses."""
    return connect(
        Producer,
        settings,
        {
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",  # as in Kafka's Java clients
            "message.max.bytes": min(MAX_BYTES, settings.max_record_bytes + BATCH_OVERHEAD_BYTES),
            "batch.size": min(BATCH_BYTES, settings.max_record_bytes),
            "queue.buffering.max.messages": 0,  # no limit: our own is in bytes
            "queue.buffering.max.kbytes": UNLIMITED_KBYTES,
            **configs,
        },
    )


def produce(producer: Producer, message: Message, on_delivery: Any) -> None:  # noqa: ANN401 - the client's callback
    """Pass a message to the client.

    Raises:
        MessageRejectedError: its partition does not exist.
        KafkaError: the client cannot be used (kafka-python's error, as everywhere in this package).
    """
    try:
        producer.produce(
            message.topic,
            value=message.value,
            key=message.key,
            partition=-1 if message.partition is None else message.partition,
            on_delivery=on_delivery,
            headers=list(message.headers),
        )
    except KafkaException as found:
        raise failure_of(kafka_error_of(found), message) from found


def failure_of(error: KafkaError, message: Message) -> errors.KafkaError | MessageRejectedError:
    """Return the error of one message."""
    if error.code() == KafkaError._UNKNOWN_PARTITION:  # noqa: SLF001 - the name of an error of librdkafka
        return MessageRejectedError(f"a record for {message.topic} cannot be sent: no partition {message.partition}")
    is_denied = error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    return as_kafka_python(error, message.topic if is_denied else None)


class LibrdkafkaProducerClient:
    """Sends messages until one fails."""

    def __init__(
        self, settings: KafkaSettings, on_sent: OnSent, on_failed: OnFailed, *, single_messages: bool = False
    ) -> None:
        self._on_sent = on_sent
        self._on_failed = on_failed
        self._abandoned = False
        self.sends_single_messages = single_messages
        configs: Configs = {
            "enable.gapless.guarantee": True,
            "message.timeout.ms": 0,  # accepted messages are sent whenever the broker is available again
            "linger.ms": 0 if single_messages else LINGER_MS,
        }
        if single_messages:
            configs["batch.num.messages"] = 1
        self._producer, self._errors = open_producer(settings, configs)
        self._unreported: deque[tuple[Outgoing, KafkaError]] = deque()
        self._report_lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="librdkafka-producer", daemon=True)
        self._thread.start()

    def send(self, outgoing: Outgoing) -> None:
        """Pass a message to the client; later one of the two callbacks reports the outcome."""
        try:
            produce(self._producer, outgoing.message, partial(self._delivered, outgoing))
        except MessageRejectedError as rejection:
            raise ValueError(str(rejection)) from rejection

    def flush(self, limit_s: float) -> bool:
        """Return whether all messages were acknowledged within the limit."""
        unanswered = 1
        with self._reporting():
            unanswered = self._producer.flush(limit_s)
        return unanswered == 0

    def abandon(self) -> None:
        """Stop the client at once. After the return it sends nothing more."""
        self._abandoned = True
        self._producer.purge()
        self.close(0)

    def close(self, timeout_s: float) -> None:
        """Close the client. Call it only while nothing is in flight."""
        with self._reporting():
            self._producer.flush(timeout_s)
        self._stopping.set()
        self._thread.join(ABANDON_LIMIT_S)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            with self._reporting():
                self._producer.poll(POLL_S)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Report the messages that failed while callbacks were served, with their cause.

        A fatal error discards the queue, and is raised only when the callbacks of the discarded messages have run.
        Two threads report. The first failure counts as the cause of the others, so only one may report at a time.
        """
        try:
            yield
        except KafkaException as found:
            self._errors(kafka_error_of(found))
        with self._report_lock:
            while self._unreported:
                outgoing, error = self._unreported.popleft()
                self._on_failed(outgoing, self._failure(error, outgoing.message))

    def _delivered(self, outgoing: Outgoing, error: KafkaError | None, message: Any) -> None:  # noqa: ANN401 - a message of the client, whose stubs make all of it optional
        if error is None:
            self._on_sent(outgoing, Delivered(outgoing.message.topic, message.partition(), message.offset()))
        elif not self._abandoned:
            # Nothing behind it may be sent before it.
            self._producer.purge(in_queue=True, in_flight=False, blocking=False)
            self._unreported.append((outgoing, error))

    def _failure(self, error: KafkaError, message: Message) -> errors.KafkaError:
        cause = self._errors.fatal
        is_denied = cause is not None and isinstance(as_kafka_python(cause), NOT_AUTHORIZED)
        found = failure_of(cause if cause is not None and is_denied else error, message)
        if isinstance(found, MessageRejectedError):
            return errors.InvalidTopicError(str(found))
        return found


def close_producer(producer: Producer, limit_s: float) -> None:
    """Discard what the client has queued, and close it; abandon it after the limit."""
    producer.purge()
    try:
        within(limit_s, "closing a producer", producer.close)
    except BrokerUnavailableError:
        return  # the abandoned thread ends with the process
