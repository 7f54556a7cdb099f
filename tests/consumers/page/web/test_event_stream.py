"""The stream of one client: slow ones get the newest state, and their number is bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest
from starlette.requests import Request

from triptych.consumers.page.api_types import HealthCounts
from triptych.consumers.page.problems import PageProblemError
from triptych.consumers.page.state.feed_state import ReadResult
from triptych.consumers.page.state.newest_window import newest_window
from triptych.consumers.page.state.page_state import PageState
from triptych.consumers.page.state.seen_window import ResultPlace, seen_window
from triptych.consumers.page.web.access import PageUser, granted_roles
from triptych.consumers.page.web.event_stream import EventStreams, StreamParts

if TYPE_CHECKING:
    from sse_starlette import ServerSentEvent

    from tests.consumers.conftest import MakeResult

USER = PageUser("anna", granted_roles(["see"]))
REQUEST = Request({"type": "http", "headers": [], "query_string": b""})

Publish = Callable[[int, str], None]


def parts(state: PageState) -> StreamParts:
    """Return what a stream needs, without a pause between its changes."""

    def health(_: PageUser) -> HealthCounts:
        return HealthCounts(feeds=0, wrong=0, notes=0, dead=0, open_reviews=0, catching_up=False)

    return StreamParts(state, health, asyncio.Event(), flush_s=0.0)


def started() -> PageState:
    """Return the state of a server that has read nothing."""
    state = PageState()
    state.begin("e", {0: 0})
    return state


@pytest.fixture
def publish(make_result: MakeResult) -> Callable[[PageState], Publish]:
    """Return what adds a result to a state, at the next place."""

    def of(state: PageState) -> Publish:
        def add(number: int, feed: str) -> None:
            place, result = ResultPlace(0, state.counts["results"]), make_result(number, feed)
            state.add_results([ReadResult(result, place, seen_window(result, place), newest_window(result))])

        return add

    return of


async def next_tile(events: AsyncIterator[ServerSentEvent]) -> dict[str, Any]:
    """Return the next tile that is sent."""
    while (event := await anext(events)).event != "tile":
        continue
    body: dict[str, Any] = json.loads(str(event.data))
    return body


def test_a_client_that_stops_reading_gets_the_newest_state_when_it_reads_again(
    publish: Callable[[PageState], Publish], make_result: MakeResult
) -> None:
    """Of each feed once. Nothing waits for it but that."""

    async def run() -> None:
        state = started()
        add, streams = publish(state), EventStreams(parts(state))
        events = streams._events(USER, str(state.cursor()))  # noqa: SLF001 - without a connection
        assert (await anext(events)).comment == "open"
        add(0, "a")
        assert (await next_tile(events))["feed"] == "a"
        for number in range(1, 500):  # the client takes nothing: the generator is not asked for more
            add(number, "a")
            add(number, "b")
        newest = make_result(499).start_ns // 10**6
        tiles = [await next_tile(events) for _ in range(2)]
        assert sorted((tile["feed"], tile["start_ms"]) for tile in tiles) == [("a", newest), ("b", newest)]
        assert state.coalesced == 2 * 498
        await events.aclose()  # type: ignore[attr-defined]  # a generator
        assert len(streams) == 0

    asyncio.run(run())


def test_the_number_of_streams_is_bounded() -> None:
    """Of a user, and so of all."""

    async def run() -> None:
        state = started()
        streams = EventStreams(parts(state))
        opened = [streams._events(USER, "") for _ in range(20)]  # noqa: SLF001 - without a connection
        for events in opened:
            await anext(events)
        with pytest.raises(PageProblemError, match="too many pages are open") as refused:
            streams.open(REQUEST, USER)
        assert refused.value.retry_after_s
        await opened[0].aclose()  # type: ignore[attr-defined]  # a generator
        streams.open(REQUEST, USER)

    asyncio.run(run())


def test_a_client_that_comes_before_reading_has_begun_keeps_its_cursor() -> None:
    """It is asked to come again, not to load everything: whether its cursor is gone is not known yet."""

    async def run() -> None:
        cursor = str(started().cursor())
        state = PageState()
        streams = EventStreams(parts(state))
        with pytest.raises(PageProblemError, match="just started") as refused:
            streams.open(REQUEST, USER)
        assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
        state.begin("e", {0: 0})
        streams.open(REQUEST, USER)
        events = streams._events(USER, cursor)  # noqa: SLF001 - without a connection
        assert [(await anext(events)).comment, (await anext(events)).event] == ["open", "health"]
        await events.aclose()  # type: ignore[attr-defined]  # a generator

    asyncio.run(run())


def test_a_stream_ends_with_the_server() -> None:
    """Without waiting for the next change."""

    async def run() -> None:
        state = started()
        own = parts(state)
        events = EventStreams(own)._events(USER, "")  # noqa: SLF001 - without a connection
        assert [(await anext(events)).comment, (await anext(events)).event] == ["open", "health"]
        own.stop.set()
        assert [event async for event in events] == []

    asyncio.run(asyncio.wait_for(run(), 60))
