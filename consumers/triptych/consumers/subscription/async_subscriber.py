"""The same subscriptions for programs built on asyncio.

    async with AsyncSubscriber.from_redis("redis://127.0.0.1:6379/0") as subscriber:
        async for result in subscriber.results("city"):
            print(result.start_ns, result.observations.words)

What a `Subscriber` promises holds here too, as it does the work: one thread for each subscription waits for the server,
the event loop takes what it fetched. An `await` that is cancelled (`asyncio.timeout`) loses no result.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Final, Self

from triptych.consumers.subscription.cursor import Cursor, Since, parse_since
from triptych.consumers.subscription.result_source import Gap
from triptych.consumers.subscription.subscriber import Counts, Delivery, Results, Revisions, Subscriber
from triptych.schemas.names import DEFAULT_PIPELINE, checked_stream
from triptych.schemas.results import Result
from triptych.transport.protocols import Transport


class AsyncResults(AsyncIterator[Result]):
    """The results of one subscription; it begins with the first step, or with `async with`."""

    def __init__(self, begin: Callable[[], Results], ended: Callable[[AsyncResults], None]) -> None:
        self._begin = begin
        self._ended = ended
        self._results: Results | None = None
        self._closed = False
        self._thread: Final = ThreadPoolExecutor(1, thread_name_prefix="triptych-results")
        self._waiting: asyncio.Future[bool] | None = None
        """A step of the thread; one whose waiter was cancelled is waited for by the next."""

    @property
    def cursor(self) -> Cursor | None:
        """How far was read, as of `Results`; None before the subscription has begun."""
        return None if self._results is None else self._results.cursor

    async def __anext__(self) -> Result:
        """Wait for the next result; end when stopped, or at the end that was asked for."""
        delivery = await self._next()
        if delivery is None:
            raise StopAsyncIteration
        return delivery.result

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """Iterate over the same results with their JSON; the two may be mixed."""
        while (delivery := await self._next()) is not None:
            yield delivery

    def stop(self) -> None:
        """End the iteration soon; never waits."""
        self._closed = True
        if self._results is not None:
            self._results.stop()

    async def close(self) -> None:
        """Stop, and let go of what the subscription holds; closing twice does nothing."""
        self.stop()
        self._ended(self)
        if self._waiting is not None:
            await asyncio.wait([self._waiting])
        if self._results is not None:
            await asyncio.to_thread(self._results.close)
        self._thread.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        while self._results is None and not self._closed:
            await self._wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _next(self) -> Delivery | None:
        while True:
            delivery = None if self._results is None else self._results.take()
            if delivery is not None:
                return delivery
            if self._closed or not await self._wait():
                await self.close()
                return None

    async def _wait(self) -> bool:
        """Let the thread make a step; say whether there can be more."""
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().run_in_executor(self._thread, self._step)
        try:
            # A thread cannot be cancelled. What it fetches stays with the subscription, so nothing is lost.
            return await asyncio.shield(self._waiting)
        finally:
            if self._waiting.done():
                self._waiting = None

    def _step(self) -> bool:
        if self._results is None:
            self._results = self._begin()
            return True
        return self._results.fetch()


class AsyncSubscriber:
    """Read the results of one pipeline in an event loop; any number of subscriptions at once."""

    def __init__(self, subscriber: Subscriber) -> None:
        """Take over a subscriber; it is closed with this one. Its `on_gap` is called in the event loop."""
        self._subscriber = subscriber
        self._open: set[AsyncResults] = set()

    @classmethod
    def from_redis(
        cls, url: str, *, pipeline: str = DEFAULT_PIPELINE, on_gap: Callable[[Gap], None] | None = None
    ) -> Self:
        """Read what Redis keeps; nothing is sent before the first subscription."""
        return cls(Subscriber.from_redis(url, pipeline=pipeline, on_gap=on_gap))

    @classmethod
    def from_kafka(
        cls, bootstrap_servers: str, *, pipeline: str = DEFAULT_PIPELINE, on_gap: Callable[[Gap], None] | None = None
    ) -> Self:
        """Read the results topic; nothing is sent before the first subscription."""
        return cls(Subscriber.from_kafka(bootstrap_servers, pipeline=pipeline, on_gap=on_gap))

    @classmethod
    def from_transport(
        cls, transport: Transport, *, pipeline: str = DEFAULT_PIPELINE, on_gap: Callable[[Gap], None] | None = None
    ) -> Self:
        """Read the results topic over a transport that stays the caller's to close."""
        return cls(Subscriber.from_transport(transport, pipeline=pipeline, on_gap=on_gap))

    @property
    def counts(self) -> Counts:
        """What all subscriptions together have met so far."""
        return self._subscriber.counts

    def results(
        self,
        stream: str | None = None,
        since: Since | None = None,
        *,
        until_end: bool = False,
        revisions: Revisions = "newest",
    ) -> AsyncResults:
        """Subscribe, as `Subscriber.results` does; the server is asked with the first step.

        `async with subscriber.results(…) as results` asks it on entering, which matters for `since="now"`.

        Raises:
            UsageError: `stream` or `since` cannot be.
        """
        only = None if stream is None else checked_stream(stream)
        start = parse_since(since)
        begin = partial(self._subscriber.results, only, start, until_end=until_end, revisions=revisions)
        results = AsyncResults(begin, self._open.discard)
        self._open.add(results)
        return results

    def stop(self) -> None:
        """End all subscriptions soon; never waits."""
        for results in tuple(self._open):
            results.stop()

    async def close(self) -> None:
        """End all subscriptions and let go of the source; closing twice does nothing."""
        for results in tuple(self._open):
            await results.close()
        await asyncio.to_thread(self._subscriber.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
