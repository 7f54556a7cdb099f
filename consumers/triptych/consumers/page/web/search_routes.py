"""Moments of the index, by words and by what is meant: `/api/search`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from triptych.consumers.page.api_types import FoundReason, PictureLink, SearchBody, SearchedMoment
from triptych.consumers.page.problems import invalid, not_found
from triptych.consumers.page.reading.moment_finder import MomentsWanted, search_note
from triptych.consumers.page.state.bodies import picture_link, to_ms
from triptych.consumers.page.state.page_state import PageState
from triptych.consumers.page.web.answers import json_response, require_role, whole_number
from triptych.consumers.page.web.parts import PageParts

if TYPE_CHECKING:
    from triptych.consumers.page.web.access import PageUser
    from triptych.consumers.searching.search import FoundMoment, FoundPart

_PER_ANSWER: Final = 30
_MOST: Final = 100
_LATEST_MS: Final = 2**53
_LONGEST_QUERY: Final = 500
_LONGEST_TEXT: Final = 400
_MOST_REASONS: Final = 3


class SearchRoutes:
    """The routes of the search."""

    def __init__(self, parts: PageParts) -> None:
        self._parts = parts
        self._state = parts.state

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/api/search", self.search, methods=["GET"])]

    async def search(self, request: Request) -> Response:
        """Return the moments that fit best, of the feeds that the user may see."""
        user, found = require_role(request, "see"), self._parts.search
        if found is None:
            raise not_found("this page has no index to search", "start it with --index, beside `triptych index`")
        wanted = _wanted(request, user)
        answer = await found.calls.run(wanted, lambda: found.finder.find(wanted))
        moments = [moment for moment in answer.moments if user.may_see(moment.stream)]
        return json_response(
            SearchBody(moments=tuple(map(self._body, moments)), notes=tuple(map(search_note, answer.notes)))
        )

    def _body(self, moment: FoundMoment) -> SearchedMoment:
        best = moment.windows[0]
        is_kept, picture = kept_picture(self._state, moment.stream, best.start_ns, best.end_ns)
        return SearchedMoment(
            feed=moment.stream,
            start_ms=to_ms(moment.start_ns),
            end_ms=to_ms(moment.end_ns),
            at_ms=to_ms(best.start_ns),
            window_id=f"{best.start_ns}-{best.end_ns}",
            result=best.result,
            windows=len(moment.windows),
            is_kept=is_kept,
            picture=picture,
            why=tuple(map(_reason, best.why[:_MOST_REASONS])),
        )


def kept_picture(state: PageState, name: str, start_ns: int, end_ns: int) -> tuple[bool, PictureLink | None]:
    """Return whether the page remembers the time of a window, and its picture if it is remembered by itself."""
    feed = state.feeds.get(name)
    kept = None if feed is None else feed.history.kept(start_ns, end_ns)
    if feed is None or kept is None:
        return False, None
    # What is kept of several windows together has the picture of another one.
    is_alone = (kept.start_ns, kept.end_ns) == (start_ns, end_ns)
    return True, picture_link(feed.name, kept, feed.picture_size) if is_alone else None


def _reason(part: FoundPart) -> FoundReason:
    return FoundReason(
        part="text" if part.part == "subtitles" else part.part,
        by_words=part.words_score is not None,
        similarity=None if part.similarity is None else round(part.similarity, 3),
        text=part.text[:_LONGEST_TEXT],
    )


def _wanted(request: Request, user: PageUser) -> MomentsWanted:
    texts = {name: _text(request, name) for name in ("text", "said", "seen", "heard")}
    if not any(texts.values()):
        raise invalid("expected words to look for, got none", "send text, said, seen or heard")
    feed = request.query_params.get("feed", "")
    if feed and not user.may_see(feed):
        raise not_found("there is no such feed, or you may not see it", "`/api/wall` lists the feeds that you may see")
    return MomentsWanted(
        **texts,
        feed=feed,
        patterns=() if user.sees_all else user.feeds,
        since_ms=_time(request, "since_ms"),
        until_ms=_time(request, "until_ms"),
        limit=whole_number(request, "limit", _PER_ANSWER, least=1, most=_MOST),
    )


def _text(request: Request, name: str) -> str:
    text = request.query_params.get(name, "").strip()
    if len(text) > _LONGEST_QUERY:
        raise invalid(f"{name}: expected at most {_LONGEST_QUERY} characters, got {len(text)}", "ask for less")
    return text


def _time(request: Request, name: str) -> int | None:
    return whole_number(request, name, most=_LATEST_MS) if name in request.query_params else None
