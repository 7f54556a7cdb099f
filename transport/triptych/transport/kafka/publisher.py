"""Publishing to Kafka, in order and for as long as it takes.

One thread hands messages to the client. When the client fails, or answers nothing, it opens another one and sends
again, in order, whatever was not acknowledged; only a record that the broker itself refuses fails. Which one that is,
is not always clear, since a batch fails whole: then those in doubt are sent alone. A message may so arrive twice, in
the same order each time: readers drop what they have seen (by `seq`, or by result id).
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
    MessageRejectedError,
    PublishTimeoutError,
    RecordTooLargeError,
    StopError,
    TransportClosedError,
    TransportError,
)
from triptych.transport.in_flight import InFlight, Outgoing
from triptych.transport.kafka.errors import NOT_AUTHORIZED, OUT_OF_STEP, REFUSED, TOO_LARGE, translated
from triptych.transport.kafka.producer import ProducerClient
from triptych.transport.records import Delivered, Message

log = structlog.get_logger(__name__)

SEND_TIMEOUT_S = 60.0
STOP_LIMIT_S = 15.0
BACKOFF_S = (0.1, 5.0)
"""Between attempts to open a client: the first wait and the longest."""
MAX_FAILURES = 5
"""A record that saw so many clients fail, none of them for a reason that passes, is the reason."""
STUCK_S = 60.0
"""The client knows no end of trying: one that has lost a record or a partition out of sight would never say so. After
this long without an answer to what it was given first, another one is opened; brokers that are only away, or without
enough replicas, see the same records again."""


class KafkaPublisher:
    """Send messages (see `Publisher`)."""

    def __init__(self, settings: KafkaSettings, *, send_timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Connect; raises `BrokerUnavailableError` where nobody answers now. Later a broker may come and go."""
        self._settings = settings
        self._send_timeout_s = send_timeout_s
        self._in_flight = InFlight(settings.publisher_max_in_flight_bytes)
        self._failed: list[tuple[Outgoing, errors.KafkaError]] = []
        self._stopping = threading.Event()
        self._client = self._open()
        self._thread = threading.Thread(target=self._run, name="kafka-publisher", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether it takes no more messages."""
        return self._stopping.is_set()

    def send(self, message: Message) -> Future[Delivered]:
        """Hand a message over; wait while too many bytes are unacknowledged."""
        limit = self._settings.max_record_bytes
        if message.size_bytes > limit:
            raise RecordTooLargeError(
                message.topic, size_bytes=message.size_bytes, limit_bytes=limit, refused_by="this program"
            )
        return self._in_flight.add(message, self._send_timeout_s).delivered

    def flush(self, timeout_s: float) -> None:
        """Return when the fate of all messages sent so far is known."""
        self._in_flight.wait(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Flush, then let go."""
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
                    self._hand_over(self._in_flight.take(STUCK_S / 4))
        except Exception as error:  # the edge of this thread: nobody else would ever hear of it
            log.exception("kafka.publisher_broke")
            self._in_flight.close(StopError(f"the publisher broke: {error!r}"))

    def _hand_over(self, taken: list[Outgoing]) -> None:
        for place, outgoing in enumerate(taken):
            topic = outgoing.message.topic
            try:
                self._client.send(outgoing)
            except errors.KafkaTimeoutError as error:
                # The client waited for the topic's partitions: the broker is away, or has no such topic.
                log.warning("kafka.topic_unknown", topic=topic, error=str(error))
                self._in_flight.put_back(taken[place:])
                return
            except errors.KafkaError as error:
                # The client is dead; with the next one all comes again.
                self._on_failed(outgoing, error)
                return
            except (TypeError, ValueError) as error:
                refused = MessageRejectedError(f"a record for {topic} cannot be sent: {error}")
                self._in_flight.settle(outgoing, refused)

    def _on_failed(self, outgoing: Outgoing, error: errors.KafkaError) -> None:
        self._failed.append((outgoing, error))
        self._in_flight.wake()

    def _replace_client(self) -> None:
        """Open another client, and hand over again what was not acknowledged."""
        is_stuck = not self._failed
        self._client.abandon()  # after this its callbacks have all run: what is under way fails, by our own doing
        if is_stuck:
            passing = True
            log.warning("kafka.producer_stuck", unanswered_s=round(self._in_flight.longest_unanswered_s()))
        else:
            passing = self._judge()
            log.warning("kafka.producer_replaced", error=repr(self._failed[0][1]), failed=len(self._failed))
        client = self._open_patiently(passing=passing)
        if client is not None:
            self._client = client
            self._failed.clear()
            self._in_flight.send_again()

    def _judge(self) -> bool:
        """Fail the record that the broker refused, or send alone those in doubt; say whether the cause may pass.

        The first failure of a client is its cause, the others may be its consequence. In doubt are the records of the
        batch that failed: those with the same error. Sending alone takes a round trip for each, so to doubt everything
        that was under way would be slower than it comes in.
        """
        outgoing, error = self._failed[0]
        if isinstance(error, OUT_OF_STEP):
            return True
        outgoing.failures += 1
        if isinstance(error, TOO_LARGE) or (outgoing.alone and isinstance(error, (*REFUSED, *NOT_AUTHORIZED))):
            # A batch that is too large is split by the client until the one record is found.
            self._in_flight.settle(outgoing, self._refusal(outgoing, error))
            return False
        if isinstance(error, errors.RetriableError):
            return True
        if outgoing.failures >= MAX_FAILURES:
            self._in_flight.settle(outgoing, self._refusal(outgoing, error))
        for other, its_error in self._failed:
            other.alone |= type(its_error) is type(error) and other.message.topic == outgoing.message.topic
        return not isinstance(error, REFUSED)

    def _refusal(self, outgoing: Outgoing, error: errors.KafkaError) -> TransportError:
        topic = outgoing.message.topic
        if isinstance(error, TOO_LARGE):
            return RecordTooLargeError(
                topic, size_bytes=outgoing.size_bytes, limit_bytes=None, refused_by="the broker or the topic"
            )
        return translated(error, f"the broker refused a record of {outgoing.size_bytes} bytes for {topic}")

    def _open(self) -> ProducerClient:
        return ProducerClient(self._settings, self._in_flight.settle, self._on_failed)

    def _open_patiently(self, *, passing: bool) -> ProducerClient | None:
        """Open a client, as often as it takes; None when we are to stop."""
        wait_s, longest_s = BACKOFF_S
        if passing:
            self._pause(wait_s)
        while not self._stopping.is_set():
            try:
                return self._open()
            except TransportError as error:
                log.warning("kafka.broker_away", error=str(error))
            self._pause(wait_s)
            wait_s = min(longest_s, wait_s * 2)
        return None

    def _pause(self, wait_s: float) -> None:
        self._stopping.wait(wait_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
