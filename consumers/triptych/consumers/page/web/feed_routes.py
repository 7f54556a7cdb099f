"""What the feeds show: `/api/wall`, `/api/events`, and all below `/api/feeds/{feed}`."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from triptych.consumers.page.api_types import TimelineBody, WallBody
from triptych.consumers.page.problems import PageProblemError, invalid, not_found
from triptych.consumers.page.reading.pictures import WIDTHS, PictureWanted
from triptych.consumers.page.reading.window_reader import WindowWanted, window_wanted
from triptych.consumers.page.state.bodies import timeline_window, to_ms
from triptych.consumers.page.state.feed_history import downsampled
from triptych.consumers.page.state.feed_state import FeedState
from triptych.consumers.page.web.answers import json_response, require_feed, require_role, whole_number
from triptych.consumers.page.web.event_stream import EventStreamResponse
from triptych.consumers.page.web.parts import PageParts
from triptych.units import NS_PER_MS

_WINDOW_ID: Final = re.compile(r"(\d{1,19})-(\d{1,19})", re.ASCII)
_LATEST_MS: Final = 2**53
"""The largest whole number that JavaScript holds exactly."""
_DEFAULT_MS: Final = 600_000
_MOST_POINTS: Final = 2_000
_MOST_PARTITION: Final = 1_000_000
_PICTURE_CACHE: Final = "private, max-age=3600, immutable"
_MEDIA_CSP: Final = "default-src 'none'; sandbox"


class FeedRoutes:
    """The routes of the wall and of one feed."""

    def __init__(self, parts: PageParts) -> None:
        self._parts = parts
        self._state = parts.state

    def routes(self) -> list[Route]:
        """Return the routes."""
        feed = "/api/feeds/{feed}"
        return [
            Route("/api/wall", self.wall, methods=["GET"]),
            Route("/api/events", self.events, methods=["GET"]),
            Route(f"{feed}/timeline", self.timeline, methods=["GET"]),
            Route(f"{feed}/windows/{{window_id}}", self.window, methods=["GET"]),
            Route(f"{feed}/windows/{{window_id}}/sound", self.sound, methods=["GET"]),
            Route(f"{feed}/pictures/{{partition}}/{{offset}}", self.picture, methods=["GET"]),
        ]

    async def wall(self, request: Request) -> Response:
        """Return the tiles of all feeds, and the cursor from which changes continue."""
        user, state = require_role(request, "see"), self._state
        empty = WallBody(cursor=str(state.cursor()), catching_up=state.catching_up, feeds=()).model_dump_json()
        tiles = ",".join(state.tiles_json(user.may_see))
        # The tiles are JSON already, made once for all clients; `feeds` is the last field.
        return Response(f"{empty.removesuffix(']}')}{tiles}]}}", media_type="application/json")

    async def events(self, request: Request) -> EventStreamResponse:
        """Open the stream of changes."""
        return self._parts.streams.open(request, require_role(request, "see"))

    async def timeline(self, request: Request) -> Response:
        """Return the windows of a feed in a time, merged to about as many as there are points."""
        feed = self._feed(request)
        oldest_ms, newest_ms = to_ms(feed.history.oldest_ns or 0), to_ms(feed.history.newest_ns or 0)
        to = whole_number(request, "to_ms", newest_ms, most=_LATEST_MS)
        since = whole_number(request, "from_ms", max(oldest_ms, to - _DEFAULT_MS), most=_LATEST_MS)
        points = whole_number(request, "points", 600, least=1, most=_MOST_POINTS)
        if to < since:
            raise invalid(f"to_ms: expected a time after from_ms, got {to} and {since}", "exchange the two")
        begin_ns, end_ns = max(since, oldest_ms) * NS_PER_MS, (min(to, newest_ms) + 1) * NS_PER_MS
        kept, size = feed.history.range(begin_ns, end_ns), feed.picture_size

        def drawn() -> str:
            windows = downsampled(kept, begin_ns, end_ns, points)
            return TimelineBody(
                feed=feed.name,
                from_ms=since,
                to_ms=to,
                oldest_ms=oldest_ms,
                newest_ms=newest_ms,
                windows=tuple(timeline_window(feed.name, window, size) for window in windows),
            ).model_dump_json()

        # To merge the windows of a day takes half a second.
        key = (feed.name, since, to, points, newest_ms, len(kept))
        return Response(await self._parts.timelines.run(key, drawn), media_type="application/json")

    async def window(self, request: Request) -> Response:
        """Return all about a window."""
        wanted = self._window(self._feed(request), request)
        description = self._state.description(wanted.feed, wanted.start_ns, wanted.end_ns)
        windows = self._parts.stores.windows
        body = await self._parts.evidence.run(("window", wanted), lambda: windows.body(wanted, description))
        for picture in body.pictures[-1:]:
            if picture.width is not None and picture.height is not None:
                self._state.set_picture_size(wanted.feed, (picture.width, picture.height))
        return json_response(body)

    async def sound(self, request: Request) -> Response:
        """Return the sound of a window."""
        wanted = self._window(self._feed(request), request)
        windows = self._parts.stores.windows
        wav = await self._parts.evidence.run(("sound", wanted), lambda: windows.sound(wanted))
        return _media(wav, "audio/wav")

    async def picture(self, request: Request) -> Response:
        """Return a picture, reduced to about the width that is asked for."""
        feed = self._feed(request)
        wanted = _picture_wanted(request, feed.name)
        if wanted.partition not in feed.picture_partitions:
            raise not_found("there are no pictures of this feed in that partition", "use the URLs that the API gives")
        pictures = self._parts.stores.pictures
        found = await self._parts.evidence.run(wanted, lambda: pictures.read(wanted))
        self._state.set_picture_size(wanted.feed, found.size)
        response = _media(found.data, found.content_type)
        response.headers["X-Picture-At-Ms"] = str(to_ms(found.at_ns))
        return response

    def _feed(self, request: Request) -> FeedState:
        require_role(request, "see")
        feed = self._state.feeds.get(require_feed(request))
        if feed is None:
            raise not_found(
                "there is no such feed, or you may not see it", "`/api/wall` lists the feeds that you may see"
            )
        return feed

    @staticmethod
    def _window(feed: FeedState, request: Request) -> WindowWanted:
        start_ns, end_ns = _window_times(request.path_params["window_id"])
        row = feed.history.kept(start_ns, end_ns)
        if row is None:
            raise _no_window()
        held = next((one.pictures for one in feed.history.before(start_ns) if one.pictures is not None), None)
        return window_wanted(feed.name, start_ns, end_ns, row, held)


def _picture_wanted(request: Request, feed: str) -> PictureWanted:
    partition = _path_number(request, "partition", _MOST_PARTITION)
    offset = _path_number(request, "offset", 2**63 - 1)
    width = whole_number(request, "width", 0, most=1 << 16)
    edge = next((each for each in WIDTHS if each >= width), None) if width else None
    if "at_ns" not in request.query_params:
        return PictureWanted(feed, partition, offset, longest_edge=edge)
    first = whole_number(request, "first", most=offset)
    return PictureWanted(feed, partition, offset, first, whole_number(request, "at_ns", most=2**63 - 1), edge)


def _path_number(request: Request, name: str, most: int) -> int:
    text: str = request.path_params[name]
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and int(text) <= most):
        raise not_found(f"{name}: expected a whole number, got {text[:40]!r}", "use the URLs that the API gives")
    return int(text)


def _window_times(window_id: str) -> tuple[int, int]:
    found = _WINDOW_ID.fullmatch(window_id)
    if found is None or int(found[2]) <= int(found[1]):
        raise _no_window()
    return int(found[1]), int(found[2])


def _no_window() -> PageProblemError:
    return not_found(
        "there is no such window of this feed among those that the page remembers",
        "start the page with an earlier --since, or use `triptych evidence`",
    )


def _media(content: bytes, content_type: str) -> Response:
    headers = {"Cache-Control": _PICTURE_CACHE, "Content-Security-Policy": _MEDIA_CSP}
    return Response(content, media_type=content_type, headers=headers)
