"""One producer client of librdkafka, used until its first failure.

The client keeps the order of a partition only as long as no message fails: behind a rejected batch it would renumber
and go on. With the setting that guarantees no gaps it stops instead, and what it has queued is discarded, so the
publisher sends it again with the next client.

A client that has stopped fails all other messages too, in any order: those that it has queued, and those that it is
given afterwards. They are not the cause, and are not reported. Only where no message is the cause, for example if the
broker refuses to give the client a producer id, the first of them is reported with the client's fatal error.
"""

from __future__ import annotations

import threading
import warnings
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
STOPPED: Final = frozenset({
    KafkaError._FATAL,  # noqa: SLF001 - the names of librdkafka's own errors
    KafkaError._PURGE_QUEUE,  # noqa: SLF001 - as above
    KafkaError._PURGE_INFLIGHT,  # noqa: SLF001 - as above
})  # fmt: skip
"""The errors of messages that fail because the client has stopped."""
GAPLESS: Final = KafkaError._GAPLESS_GUARANTEE  # noqa: SLF001 - as above
"""The fatal error of a client that has stopped because a message failed, whose own error says why."""


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
        KafkaException: the client does not accept it.
    """
    producer.produce(
        message.topic,
        value=message.value,
        key=message.key,
        partition=-1 if message.partition is None else message.partition,
        on_delivery=on_delivery,
        headers=list(message.headers),
    )


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
        self._stopped: deque[Outgoing] = deque()
        """The messages that failed because the client has stopped."""
        self._report_lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="librdkafka-producer", daemon=True)
        self._thread.start()

    def send(self, outgoing: Outgoing) -> None:
        """Pass a message to the client; later one of the two callbacks reports the outcome."""
        try:
            produce(self._producer, outgoing.message, partial(self._delivered, outgoing))
        except KafkaException as found:
            error = kafka_error_of(found)
            if error.code() in STOPPED:
                self._stopped.append(outgoing)
                return
            failure = failure_of(error, outgoing.message)
            raise (ValueError(str(failure)) if isinstance(failure, MessageRejectedError) else failure) from found

    def flush(self, limit_s: float) -> bool:
        """Return whether all messages were acknowledged within the limit."""
        unanswered = 1
        with self._reporting():
            unanswered = self._producer.flush(limit_s)
        return unanswered == 0 and not self._stopped

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
        """Report the messages that failed while callbacks were served.

        The call that serves the callbacks raises the client's fatal error, once.
        Two threads report. The first failure counts as the cause, so only one may report at a time.
        """
        try:
            yield
        except KafkaException as found:
            self._errors(kafka_error_of(found))
        with self._report_lock:
            while self._unreported:
                outgoing, error = self._unreported.popleft()
                self._on_failed(outgoing, self._failure(error, outgoing.message))
            fatal = self._errors.fatal
            if self._stopped and fatal is not None and fatal.code() != GAPLESS:
                outgoing = self._stopped.popleft()
                self._stopped.clear()
                self._on_failed(outgoing, self._failure(fatal, outgoing.message))

    def _delivered(self, outgoing: Outgoing, error: KafkaError | None, message: Any) -> None:  # noqa: ANN401 - a message of the client, whose stubs make all of it optional
        if error is None:
            self._on_sent(outgoing, Delivered(outgoing.message.topic, message.partition(), message.offset()))
        elif self._abandoned:
            return
        elif error.code() in STOPPED:
            self._stopped.append(outgoing)
        else:
            # Nothing behind it may be sent before it.
            self._producer.purge(in_queue=True, in_flight=False, blocking=False)
            self._unreported.append((outgoing, error))

    def _failure(self, error: KafkaError, message: Message) -> errors.KafkaError:
        found = failure_of(error, message)
        if isinstance(found, MessageRejectedError):
            return errors.InvalidTopicError(str(found))
        return found


def close_producer(producer: Producer, limit_s: float) -> None:
    """Discard what the client has queued, and close it; abandon it after the limit."""
    producer.purge()
    # It aborts a transaction first. The warning that it could not would be raised where warnings are errors.
    warnings.filterwarnings("ignore", "Producer abort_transaction failed during close", RuntimeWarning)
    try:
        within(limit_s, "closing a producer", producer.close)
    except BrokerUnavailableError:
        return  # the abandoned thread ends with the process
