"""From records to the transport: waits where it is full, gives up a record that it will never take, counts both."""

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

    A film can wait, so a broker that is away or slow stops it, and the transport's bound on bytes is the only queue.
    """

    def __init__(self, publisher: Publisher, tally: Counters, stop: Event, *, start_at_ns: int) -> None:
        self._publisher = publisher
        self._tally = tally
        self._stop = stop
        self._start_at_ns = start_at_ns
        self._failure: TransportError | None = None

    def send(self, record: InputRecord, *, behind_clock_ns: int = 0) -> None:
        """Hand a record over, waiting for room.

        Raises `TransportError` where going on cannot help, `PublishTimeoutError` where the waiting was stopped.
        """
        if self._failure is not None:
            raise self._failure
        wire = encode(record)
        film_ns = record.start_ns - self._start_at_ns
        try:
            acknowledged = self._handed_over(Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers))
        except MessageRejectedError as refused:
            self._give_up(record, refused)
            return
        self._tally.note(record)
        self._tally.sent(film_ns, behind_clock_ns=behind_clock_ns)
        acknowledged.add_done_callback(lambda future: self._settle(future, record, film_ns))

    def _handed_over(self, message: Message) -> Future[Delivered]:
        waiting = False
        while True:
            try:
                return self._publisher.send(message)
            except PublishTimeoutError as error:
                if self._stop.is_set():
                    raise
                if not waiting:
                    _log.warning("broker.waiting", stream=self._tally.standing.stream, reason=str(error))
                waiting = True

    def _settle(self, future: Future[Delivered], record: InputRecord, film_ns: int) -> None:
        error = None if future.cancelled() else future.exception()
        if error is None:
            self._tally.acknowledged(film_ns)
        elif isinstance(error, MessageRejectedError):
            self._give_up(record, error)
        elif isinstance(error, TransportError):
            self._failure = error

    def _give_up(self, record: InputRecord, reason: TransportError) -> None:
        self._tally.dropped()
        _log.warning("record.dropped", id=record.id, topic=TOPIC_OF[record.modality], reason=str(reason))
