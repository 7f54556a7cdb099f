"""Run what blocks in a few threads, so that the event loop never waits; bounded, and equal requests share one run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Final, TypeVar

from triptych.consumers.page.problems import PageProblemError

_MOST_WAITING: Final = 200

Value = TypeVar("Value")


class BlockingCalls:
    """A few threads for one kind of work."""

    def __init__(self, name: str, threads: int, *, most_waiting: int = _MOST_WAITING) -> None:
        """Start threads when they are needed."""
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"page-{name}")
        self._most = threads + most_waiting
        self._running: dict[Hashable, asyncio.Future[Any]] = {}

    async def run(self, key: Hashable, call: Callable[[], Value]) -> Value:
        """Return what a call returns, or raise what it raises. A call with the same key that runs is not repeated.

        Raises:
            PageProblemError: too many calls wait.
        """
        running = self._running.get(key)
        if running is None:
            if len(self._running) >= self._most:
                raise PageProblemError(
                    HTTPStatus.SERVICE_UNAVAILABLE, "too much is asked at once", "wait a moment", retry_after_s=2
                )
            running = asyncio.get_running_loop().run_in_executor(self._executor, call)
            self._running[key] = running
            running.add_done_callback(lambda done: self._forget(key, done))
        # One who leaves must not end the call for the others, so nobody's cancellation reaches it.
        return await asyncio.shield(running)

    def close(self) -> None:
        """Start no more calls. Those that run end by themselves."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _forget(self, key: Hashable, done: asyncio.Future[Any]) -> None:
        self._running.pop(key, None)
        if not done.cancelled():
            done.exception()  # whoever waits raises it; nobody may be left
