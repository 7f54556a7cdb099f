"""Send records to the transport: wait where it is full, drop a record that the broker rejects, count both."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Event

import structlog

from triptych.producers.status.counters import Counters
from triptych.schemas.codec import encode
from triptych.schemas.names import TOPIC_OF
from triptych.schemas.records import InputRecord
from triptych.transport.errors import MessageRejectedError, PublishTimeoutError, TransportError
from triptych.transport.protocols import Publisher
from triptych.transport.records import Delivered, Message

_log = structlog.get_logger(__name__)


class Sender:
    """Send the records of one source.

    A file can wait. So a slow or unavailable broker blocks it, and the transport's limit on the bytes in flight is the
    only queue.
    """

    def __init__(self, publisher: Publisher, counters: Counters, stop: Event, *, start_at_ns: int) -> None:
        """Send the records of a source whose media time zero is the event time `start_at_ns`."""
        self._publisher = publisher
        self._counters = counters
        self._stop = stop
        self._start_at_ns = start_at_ns
        self._failure: TransportError | None = None

    def send(self, record: InputRecord, *, behind_clock_ns: int = 0) -> None:
        """Hand a record to the transport. Block while the transport is full.

        A record that the broker rejects is logged and counted as dropped.

        Args:
            record: what to send.
            behind_clock_ns: how much later than due it is sent.

        Raises:
            PublishTimeoutError: the transport is full, and `stop` is set.
            TransportError: the transport has failed for good, with this record or an earlier one.
        """
        if self._failure is not None:
            raise self._failure
        wire = encode(record)
        media_ns = record.start_ns - self._start_at_ns
        try:
            delivery = self._publish(Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers))
        except MessageRejectedError as error:
            self._drop(record, error)
            return
        self._counters.observe(record)
        self._counters.sent(media_ns, behind_clock_ns=behind_clock_ns)
        delivery.add_done_callback(lambda future: self._on_delivery(future, record, media_ns))

    def _publish(self, message: Message) -> Future[Delivered]:
        waiting = False
        while True:
            try:
                return self._publisher.send(message)
            except PublishTimeoutError as error:
                if self._stop.is_set():
                    raise
                if not waiting:
                    _log.warning("broker_waiting", stream=self._counters.status.stream, reason=str(error))
                waiting = True

    def _on_delivery(self, future: Future[Delivered], record: InputRecord, media_ns: int) -> None:
        error = None if future.cancelled() else future.exception()
        if error is None:
            self._counters.acknowledged(media_ns)
        elif isinstance(error, MessageRejectedError):
            self._drop(record, error)
        elif isinstance(error, TransportError):
            self._failure = error

    def _drop(self, record: InputRecord, reason: TransportError) -> None:
        self._counters.dropped()
        _log.warning("record_rejected", id=record.id, topic=TOPIC_OF[record.modality], reason=str(reason))
