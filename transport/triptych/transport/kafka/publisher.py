"""Publish to Kafka in order, with unlimited retries.

One thread passes messages to the client. When the client fails, or stops answering, the thread opens another client and
resends everything unacknowledged, in order. A message only fails if the broker rejects it. Since a batch fails as a
whole, it can be unclear which message was rejected: then the suspects are sent one at a time. So a message may arrive
twice, in the same order each time; readers drop duplicates by `seq` or result id.
"""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import Future

import structlog
from kafka import errors

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import (
    BrokerUnavailableError,
    MessageRejectedError,
    PublishTimeoutError,
    RecordTooLargeError,
    StopError,
    TransportClosedError,
    TransportError,
)
from triptych.transport.in_flight import SEND_TIMEOUT_S, InFlight, Outgoing
from triptych.transport.kafka.errors import BROKER_AWAY, NOT_AUTHORIZED, REJECTED, SEQUENCE_LOST, TOO_LARGE, translated
from triptych.transport.kafka.producer import OneUseClient, ProducerClient
from triptych.transport.records import Delivered, Message

log = structlog.get_logger(__name__)

STOP_LIMIT_S = 15.0
BACKOFF_S = (0.1, 5.0)
"""Between attempts to open a client: the first delay, and the longest one after refusals. An attempt that finds no
broker waits for one by itself, and connects once it is back, so the delay after it stays the first one."""
MAX_FAILURES = 5
"""After so many client failures, none of them transient, the message counts as the cause."""
STUCK_S = 60.0
"""The client retries forever, and would never report that it has lost a message or a partition. If the oldest message
has been unanswered for this long, another client is opened. If the brokers are merely unavailable, or lack replicas,
they receive the same messages again."""


class KafkaPublisher:
    """Publishes messages (see `Publisher`)."""

    def __init__(self, settings: KafkaSettings, *, send_timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Connect. Raises `BrokerUnavailableError` if no broker answers; later, brokers may become unavailable."""
        self._settings = settings
        self._send_timeout_s = send_timeout_s
        self._in_flight = InFlight(settings.publisher_max_in_flight_bytes)
        self._failed: list[tuple[Outgoing, errors.KafkaError]] = []
        self._stopping = threading.Event()
        self._client: OneUseClient = self._open()
        self._thread = threading.Thread(target=self._run, name="kafka-publisher", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether the publisher is closed."""
        return self._stopping.is_set()

    def send(self, message: Message) -> Future[Delivered]:
        """Queue a message. Block while too many bytes are unacknowledged."""
        limit = self._settings.max_record_bytes
        if message.size_bytes > limit:
            raise RecordTooLargeError(
                message.topic, size_bytes=message.size_bytes, limit_bytes=limit, refused_by="this program"
            )
        return self._in_flight.add(message, self._send_timeout_s).delivered

    def flush(self, timeout_s: float) -> None:
        """Block until the outcome of all messages sent so far is known."""
        self._in_flight.wait(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Flush, then close the client."""
        deadline = time.monotonic() + timeout_s
        try:
            self.flush(timeout_s)
        finally:
            self._stopping.set()
            self._in_flight.wake()
            self._thread.join(STOP_LIMIT_S)
            if self._in_flight.unsettled():
                self._in_flight.close(PublishTimeoutError("the publisher was closed before this was acknowledged"))
                self._client.abandon()
            else:
                self._in_flight.close(TransportClosedError("this publisher is closed"))
                self._client.close(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                if self._failed or self._in_flight.longest_unanswered_s() > STUCK_S:
                    self._replace_client()
                else:
                    self._send_all(self._in_flight.take(STUCK_S / 4))
        except Exception as error:  # the edge of this thread: nothing else would report it
            log.exception("kafka_publisher_failed")
            self._in_flight.close(StopError(f"the publisher failed: {error!r}"))

    def _send_all(self, taken: list[Outgoing]) -> None:
        for index, outgoing in enumerate(taken):
            topic = outgoing.message.topic
            try:
                self._client.send(outgoing)
            except errors.KafkaTimeoutError as error:
                # The client waited for the topic's metadata: the broker is unavailable, or has no such topic.
                log.warning("kafka_topic_unknown", topic=topic, error=str(error))
                self._in_flight.put_back(taken[index:])
                return
            except errors.KafkaError as error:
                # The client is unusable; the next one sends everything again.
                self._on_failed(outgoing, error)
                return
            except (TypeError, ValueError) as error:
                rejection = MessageRejectedError(f"a record for {topic} cannot be sent: {error}")
                self._in_flight.settle(outgoing, rejection)

    def _on_failed(self, outgoing: Outgoing, error: errors.KafkaError) -> None:
        self._failed.append((outgoing, error))
        self._in_flight.wake()

    def _replace_client(self) -> None:
        """Open another client, and resend everything unacknowledged."""
        is_stuck = not self._failed
        self._client.abandon()  # afterwards all its callbacks have run; this itself fails what is in flight
        if is_stuck:
            transient = True
            log.warning("kafka_producer_stuck", unanswered_s=round(self._in_flight.longest_unanswered_s()))
        else:
            transient = self._blame_record()
            log.warning("kafka_producer_replaced", error=repr(self._failed[0][1]), failed=len(self._failed))
        client = self._open_with_retry(transient=transient)
        if client is not None:
            self._client = client
            self._failed.clear()
            self._in_flight.send_again()

    def _blame_record(self) -> bool:
        """Fail the rejected message, or send the suspects alone; return whether the cause may be transient.

        The first failure of a client is its cause; the others may be consequences. Suspects are the messages of the
        failed batch: those with the same error. Sending alone takes one round trip per message, so treating everything
        in flight as suspect would be slower than messages come in.
        """
        outgoing, error = self._failed[0]
        if isinstance(error, SEQUENCE_LOST):
            return True
        outgoing.failures += 1
        if isinstance(error, TOO_LARGE) or (outgoing.alone and isinstance(error, (*REJECTED, *NOT_AUTHORIZED))):
            # The client splits a batch that is too large until it has found the one record.
            self._in_flight.settle(outgoing, rejection_of(outgoing, error))
            return False
        if isinstance(error, BROKER_AWAY):
            return True
        if outgoing.failures >= MAX_FAILURES:
            self._in_flight.settle(outgoing, rejection_of(outgoing, error))
        for other, its_error in self._failed:
            other.alone |= type(its_error) is type(error) and other.message.topic == outgoing.message.topic
        return not isinstance(error, REJECTED)

    def _open(self) -> OneUseClient:
        return ProducerClient(self._settings, self._in_flight.settle, self._on_failed)

    def _open_with_retry(self, *, transient: bool) -> OneUseClient | None:
        """Open a client, retrying with backoff; return None when the publisher is closing."""
        wait_s, longest_s = BACKOFF_S
        if transient:
            self._wait_with_jitter(wait_s)
        while not self._stopping.is_set():
            try:
                return self._open()
            except TransportError as error:
                log.warning("kafka_broker_unavailable", error=str(error))
                self._wait_with_jitter(wait_s)
                if not isinstance(error, BrokerUnavailableError):
                    wait_s = min(longest_s, wait_s * 2)
        return None

    def _wait_with_jitter(self, wait_s: float) -> None:
        self._stopping.wait(wait_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret


def rejection_of(outgoing: Outgoing, error: errors.KafkaError) -> TransportError:
    """Return our error for a message that the broker rejected."""
    topic = outgoing.message.topic
    if isinstance(error, TOO_LARGE):
        return RecordTooLargeError(
            topic, size_bytes=outgoing.size_bytes, limit_bytes=None, refused_by="the broker or the topic"
        )
    return translated(error, f"the broker rejected a record of {outgoing.size_bytes} bytes for {topic}")
