"""Subscribe to the results of a pipeline, from Redis, from Kafka or within one process.

    with Subscriber.from_redis("redis://127.0.0.1:6379/0") as subscriber:
        for result in subscriber.results("city"):
            print(result.start_ns, result.observations.words)

Each result comes once: repeats are dropped by id, as far back as `REMEMBERED_IDS`. Of a window that was issued again
the newest revision comes: a result that a newer one is known to follow is left out unless all are asked for. What is
no result is skipped, counted and logged; what was deleted before it was read is told to `on_gap` too.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self

import structlog

from triptych.consumers.subscription.cursor import Cursor, Since, parse_since
from triptych.consumers.subscription.recent_ids import RecentIds, RecentRevisions
from triptych.consumers.subscription.result_source import FeedEvent, Found, Gap, Malformed, ResultFeed, ResultSource
from triptych.schemas.names import DEFAULT_PIPELINE, checked_pipeline, checked_stream
from triptych.schemas.results import Result
from triptych.transport.protocols import Transport

log = structlog.get_logger(__name__)

REMEMBERED_IDS: Final = 65_536
Revisions = Literal["newest", "all"]
"""Which results to pass on of a window that was issued again."""

POLL_LIMIT_S: Final = 0.25
"""How long a stop may take to be noticed."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A result and its JSON exactly as the worker published it."""

    result: Result
    document: bytes


@dataclass(slots=True)
class Counts:
    """What a subscription has met so far."""

    delivered: int = 0
    repeated: int = 0
    superseded: int = 0
    """Results left out because a newer revision of their window was known already."""
    malformed: int = 0
    missed: int = 0
    """Results known to be deleted before they were read."""
    gaps: int = 0
    """How often that happened, also where the number is not known."""


@dataclass(slots=True)
class _Shared:
    """What the subscriptions of one subscriber share."""

    on_gap: Callable[[Gap], None] | None
    counts: Counts = field(default_factory=Counts)
    open: dict[int, Results] = field(default_factory=dict)
    """Those to be ended with the subscriber. Changed by single operations only: any thread may end one."""


class Results(Iterator[Result]):
    """The results of one subscription, in the order of their publication by stream.

    Iterate in one thread at a time; `stop` and `close` may be called from any.
    """

    def __init__(self, feed: ResultFeed, shared: _Shared, *, revisions: Revisions = "newest") -> None:
        self._feed = feed
        self._revised = RecentRevisions(REMEMBERED_IDS) if revisions == "newest" else None
        self._shared = shared
        self._events: deque[FeedEvent] = deque()
        self._read: dict[str, str] = {}
        self._recent = RecentIds(REMEMBERED_IDS)
        # A plain flag: it is set from signal handlers too, which must not take a lock.
        self._stopped = False
        self._closed = False
        self._polling = threading.Lock()
        shared.open[id(self)] = self

    @property
    def cursor(self) -> Cursor:
        """How far was read: `since` of a later subscription, which goes on behind the last result taken here."""
        return self._feed.cursor(self._read)

    def __next__(self) -> Result:
        """Wait for the next result; end when stopped, or at the end that was asked for."""
        return self._next().result

    def deliveries(self) -> Iterator[Delivery]:
        """Iterate over the same results with their JSON; the two may be mixed."""
        while True:
            try:
                yield self._next()
            except StopIteration:
                return

    def stop(self) -> None:
        """End the iteration soon; for other threads and signal handlers, as it never waits."""
        self._stopped = True

    def close(self) -> None:
        """Stop, and let go of what the subscription holds; an iteration that ends has done so itself."""
        self.stop()
        with self._polling:
            if not self._closed:
                self._closed = True
                self._shared.open.pop(id(self), None)
                self._feed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def take(self) -> Delivery | None:
        """Take the next result of those fetched, without waiting; None where there is none, or after a stop."""
        while self._events and not self._stopped:
            delivery = self._take(self._events.popleft())
            if delivery is not None:
                return delivery
        return None

    def fetch(self) -> bool:
        """Wait a moment for more to take; say whether there can be any. Another thread than the one that takes may."""
        with self._polling:
            if self._stopped or self._closed or self._feed.done():
                return False
            events = self._feed.poll(POLL_LIMIT_S)
            if self._revised is not None:
                for event in events:
                    if isinstance(event, Found):
                        self._revised.note(event.result)
            self._events.extend(events)
        return True

    def _next(self) -> Delivery:
        delivery = self.take()
        while delivery is None and self.fetch():
            delivery = self.take()
        if delivery is None:
            self.close()
            raise StopIteration
        return delivery

    def _take(self, event: FeedEvent) -> Delivery | None:
        self._read[event.place] = event.position
        match event:
            case Found() if self._revised is not None and self._revised.is_superseded(event.result):
                self._shared.counts.superseded += 1
            case Found() if self._recent.add(event.result.id):
                self._shared.counts.delivered += 1
                return Delivery(event.result, event.document)
            case Found():
                self._shared.counts.repeated += 1
            case Malformed():
                self._shared.counts.malformed += 1
                log.warning("result_malformed", place=event.place, position=event.position, reason=str(event.error))
            case Gap():
                self._note(event)
        return None

    def _note(self, gap: Gap) -> None:
        self._shared.counts.gaps += 1
        self._shared.counts.missed += gap.missed or 0
        log.warning(
            "results_missed",
            place=gap.place,
            missed=gap.missed,
            hint="they were deleted before they were read: read faster, or keep more",
        )
        if self._shared.on_gap is not None:
            self._shared.on_gap(gap)


class Subscriber:
    """Read the results of one pipeline; any number of subscriptions at once."""

    def __init__(self, source: ResultSource, *, on_gap: Callable[[Gap], None] | None = None) -> None:
        """Subscribe to a source.

        Args:
            source: where the results lie; it is closed with the subscriber.
            on_gap: called, by the thread that iterates, for results that were deleted before they were read.
        """
        self._source = source
        self._shared = _Shared(on_gap)

    @classmethod
    def from_redis(
        cls, url: str, *, pipeline: str = DEFAULT_PIPELINE, on_gap: Callable[[Gap], None] | None = None
    ) -> Self:
        """Read what Redis keeps; nothing is sent before the first subscription."""
        from triptych.consumers.subscription.redis_source import RedisSource  # noqa: PLC0415 - an extra: only who uses it needs it

        return cls(RedisSource(url, pipeline=checked_pipeline(pipeline)), on_gap=on_gap)

    @classmethod
    def from_kafka(
        cls, bootstrap_servers: str, *, pipeline: str = DEFAULT_PIPELINE, on_gap: Callable[[Gap], None] | None = None
    ) -> Self:
        """Read the results topic; nothing is sent before the first subscription."""
        from triptych.consumers.subscription.topic_source import TopicSource  # noqa: PLC0415 - as above
        from triptych.settings.kafka import KafkaSettings  # noqa: PLC0415 - as above
        from triptych.transport.kafka.transport import KafkaTransport  # noqa: PLC0415 - as above

        transport = KafkaTransport(KafkaSettings(bootstrap_servers=bootstrap_servers))
        return cls(TopicSource(transport, pipeline=checked_pipeline(pipeline), owns_transport=True), on_gap=on_gap)

    @classmethod
    def from_transport(
        cls, transport: Transport, *, pipeline: str = DEFAULT_PIPELINE, on_gap: Callable[[Gap], None] | None = None
    ) -> Self:
        """Read the results topic over a transport that stays the caller's to close."""
        from triptych.consumers.subscription.topic_source import TopicSource  # noqa: PLC0415 - as above

        return cls(TopicSource(transport, pipeline=checked_pipeline(pipeline)), on_gap=on_gap)

    @property
    def counts(self) -> Counts:
        """What all subscriptions together have met so far."""
        return self._shared.counts

    def results(
        self,
        stream: str | None = None,
        since: Since | None = None,
        *,
        until_end: bool = False,
        revisions: Revisions = "newest",
    ) -> Results:
        """Subscribe.

        Args:
            stream: one stream; all of them, those that appear later too, if not given.
            since: a cursor to go on from, a moment of publication, or `now`; all there is, if not given.
            until_end: end with what there is now.
            revisions: of a window that was issued again the newest that is known when its turn comes, or all. What was
                passed on before its revision came is followed by it: the same window, a higher `revision`.

        Raises:
            UsageError: `stream` or `since` cannot be.
            TriptychError: the server does not answer now, or refuses us. Once begun, a subscription waits for a
                server that is away, and goes on where it was.
        """
        only = None if stream is None else checked_stream(stream)
        feed = self._source.open(parse_since(since), stream=only, until_end=until_end)
        return Results(feed, self._shared, revisions=revisions)

    def stop(self) -> None:
        """End all subscriptions soon; for other threads and signal handlers, as it never waits."""
        for results in tuple(self._shared.open.values()):
            results.stop()

    def close(self) -> None:
        """End all subscriptions and let go of the source; closing twice does nothing."""
        for results in tuple(self._shared.open.values()):
            results.close()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
