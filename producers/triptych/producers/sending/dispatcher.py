"""Send the records of all feeds of the program, on one thread, and keep what cannot be sent yet.

The transport has a queue of its own, in which nothing can be dropped or overtaken. So it gets only what the link
delivers in about a second; all else waits in the `SendQueue`.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from threading import Event
from typing import Final

import structlog

from triptych.producers.clock import RunningClock
from triptych.producers.sending.drop_log import DropLog
from triptych.producers.sending.limits import SendLimits
from triptych.producers.sending.link import AWAY_NS, LinkMonitor, SendWindow
from triptych.producers.sending.record_tracer import RecordTracer
from triptych.producers.sending.send_queue import QueuedRecord, SendQueue, progress_of
from triptych.producers.status.counters import Counters
from triptych.producers.status.losses import DropCause
from triptych.schemas.codec import encode
from triptych.schemas.names import TOPIC_OF
from triptych.schemas.records import InputRecord
from triptych.schemas.tracing.trace_context import TRACEPARENT_HEADER
from triptych.transport.errors import (
    MessageRejectedError,
    PublishTimeoutError,
    RetriableError,
    StopError,
    TransportError,
)
from triptych.transport.protocols import Publisher
from triptych.transport.records import Delivered, Message
from triptych.units import MIB, NS_PER_S

_log = structlog.get_logger(__name__)

AHEAD_BYTES: Final = 8 * MIB
"""How much of a source that waits is read ahead."""

_LEADER_AWAY_NS: Final = 10 * NS_PER_S
"""A track whose oldest record is unacknowledged for so long has no leader, though those of others may answer."""

_TICK_S: Final = 0.2


class FeedSender:
    """Send the records of one source. Made by `RecordDispatcher.open`."""

    def __init__(
        self, dispatcher: RecordDispatcher, counters: Counters, stop: Event, *, start_at_ns: int, drops: bool
    ) -> None:
        self.drops = drops
        self.stop = stop
        self.failure: TransportError | None = None
        self._dispatcher = dispatcher
        self._counters = counters
        self._start_at_ns = start_at_ns

    @property
    def kept_bytes(self) -> int:
        """The size of what is kept: to be sent, or to be acknowledged."""
        return self._dispatcher.kept_bytes(self)

    @property
    def kept_ns(self) -> int | None:
        """The age of the oldest kept record, 0 where there is none; None for a source that waits instead."""
        return self._dispatcher.kept_ns(self) if self.drops else None

    @property
    def final_failure(self) -> TransportError | None:
        """Why nothing more of the source is sent; None while that is possible."""
        return self.failure or self._dispatcher.failure

    @property
    def is_settled(self) -> bool:
        """Whether the outcome of all records so far is known, or nothing more is sent."""
        return self._dispatcher.is_settled(self)

    def send(self, record: InputRecord, *, behind_clock_ns: int = 0) -> None:
        """Queue a record. A source that waits instead of dropping blocks while too much of it is queued.

        A record that cannot be sent, or that the broker rejects, is counted as dropped.

        Args:
            record: what to send.
            behind_clock_ns: how much later than due it comes.

        Raises:
            TransportError: the transport has failed for good, with this record or an earlier one.
        """
        self._counters.observe(record)
        self._counters.reached(self._media_ns(record), behind_clock_ns=behind_clock_ns)
        self._dispatcher.put(self, record)

    def skip(self, record: InputRecord) -> None:
        """Count a record that was due while the program was suspended, and send its watermark only."""
        self._counters.dropped(record, "suspended")
        self._counters.reached(self._media_ns(record))
        self._dispatcher.put(self, progress_of(record))

    def close(self) -> None:
        """End the feed: no more records will come. What is queued is still sent."""
        self._dispatcher.close_feed(self)

    # --- called by the dispatcher -------------------------------------------------------------------------------------

    def on_sent(self) -> None:
        """Count a record that the transport has taken."""
        self._counters.sent()

    def on_acknowledged(self, record: InputRecord) -> None:
        """Count a record that the broker has acknowledged."""
        self._counters.acknowledged(self._media_ns(record))

    def on_rejected(self, record: InputRecord, error: TransportError) -> None:
        """Count and log a record that will never be accepted."""
        self._counters.dropped(record, "rejected")
        _log.warning("record_rejected", id=record.id, topic=TOPIC_OF[record.modality], reason=str(error))

    def on_dropped(self, record: InputRecord, cause: DropCause) -> None:
        """Count a record that was not sent."""
        self._counters.dropped(record, cause)

    def _media_ns(self, record: InputRecord) -> int:
        return record.start_ns - self._start_at_ns


class RecordDispatcher:
    """Owns the publisher, the queue of all feeds, and the thread between them."""

    def __init__(
        self,
        publisher: Publisher,
        clock: RunningClock,
        limits: SendLimits | None = None,
        *,
        tracer: RecordTracer | None = None,
    ) -> None:
        """Start the thread. `close` also closes the publisher. With `tracer`, sampled records are traced."""
        self._tracer = tracer
        self._publisher = publisher
        self._clock = clock
        self._limits = limits or SendLimits()
        self._queue = SendQueue(self._limits)
        self._link = LinkMonitor(min(AWAY_NS, self._limits.max_lag_ns // 2))
        self._window = SendWindow(self._limits.max_in_flight_bytes)
        self._drop_log = DropLog()
        self._changed = threading.Condition()
        self._closed = False
        self._has_ended = False
        self._limits_logged = False
        self.failure: TransportError | None = None
        self._ticked_ns = 0
        self._in_hand = False  # whether the thread has taken a record that the publisher has not got yet
        self._thread = threading.Thread(target=self._run, name="dispatch records", daemon=True)
        self._thread.start()

    def open(self, counters: Counters, stop: Event, *, start_at_ns: int, drops: bool) -> FeedSender:
        """Return the sender of a source whose media time zero is the event time `start_at_ns`.

        Args:
            counters: of the source.
            stop: ends waiting.
            start_at_ns: the event time of media time zero.
            drops: whether records are dropped that cannot be sent soon enough, rather than that the source waits.
        """
        if drops:
            self._log_limits()
        return FeedSender(self, counters, stop, start_at_ns=start_at_ns, drops=drops)

    def put(self, feed: FeedSender, record: InputRecord) -> None:
        """Queue a record. See `FeedSender.send`."""
        with self._changed:
            while self._must_wait(feed):
                self._changed.wait(_TICK_S)
            if self._has_failed(feed):
                raise feed.final_failure or StopError("the program has stopped sending")
            self._queue.offer(feed, record, self._clock.monotonic_ns(), drops=feed.drops)
            self._drop(self._queue.drop_excess())
            self._changed.notify_all()

    def kept_bytes(self, feed: FeedSender) -> int:
        """Return the size of what is kept of a feed."""
        with self._changed:
            return self._kept_bytes(feed)

    def kept_ns(self, feed: FeedSender) -> int:
        """Return the age of the oldest record that is kept of a feed."""
        with self._changed:
            ages = (track.oldest_ns() for track in self._queue.tracks_of(feed))
            oldest_ns = min((each for each in ages if each is not None), default=None)
            return 0 if oldest_ns is None else self._clock.monotonic_ns() - oldest_ns

    def is_settled(self, feed: FeedSender) -> bool:
        """Return whether the outcome of all records of a feed so far is known, or nothing more is sent."""
        with self._changed:
            return self._has_ended or not self._kept_bytes(feed)

    def close_feed(self, feed: FeedSender) -> None:
        """Mark a feed as complete: no more records of it will come."""
        with self._changed:
            self._queue.close(feed)

    def close(self, timeout_s: float) -> None:
        """Send what is queued, then close the publisher.

        Raises:
            PublishTimeoutError: it took too long. What was not sent is counted as dropped.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            self._changed.wait_for(self._has_sent_all, timeout_s)
            unsent = self._drop_waiting()
            self._closed = True
            self._changed.notify_all()
        try:
            self._publisher.close(max(0.0, deadline_s - time.monotonic()))
        finally:
            self._thread.join()
            with self._changed:
                unsent += self._drop_waiting()  # what the thread had in hand, and the publisher did not take
                self._drop_log.close()
                self._has_ended = True
        if unsent:
            raise PublishTimeoutError(f"{unsent} records were not sent within {timeout_s:g} s, and are lost")

    def check_limits(self) -> None:
        """Judge the link, and drop what is too old. The thread does so by itself."""
        with self._changed:
            self._tick(self._clock.monotonic_ns())
            self._changed.notify_all()

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (one := self._next()) is not None:
                self._hand_over(one)
        except Exception as error:  # noqa: BLE001 - the edge of this thread: nothing else would report it
            _log.exception("dispatcher_failed")
            with self._changed:
                self.failure = StopError(f"the program has failed to send: {error!r}")
                self._in_hand = False
                self._drop_waiting()
                self._changed.notify_all()

    def _next(self) -> QueuedRecord | None:
        """Block until there is a record to send; return None once closed."""
        with self._changed:
            self._in_hand = False
            while not self._closed:
                now_ns = self._clock.monotonic_ns()
                self._tick(now_ns)
                self._queue.window_bytes = self._window.size_bytes
                one = self._queue.take(now_ns)
                if one is not None:
                    one.delivered_before = self._window.delivered_bytes
                    self._in_hand = True
                    return one
                if self._queue.is_empty():
                    self._changed.notify_all()  # `close` waits for that
                self._changed.wait(_TICK_S)
            return None

    def _tick(self, now_ns: int) -> None:
        """Judge the link, and drop what is too old, several times a second."""
        if now_ns - self._ticked_ns < _TICK_S * NS_PER_S / 2:
            return
        self._ticked_ns = now_ns
        queue, link = self._queue, self._link
        link.observe(
            now_ns, oldest_waiting_ns=queue.oldest_waiting_ns(), oldest_in_flight_ns=queue.oldest_in_flight_ns()
        )
        self._drop(queue.drop_old(now_ns, picture_age_ns=link.allowed_ns, sound_age_ns=link.sound_allowed_ns))
        self._drop_log.observe(now_ns, link.away_since_ns, kept_bytes=queue.kept_bytes)

    def _hand_over(self, one: QueuedRecord) -> None:
        feed = _feed_of(one)
        wire = encode(one.record)
        context = None if self._tracer is None else self._tracer.context_of(one.record)
        headers = wire.headers if context is None else (*wire.headers, (TRACEPARENT_HEADER, context.traceparent))
        try:
            delivery = self._publisher.send(Message(TOPIC_OF[one.record.modality], wire.key, wire.value, headers))
        except MessageRejectedError as error:
            feed.on_rejected(one.record, error)
            self._settle(one)
        except TransportError as error:
            if isinstance(error, PublishTimeoutError) or (feed.drops and isinstance(error, RetriableError)):
                self._try_again_later(one)
            else:
                self._fail(one, error)
        else:
            feed.on_sent()
            delivery.add_done_callback(lambda future: self._on_delivery(future, one))

    def _try_again_later(self, one: QueuedRecord) -> None:
        with self._changed:
            self._queue.give_back(one)
            if not self._closed:
                self._changed.wait(_TICK_S)

    def _on_delivery(self, future: Future[Delivered], one: QueuedRecord) -> None:
        """Handle the outcome of a record, on a thread of the transport."""
        error = None if future.cancelled() else future.exception()
        if error is None:
            _feed_of(one).on_acknowledged(one.record)
            self._settle(one, acknowledged=True)
            if self._tracer is not None:
                self._tracer.on_delivered(one, future.result(), self._clock.monotonic_ns())
        elif isinstance(error, MessageRejectedError):
            _feed_of(one).on_rejected(one.record, error)
            self._settle(one, acknowledged=True)
        elif isinstance(error, PublishTimeoutError) and self._closed:
            with self._changed:
                self._drop_one(one, "stopped")
        elif isinstance(error, TransportError):
            self._fail(one, error)

    def _settle(self, one: QueuedRecord, *, acknowledged: bool = False) -> None:
        with self._changed:
            now_ns = self._clock.monotonic_ns()
            self._queue.settle(one)
            if acknowledged:
                self._link.acknowledged(now_ns)
                was_limited, self._queue.was_limited = self._queue.was_limited, False
                self._window.acknowledged(
                    one.size_bytes,
                    now_ns - one.handed_ns,
                    now_ns,
                    delivered_before=one.delivered_before,
                    was_limited=was_limited,
                )
            self._changed.notify_all()

    def _fail(self, one: QueuedRecord, error: TransportError) -> None:
        feed = _feed_of(one)
        with self._changed:
            feed.failure = feed.failure or error
            self._queue.settle(one)
            for lost in (one, *self._queue.clear(feed)):
                self._drop_one(lost, "stopped")
            self._changed.notify_all()

    def _has_sent_all(self) -> bool:
        """Return whether the publisher has got every record, or nothing more is sent.

        A record that the thread has taken waits no more, but closing the publisher before it is handed over loses it.
        """
        return (self._queue.is_empty() and not self._in_hand) or not self._thread.is_alive()

    def _drop_waiting(self) -> int:
        """Drop all that waits, because nothing more is sent. Return how much it was."""
        dropped = self._queue.clear()
        for one in dropped:
            self._drop_one(one, "stopped")
        return len(dropped)

    def _drop(self, dropped: list[QueuedRecord]) -> None:
        for one in dropped:
            is_away = one.track.is_stalled(self._clock.monotonic_ns(), for_ns=_LEADER_AWAY_NS)
            self._drop_one(one, "outage" if is_away else self._link.cause)

    def _drop_one(self, one: QueuedRecord, cause: DropCause) -> None:
        now_ns = self._clock.monotonic_ns()
        self._link.dropped(now_ns)
        self._drop_log.dropped(one.record, cause, now_ns)
        _feed_of(one).on_dropped(one.record, cause)

    def _must_wait(self, feed: FeedSender) -> bool:
        if feed.drops or feed.stop.is_set() or self._closed or self._has_failed(feed):
            return False
        return self._kept_bytes(feed) >= AHEAD_BYTES

    def _has_failed(self, feed: FeedSender) -> bool:
        return feed.final_failure is not None

    def _kept_bytes(self, feed: FeedSender) -> int:
        return sum(track.kept_bytes for track in self._queue.tracks_of(feed))

    def _log_limits(self) -> None:
        with self._changed:
            was_logged, self._limits_logged = self._limits_logged, True
        if not was_logged:
            _log.info(
                "send_limits",
                max_lag_s=self._limits.max_lag_ns / NS_PER_S,
                max_queue_mb=self._limits.max_bytes / MIB,
                dropped_first="pictures, then sound, then words",
            )


def _feed_of(one: QueuedRecord) -> FeedSender:
    feed = one.track.feed
    assert isinstance(feed, FeedSender)  # noqa: S101 - the dispatcher offers no other
    return feed
