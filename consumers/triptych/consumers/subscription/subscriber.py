"""Subscribe to the results of a pipeline, from Redis, from Kafka or over any other transport.

    with Subscriber.from_redis("redis://127.0.0.1:6379/0") as subscriber:
        for result in subscriber.results("city"):
            print(result.start_ns, result.observations.words)

A subscription delivers each result once: it drops duplicates by id, as far back as `REMEMBERED_IDS`. Of a revised
window it delivers the newest known revision, unless all revisions are requested. It skips, counts and logs entries that
are not valid results. It counts and logs results that were deleted before they were read, and reports them to `on_gap`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from triptych.consumers.subscription.cursor import Cursor, Since, parse_since
from triptych.consumers.subscription.result_buffer import Counts, Delivery, ResultBuffer, Revisions
from triptych.consumers.subscription.result_source import Gap, GapCause, MalformedEvent, ResultFeed, ResultSource
from triptych.consumers.subscription.sources import kafka_source, redis_source, transport_source
from triptych.schemas.names import DEFAULT_PIPELINE, checked_stream

if TYPE_CHECKING:  # importing a subscriber must not import pydantic
    from triptych.consumers.subscription.result_tracer import ResultTracer
    from triptych.schemas.results import Result
    from triptych.transport.protocols import Transport

POLL_TIMEOUT_S: Final = 0.25
"""The longest time until a subscription notices a stop."""
_HINTS: Final[dict[GapCause, str]] = {
    "deleted": "the results were deleted before they were read: read faster, or increase the retention",
    "truncated": "the log ends before the results that were read last: it was truncated, or its topic created again",
    "recreated": "the results topic was deleted and created again: the new one is read from its beginning",
}


@dataclass(slots=True)
class _SharedState:
    """What all subscriptions of one subscriber share."""

    on_gap: Callable[[Gap], None] | None
    tracer: ResultTracer | None = None
    counts: Counts = field(default_factory=Counts)
    open: dict[int, Results] = field(default_factory=dict)
    """The subscriptions to end with the subscriber. Changed by atomic operations only: any thread may end one."""

    def report(self, problem: MalformedEvent | Gap) -> None:
        """Log a problem; call `on_gap` for a gap."""
        import structlog  # noqa: PLC0415 - half of what importing a subscriber would cost

        log = structlog.get_logger(__name__)
        if isinstance(problem, MalformedEvent):
            reason = str(problem.error)
            log.warning("result_malformed", place=problem.place, position=problem.position, reason=reason)
            return
        if problem.cause == "recreated":
            log.warning("results_topic_recreated", topic_id=problem.position, hint=_HINTS[problem.cause])
        else:
            log.warning("results_missed", place=problem.place, missed=problem.missed, hint=_HINTS[problem.cause])
        if self.on_gap is not None:
            self.on_gap(problem)


class Results(Iterator["Result"]):
    """The results of one subscription. Each stream's results come in the order of their publication.

    Only one thread may iterate at a time. Any thread may call `stop` and `close`.
    """

    def __init__(self, feed: ResultFeed, shared: _SharedState, *, revisions: Revisions = "newest") -> None:
        self._feed = feed
        self._shared = shared
        self._buffer = ResultBuffer(shared.counts, revisions=revisions)
        # A plain flag: signal handlers set it, and they must not acquire a lock.
        self._stopped = False
        self._closed = False
        self._polling = threading.Lock()
        self._end_span: Callable[[], None] | None = None
        shared.open[id(self)] = self

    @property
    def cursor(self) -> Cursor:
        """The position after the last result taken. Pass it as `since` to continue from there."""
        return self._feed.cursor(self._buffer.positions)

    def __next__(self) -> Result:
        """Block until the next result. The iteration ends after a stop, or at the end if there is one."""
        return self._next().result

    def deliveries(self) -> Iterator[Delivery]:
        """Iterate over the same results with their JSON. The two iterators may be mixed."""
        while True:
            try:
                yield self._next()
            except StopIteration:
                return

    def stop(self) -> None:
        """Request the end of the iteration. Never blocks; safe in other threads and in signal handlers."""
        self._stopped = True

    def close(self) -> None:
        """Stop, and release the feed. An iteration that reaches its end closes itself."""
        self.stop()
        self._finish_span()
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
        """Return the next fetched result without blocking; None if there is none, or after a stop."""
        self._finish_span()  # whoever asks for the next result is done with this one
        while not self._stopped:
            taken = self._buffer.take()
            if isinstance(taken, Delivery) and self._shared.tracer is not None:
                self._end_span = self._shared.tracer.taken(taken.result)
            if taken is None or isinstance(taken, Delivery):
                return taken
            self._shared.report(taken)
        return None

    def fetch(self) -> bool:
        """Block up to `POLL_TIMEOUT_S` to fetch results for `take`; return whether there can be more.

        May run in another thread than `take`.
        """
        with self._polling:
            if self._stopped or self._closed or self._feed.done():
                return False
            self._buffer.add(self._feed.poll(POLL_TIMEOUT_S))
        return True

    def _finish_span(self) -> None:
        end_span, self._end_span = self._end_span, None
        if end_span is not None:
            end_span()

    def _next(self) -> Delivery:
        delivery = self.take()
        while delivery is None and self.fetch():
            delivery = self.take()
        if delivery is None:
            self.close()
            raise StopIteration
        return delivery


class Subscriber:
    """Reads the results of one pipeline. It can have any number of subscriptions at once."""

    def __init__(
        self,
        source: ResultSource,
        *,
        on_gap: Callable[[Gap], None] | None = None,
        tracer: ResultTracer | None = None,
    ) -> None:
        """Create a subscriber over a source.

        Args:
            source: the store that holds the results; closed with the subscriber.
            on_gap: called in the iterating thread for results that were deleted before they were read.
            tracer: makes a span for each result of a traced window; the caller closes its exporter.
        """
        self._source = source
        self._shared = _SharedState(on_gap, tracer)

    @classmethod
    def from_redis(
        cls, url: str, *, pipeline: str = DEFAULT_PIPELINE, on_gap: Callable[[Gap], None] | None = None
    ) -> Self:
        """Read the results that Redis holds. Nothing is sent before the first subscription."""
        return cls(redis_source(url, pipeline=pipeline), on_gap=on_gap)

    @classmethod
    def from_kafka(
        cls, bootstrap_servers: str, *, pipeline: str = DEFAULT_PIPELINE, on_gap: Callable[[Gap], None] | None = None
    ) -> Self:
        """Read the results topic. Nothing is sent before the first subscription."""
        return cls(kafka_source(bootstrap_servers, pipeline=pipeline), on_gap=on_gap)

    @classmethod
    def from_transport(
        cls, transport: Transport, *, pipeline: str = DEFAULT_PIPELINE, on_gap: Callable[[Gap], None] | None = None
    ) -> Self:
        """Read the results topic over a transport, which the caller closes."""
        return cls(transport_source(transport, pipeline=pipeline), on_gap=on_gap)

    @property
    def counts(self) -> Counts:
        """Counters over all subscriptions."""
        return self._shared.counts

    def results(
        self,
        stream: str | None = None,
        since: Since | None = None,
        *,
        until_end: bool = False,
        until: Cursor | None = None,
        revisions: Revisions = "newest",
    ) -> Results:
        """Start a subscription. After the start it waits for a server that becomes unavailable, and then continues.

        Args:
            stream: one stream; if not given, all streams, including those that appear later.
            since: a cursor, a publication time, or `now`; if not given, everything that is kept.
            until_end: end at the last result that exists now.
            until: end where a subscription to the same streams had this cursor: a second pass over the same results.
            revisions: which results of a revised window to deliver: the newest known when its turn comes, or all. A
                result that was already delivered is followed by its revision: the same window, a higher `revision`.

        Raises:
            UsageError: `stream`, `since` or `until` is invalid.
            TriptychError: the server is unavailable, or rejected the request.
        """
        only = None if stream is None else checked_stream(stream)
        feed = self._source.open(parse_since(since), stream=only, until_end=until_end, until=until)
        return Results(feed, self._shared, revisions=revisions)

    def stop(self) -> None:
        """Request the end of all subscriptions. Never blocks; safe in other threads and in signal handlers."""
        for results in tuple(self._shared.open.values()):
            results.stop()

    def close(self) -> None:
        """End all subscriptions and close the source. Closing twice does nothing."""
        for results in tuple(self._shared.open.values()):
            results.close()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
