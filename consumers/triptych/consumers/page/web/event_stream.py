"""The stream of changes of one client, as server-sent events. It never holds more than one change of each thing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from triptych.consumers.page.api_types import ApiBody, HealthCounts, StreamGone
from triptych.consumers.page.problems import PageProblemError
from triptych.consumers.page.state.broadcast import CursorGoneError
from triptych.consumers.page.state.change_queue import ChangeKey, ChangeQueue
from triptych.consumers.page.state.page_cursor import parse_page_cursor
from triptych.consumers.page.state.page_state import PageState
from triptych.consumers.page.web.access import PageUser
from triptych.schemas.errors import UsageError

_FLUSH_S: Final = 0.25
"""How often the changes of a feed are sent at most."""
_HEALTH_S: Final = 5.0
_PING_S: Final = 15
_SEND_LIMIT_S: Final = 60.0
_RETRY_MS: Final = 1_000
_MOST_CLIENTS: Final = 200
_MOST_OF_USER: Final = 20


@dataclass(frozen=True, slots=True)
class StreamParts:
    """What a stream of changes needs.

    Attributes:
        state: what changes.
        health: returns the counts for a user.
        stop: set when the server stops.
        flush_s: how long changes are collected before they are sent.
    """

    state: PageState
    health: Callable[[PageUser], HealthCounts]
    stop: asyncio.Event
    flush_s: float = _FLUSH_S


class EventStreams:
    """Opens streams of changes, and bounds their number."""

    def __init__(self, parts: StreamParts) -> None:
        """Open nothing yet."""
        self._parts = parts
        self._open: list[str] = []

    def __len__(self) -> int:
        """Return how many streams are open."""
        return len(self._open)

    def open(self, request: Request, user: PageUser) -> EventStreamResponse:
        """Return the stream of a request: after the cursor of the query, or that of the event received last.

        Raises:
            PageProblemError: too many streams are open, or reading has not begun: the cursor cannot be judged yet.
        """
        if not self._parts.state.has_begun:
            raise PageProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the page has just started, and does not know the results topic yet",
                "wait a moment, and try again with the same cursor",
                retry_after_s=1,
            )
        if len(self._open) >= _MOST_CLIENTS or self._open.count(user.name) >= _MOST_OF_USER:
            raise PageProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"too many pages are open: at most {_MOST_OF_USER} of a user, and {_MOST_CLIENTS} of all",
                "close the page in another tab",
                retry_after_s=30,
            )
        cursor = request.headers.get("last-event-id") or request.query_params.get("cursor", "")
        return EventStreamResponse(self._events(user, cursor))

    async def _events(self, user: PageUser, cursor: str) -> AsyncIterator[ServerSentEvent]:
        self._open.append(user.name)
        try:
            async for event in _changes(self._parts, user, cursor):
                yield event
        finally:
            self._open.remove(user.name)


class EventStreamResponse:
    """The response with a stream. A client that takes nothing for a minute is let go: it comes back by its cursor."""

    def __init__(self, events: AsyncIterator[ServerSentEvent]) -> None:
        self._response = EventSourceResponse(events, ping=_PING_S, send_timeout=_SEND_LIMIT_S, sep="\n")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until the client leaves, or the server stops."""
        try:
            await self._response(scope, receive, send)
        except* SendTimeoutError:
            pass  # the connection ends unfinished, as one that broke


async def _changes(parts: StreamParts, user: PageUser, cursor: str) -> AsyncIterator[ServerSentEvent]:
    state = parts.state
    try:
        start = parse_page_cursor(cursor) if cursor else state.cursor()
        queue = state.listen(start, user.may_see)
    except (CursorGoneError, UsageError) as gone:
        yield _event("gone", StreamGone(reason=str(gone)))
        return
    try:
        yield ServerSentEvent(comment="open", retry=_RETRY_MS)
        async for event in _from_queue(parts, user, queue):
            yield event
    finally:
        state.leave(queue)


async def _from_queue(parts: StreamParts, user: PageUser, queue: ChangeQueue) -> AsyncIterator[ServerSentEvent]:
    state = parts.state
    health_due_s = 0.0
    while not parts.stop.is_set():
        if queue.overflown:
            yield _event("gone", StreamGone(reason="more changed than is kept for a client that reads so slowly"))
            return
        if time.monotonic() >= health_due_s:
            yield _event("health", parts.health(user))
            health_due_s = time.monotonic() + _HEALTH_S
        # Only what waits now: while a slow client takes it, more may come, and other events are due too.
        for _ in range(len(queue)):
            key = queue.take()
            body = None if key is None else _body(state, key)
            if key is not None and body is not None:
                yield ServerSentEvent(event=key.kind, id=str(state.cursor(queue.places())), data=body)
        await _wait(parts.stop, parts.flush_s)
        await queue.wait(max(0.0, min(health_due_s - time.monotonic(), 1.0)))


async def _wait(stop: asyncio.Event, limit_s: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), limit_s)
    except TimeoutError:
        return


def _body(state: PageState, key: ChangeKey) -> str | None:
    if key.kind == "tile":
        return state.tile_json(key.name)
    review = state.review(key.name)
    return None if review is None else review.model_dump_json()


def _event(kind: str, body: ApiBody) -> ServerSentEvent:
    return ServerSentEvent(event=kind, data=body.model_dump_json())
