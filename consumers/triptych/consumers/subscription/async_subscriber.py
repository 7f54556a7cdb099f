"""Subscriptions for programs built on asyncio.

    async with AsyncSubscriber.from_redis("redis://127.0.0.1:6379/0") as subscriber:
        async for result in subscriber.results("city"):
            print(result.start_ns, result.observations.words)

The guarantees are those of `Subscriber`, which does the work. Each subscription has one thread, which waits for the
server; the event loop takes what the thread has fetched. Cancelling an `await` (`asyncio.timeout`) loses no result.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Final, Self

from triptych.consumers.subscription.cursor import Cursor, Since, parse_since
from triptych.consumers.subscription.result_buffer import Counts, Delivery, Revisions
from triptych.consumers.subscription.result_source import Gap
from triptych.consumers.subscription.subscriber import Results, Subscriber
from triptych.schemas.names import DEFAULT_PIPELINE, checked_stream
from triptych.schemas.results import Result
from triptych.transport.protocols import Transport


class AsyncResults(AsyncIterator[Result]):
    """The results of one subscription. It starts with the first step, or with `async with`."""

    def __init__(self, start: Callable[[], Results], on_close: Callable[[AsyncResults], None]) -> None:
        self._start = start
        self._on_close = on_close
        self._results: Results | None = None
        self._closed = False
        self._thread: Final = ThreadPoolExecutor(1, thread_name_prefix="triptych-results")
        self._pending_step: asyncio.Future[bool] | None = None
        """The thread's current step. If its waiter is cancelled, the next waiter awaits the same step."""

    @property
    def cursor(self) -> Cursor | None:
        """The position after the last result taken; None before the subscription has started."""
        return None if self._results is None else self._results.cursor

    async def __anext__(self) -> Result:
        """Wait for the next result. The iteration ends after a stop, or at the end if there is one."""
        delivery = await self._next()
        if delivery is None:
            raise StopAsyncIteration
        return delivery.result

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """Iterate over the same results with their JSON. The two iterators may be mixed."""
        while (delivery := await self._next()) is not None:
            yield delivery

    def stop(self) -> None:
        """Request the end of the iteration. Never blocks."""
        self._closed = True
        if self._results is not None:
            self._results.stop()

    async def close(self) -> None:
        """Stop, and release the subscription. Closing twice does nothing."""
        self.stop()
        self._on_close(self)
        if self._pending_step is not None:
            await asyncio.wait([self._pending_step])
        if self._results is not None:
            await asyncio.to_thread(self._results.close)
        self._thread.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        while self._results is None and not self._closed:
            await self._run_step()
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
            if self._closed or not await self._run_step():
                await self.close()
                return None

    async def _run_step(self) -> bool:
        """Run one step in the thread and return whether there can be more."""
        if self._pending_step is None:
            self._pending_step = asyncio.get_running_loop().run_in_executor(self._thread, self._step)
        try:
            # A thread cannot be cancelled. What it fetches stays with the subscription, so nothing is lost.
            return await asyncio.shield(self._pending_step)
        finally:
            if self._pending_step.done():
                self._pending_step = None

    def _step(self) -> bool:
        if self._results is None:
            self._results = self._start()
            return True
        return self._results.fetch()


class AsyncSubscriber:
    """Reads the results of one pipeline in an event loop. It can have any number of subscriptions at once."""

    def __init__(self, subscriber: Subscriber) -> None:
        """Wrap a subscriber, and close it with this one. Its `on_gap` is called in the event loop."""
        self._subscriber = subscriber
        self._open: set[AsyncResults] = set()

    @classmethod
    def from_redis(
        cls, url: str, *, pipeline: str = DEFAULT_PIPELINE, on_gap: Callable[[Gap], None] | None = None
    ) -> Self:
        """Read the results that Redis holds. Nothing is sent before the first subscription."""
        return cls(Subscriber.from_redis(url, pipeline=pipeline, on_gap=on_gap))

    @classmethod
    def from_kafka(
        cls, bootstrap_servers: str, *, pipeline: str = DEFAULT_PIPELINE, on_gap: Callable[[Gap], None] | None = None
    ) -> Self:
        """Read the results topic. Nothing is sent before the first subscription."""
        return cls(Subscriber.from_kafka(bootstrap_servers, pipeline=pipeline, on_gap=on_gap))

    @classmethod
    def from_transport(
        cls, transport: Transport, *, pipeline: str = DEFAULT_PIPELINE, on_gap: Callable[[Gap], None] | None = None
    ) -> Self:
        """Read the results topic over a transport, which the caller closes."""
        return cls(Subscriber.from_transport(transport, pipeline=pipeline, on_gap=on_gap))

    @property
    def counts(self) -> Counts:
        """Counters over all subscriptions."""
        return self._subscriber.counts

    def results(
        self,
        stream: str | None = None,
        since: Since | None = None,
        *,
        until_end: bool = False,
        until: Cursor | None = None,
        revisions: Revisions = "newest",
    ) -> AsyncResults:
        """Return a subscription with the arguments of `Subscriber.results`. Its first step contacts the server.

        `async with subscriber.results(…) as results` contacts it on entry, which matters for `since="now"`.

        Raises:
            UsageError: `stream` or `since` is invalid.
        """
        only = None if stream is None else checked_stream(stream)
        start_at = parse_since(since)
        start = partial(self._subscriber.results, only, start_at, until_end=until_end, until=until, revisions=revisions)
        results = AsyncResults(start, self._open.discard)
        self._open.add(results)
        return results

    def stop(self) -> None:
        """Request the end of all subscriptions. Never blocks."""
        for results in tuple(self._open):
            results.stop()

    async def close(self) -> None:
        """End all subscriptions and close the source. Closing twice does nothing."""
        for results in tuple(self._open):
            await results.close()
        await asyncio.to_thread(self._subscriber.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
