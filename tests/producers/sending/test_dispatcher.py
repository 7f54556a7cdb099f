"""The thread that sends: outages, failures, and what it does at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event

import pytest
from structlog.testing import capture_logs

from tests.producers.live.feed_records import COMMON, S, audio_chunk, subtitle_cue, video_frame
from triptych.producers.clock import RunningClock
from triptych.producers.sending.dispatcher import AHEAD_BYTES, FeedSender, RecordDispatcher
from triptych.producers.sending.limits import SendLimits
from triptych.producers.status.counters import Counters, SourceStatus
from triptych.schemas.codec import decode
from triptych.schemas.names import MODALITY_OF
from triptych.schemas.records import End, InputRecord, MediaRecord
from triptych.transport.errors import (
    BrokerUnavailableError,
    MessageRejectedError,
    NotAuthorizedError,
    PublishTimeoutError,
    TransportClosedError,
    TransportError,
)
from triptych.transport.records import Delivered, Message

MB = 1 << 20
LIMIT_S = 60.0


class ManualClock:
    """A clock that only the test moves, by less than a suspension at a time."""

    def __init__(self) -> None:
        self.monotonic = 0

    def now_ns(self) -> int:
        """Return a constant time."""
        return 0

    def monotonic_ns(self) -> int:
        """Return the time."""
        return self.monotonic

    def wait(self, stop: Event, duration_ns: int) -> None:
        """Not used."""


@dataclass
class Broker:
    """A publisher whose broker can be away, and can fail. The test and the dispatcher's thread share it."""

    is_away: bool = False
    refusal: TransportError | None = None
    outcome: TransportError | None = None
    refused: list[TransportError] = field(default_factory=list)
    records: list[InputRecord] = field(default_factory=list)
    pending: list[tuple[InputRecord, Future[Delivered]]] = field(default_factory=list)
    closed_after_s: float | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def send(self, message: Message) -> Future[Delivered]:
        """Take a message; acknowledge it unless the broker is away."""
        record = decode(message.key or b"", message.value, message.headers, modality=MODALITY_OF[message.topic])
        with self._lock:
            if self.refusal is not None:
                self.refused.append(self.refusal)
                raise self.refusal
            delivered: Future[Delivered] = Future()
            self.pending.append((record, delivered))
            if not self.is_away:
                self.acknowledge()
            return delivered

    def acknowledge(self) -> None:
        """Acknowledge all messages, in order."""
        with self._lock:
            pending, self.pending = self.pending, []
            for record, delivered in pending:
                if self.outcome is not None:
                    delivered.set_exception(self.outcome)
                else:
                    self.records.append(record)
                    delivered.set_result(Delivered("t", 0, 0))

    def flush(self, timeout_s: float) -> None:
        """Not used."""

    def close(self, timeout_s: float) -> None:
        """Fail what is not acknowledged."""
        self.closed_after_s = timeout_s
        for _, delivered in self.pending:
            delivered.set_exception(PublishTimeoutError("closed"))
        if self.pending:
            raise PublishTimeoutError("closed")


@dataclass
class Sending:
    """A dispatcher, its broker and clock, and feeds."""

    broker: Broker
    clock: ManualClock
    dispatcher: RecordDispatcher
    counters: dict[FeedSender, Counters] = field(default_factory=dict)

    def feed(self, *, drops: bool = True, stop: Event | None = None) -> FeedSender:
        """Open a feed."""
        counters = Counters("feed")
        feed = self.dispatcher.open(counters, stop or Event(), start_at_ns=0, drops=drops)
        self.counters[feed] = counters
        return feed

    def status(self, feed: FeedSender) -> SourceStatus:
        """Return the counts of a feed."""
        return self.counters[feed].status

    def pass_time(self, length_ns: int) -> None:
        """Move the clock on in small steps, each of which the dispatcher sees."""
        end_ns = self.clock.monotonic + length_ns
        while self.clock.monotonic < end_ns:
            self.clock.monotonic = min(end_ns, self.clock.monotonic + S // 5)
            self.dispatcher.check_limits()

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait for what the thread does."""
        deadline_s = time.monotonic() + LIMIT_S
        while not true():
            assert time.monotonic() < deadline_s, f"waited for {what}"
            time.sleep(0.01)


@contextmanager
def sending(limits: SendLimits | None = None, **broker: object) -> Iterator[Sending]:
    """Run a dispatcher. It is closed at the end, if the test has not done so."""
    clock = ManualClock()
    publisher = Broker(**broker)  # type: ignore[arg-type]
    made = Sending(publisher, clock, RecordDispatcher(publisher, RunningClock(clock), limits))
    try:
        yield made
    finally:
        publisher.is_away = False
        publisher.refusal = None
        publisher.acknowledge()
        made.dispatcher.close(LIMIT_S)


def end(second: int) -> End:
    """Return the end of the video."""
    return End(**COMMON, session="a", id="end", start_ns=second * S, next_ns=second * S, modality="video")


LIMITS = SendLimits(max_bytes=4 * MB, max_lag_ns=60 * S, max_in_flight_bytes=MB)


def offer(feed: FeedSender, second: int, *, picture_bytes: int = 1_000) -> None:
    """Send a picture, a chunk and a cue."""
    feed.send(video_frame(second, size=picture_bytes))
    feed.send(audio_chunk(second))
    feed.send(subtitle_cue(second))


def play(at: Sending, feed: FeedSender, seconds: range, *, picture_bytes: int) -> None:
    """Send one picture, chunk and cue a second."""
    for second in seconds:
        offer(feed, second, picture_bytes=picture_bytes)
        at.pass_time(S)


def test_a_long_outage_of_several_feeds_loses_no_words_and_ends_nothing() -> None:
    """What is kept is bounded in bytes and age; afterwards all is sent in order, and each record counted once."""
    with sending(LIMITS) as at, capture_logs() as logs:
        feeds = [at.feed() for _ in range(3)]
        for second in range(5):
            offer(feeds[0], second)
            at.until(lambda: feeds[0].is_settled, "the first records")
            at.pass_time(S)
        at.broker.is_away = True
        for feed in feeds:
            offer(feed, 8)
        # While the clock stands: the dispatcher hands nothing over to a broker that has been silent for a while.
        at.until(lambda: len(at.broker.pending) == 9, "the first records of the outage")
        at.pass_time(3 * S)
        kept: list[int] = []
        for minute in range(5):
            for feed in feeds:
                play(at, feed, range(10 + 100 * minute, 70 + 100 * minute), picture_bytes=40_000)
                kept.append(sum(one.kept_bytes for one in feeds))
        feeds[0].send(end(1_000))
        assert max(kept) <= LIMITS.max_bytes
        assert feeds[0].kept_ns is not None
        assert feeds[0].kept_ns >= 890 * S  # of the oldest words
        at.broker.is_away = False
        at.broker.acknowledge()
        at.until(lambda: all(feed.kept_bytes == 0 for feed in feeds), "the backlog")
        at.pass_time(11 * S)

    records = at.broker.records
    words = [one for one in records if one.modality == "subtitles"]
    statuses = [at.status(feed) for feed in feeds]
    assert len(words) == 5 + 3 * 301
    assert sum(isinstance(one, End) for one in records) == 1
    for status, offered in zip(statuses, (15 + 903, 903, 903), strict=True):
        lost = status.track_losses
        assert sum(loss.records for loss in lost.values()) == status.dropped
        assert {cause for _, cause in lost} == {"outage"}
        assert {modality for modality, _ in lost} == {"video", "audio"}
        media = offered - status.dropped
        assert media <= status.sent <= media + 5  # and the end, and watermarks of what was dropped
    events = [entry["event"] for entry in logs]
    assert events == ["send_limits", "broker_waiting", "records_dropped", "broker_answers", "dropping_ended"]
    assert (logs[0]["max_lag_s"], logs[0]["max_queue_mb"]) == (60, 4)
    assert logs[-1]["video"] + logs[-1]["audio"] == sum(status.dropped for status in statuses)


def test_a_transport_that_takes_nothing_is_tried_again() -> None:
    """An outage never ends a live feed; a file waits as long as it must."""
    with sending(refusal=BrokerUnavailableError("away")) as at:
        feed = at.feed()
        feed.send(video_frame(0))
        for refusal in (BrokerUnavailableError("away"), PublishTimeoutError("full")):
            at.broker.refusal = refusal
            at.until(lambda: at.broker.refused.count(refusal) == 2, "two attempts")  # noqa: B023 - ends here
        at.broker.refusal = None
        feed.send(video_frame(1))
        at.until(lambda: len(at.broker.records) == 2, "both")
        assert [one.id for one in at.broker.records] == ["v0", "v1"]


def test_a_file_waits_for_room_and_loses_nothing() -> None:
    """Until it must stop."""
    stop = Event()
    with sending(LIMITS, is_away=True) as at:
        feed = at.feed(drops=False, stop=stop)
        count = 3 * AHEAD_BYTES // 500_000
        playing = threading.Thread(target=lambda: [feed.send(video_frame(n, size=500_000)) for n in range(count)])
        playing.start()
        at.until(lambda: feed.kept_bytes >= AHEAD_BYTES, "the limit")
        assert feed.kept_ns is None
        assert feed.kept_bytes < AHEAD_BYTES + 600_000
        at.pass_time(300 * S)
        assert playing.is_alive()
        at.broker.is_away = False
        at.broker.acknowledge()
        playing.join(LIMIT_S)
        at.until(lambda: len(at.broker.records) == count, "all")
        assert at.status(feed).dropped == 0


def test_a_rejected_record_is_counted_and_the_others_arrive() -> None:
    """Whether it was rejected at once or later."""
    with sending(refusal=MessageRejectedError("too large")) as at, capture_logs() as logs:
        feed = at.feed()
        feed.send(video_frame(0))
        at.until(lambda: at.status(feed).dropped == 1, "the first")
        at.broker.refusal, at.broker.outcome = None, MessageRejectedError("refused")
        feed.send(video_frame(1))
        at.until(lambda: at.status(feed).dropped == 2, "the second")
        at.broker.outcome = None
        feed.send(video_frame(2))
        at.until(lambda: len(at.broker.records) == 1, "the third")
        assert at.status(feed).track_losses["video", "rejected"].records == 2
    assert [entry["id"] for entry in logs if entry["event"] == "record_rejected"] == ["v0", "v1"]


def test_a_failure_for_good_ends_the_feed_and_no_other() -> None:
    """It is raised with its next record."""
    with sending(outcome=NotAuthorizedError("no right to write")) as at:
        feed = at.feed()
        feed.send(video_frame(0))
        at.until(lambda: feed.failure is not None, "the failure")
        with pytest.raises(NotAuthorizedError):
            feed.send(video_frame(1))
        assert at.status(feed).track_losses["video", "stopped"].records == 1
        at.broker.outcome = None
        at.feed().send(video_frame(2))
        at.until(lambda: len(at.broker.records) == 1, "the other feed")


def test_what_is_not_sent_at_the_end_is_counted_and_told() -> None:
    """Queued or in flight."""
    with sending(LIMITS, is_away=True) as at, capture_logs() as logs:
        feed = at.feed()
        for number in range(4):
            feed.send(video_frame(number, size=50_000))
        at.until(lambda: len(at.broker.pending) == 1, "the first")
        with pytest.raises(PublishTimeoutError):
            at.dispatcher.close(0.5)
        at.broker.pending.clear()
    assert at.status(feed).track_losses["video", "stopped"].records == 4
    assert [(entry["event"], entry.get("video")) for entry in logs][1:] == [
        ("records_dropped", None),
        ("dropping_ended", 4),
    ]


def test_a_record_that_is_handed_over_while_the_dispatcher_closes_arrives() -> None:
    """It waits in no queue any more, but the publisher is closed only once it has it."""
    handed_over, closed = Event(), Event()

    class Slow(Broker):
        """A publisher that is slow to take a message, and takes none once it is closed."""

        def send(self, message: Message) -> Future[Delivered]:
            """Give the publisher time to be closed."""
            handed_over.set()
            if closed.wait(0.5):
                raise TransportClosedError("closed")
            return super().send(message)

        def close(self, timeout_s: float) -> None:
            """Take no more messages."""
            closed.set()
            super().close(timeout_s)

    broker = Slow()
    dispatcher = RecordDispatcher(broker, RunningClock(ManualClock()))
    counters = Counters("feed")
    dispatcher.open(counters, Event(), start_at_ns=0, drops=True).send(video_frame(0))
    assert handed_over.wait(LIMIT_S)
    dispatcher.close(LIMIT_S)
    assert [one.id for one in broker.records] == ["v0"]
    assert counters.status.dropped == 0


def test_a_record_that_the_publisher_does_not_take_before_it_is_closed_is_counted() -> None:
    """It was given back after the queue had been emptied."""
    handed_over, closed = Event(), Event()

    class Full(Broker):
        """A publisher that has no room until it is closed."""

        def send(self, message: Message) -> Future[Delivered]:  # noqa: ARG002 - never sent
            """Wait for room in vain."""
            handed_over.set()
            assert closed.wait(LIMIT_S)
            raise PublishTimeoutError("full")

        def close(self, timeout_s: float) -> None:  # noqa: ARG002 - it has nothing to wait for
            """End the waiting."""
            closed.set()

    dispatcher = RecordDispatcher(Full(), RunningClock(ManualClock()))
    counters = Counters("feed")
    feed = dispatcher.open(counters, Event(), start_at_ns=0, drops=True)
    feed.send(video_frame(0))
    assert handed_over.wait(LIMIT_S)
    with pytest.raises(PublishTimeoutError, match="1 records were not sent"):
        dispatcher.close(0.01)
    assert counters.status.track_losses["video", "stopped"].records == 1
    assert feed.kept_bytes == 0


def test_a_missed_record_is_counted_and_its_watermark_sent() -> None:
    """So windows close without it."""
    with sending() as at:
        feed = at.feed()
        feed.skip(video_frame(7))
        at.until(lambda: len(at.broker.records) == 1, "the watermark")
        (progress,) = at.broker.records
        assert not isinstance(progress, MediaRecord)
        assert progress.watermark_ns == video_frame(7).watermark_ns
        assert at.status(feed).track_losses["video", "suspended"].records == 1
