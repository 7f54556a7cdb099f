"""Matches and alerts that a person reviews: `/api/review`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from triptych.consumers.page.api_types import AnswerRequest, ReviewBody
from triptych.consumers.page.problems import PageProblemError, invalid, not_found
from triptych.consumers.page.reading.window_reader import window_wanted
from triptych.consumers.page.state.review_list import ReviewEntry
from triptych.consumers.page.web.answers import body_of, json_response, require_role, whole_number
from triptych.consumers.page.web.parts import PageParts
from triptych.consumers.prompts.feedback import feedback_on
from triptych.consumers.prompts.prompt_topic import send_feedback

_PER_ANSWER: Final = 100
_MOST: Final = 500
_STATES: Final = ("open", "done", "all")


class ReviewRoutes:
    """The routes of the review."""

    def __init__(self, parts: PageParts) -> None:
        self._parts = parts
        self._state = parts.state

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/review", self.list, methods=["GET"]),
            Route("/api/review/{event_id}", self.answer, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        """Return events, the newest first, in pages."""
        user, query = require_role(request, "see"), request.query_params
        wanted_state = query.get("state", "all")
        if wanted_state not in _STATES:
            raise invalid(f"state: expected {', '.join(_STATES)}, got {wanted_state[:40]!r}", "correct the request")
        limit = whole_number(request, "limit", _PER_ANSWER, least=1, most=_MOST)
        visible = [entry for entry in self._state.reviews.newest_first() if user.may_see(entry.feed)]
        wanted = [
            entry
            for entry in visible
            if query.get("prompt", entry.name) == entry.name
            and query.get("feed", entry.feed) == entry.feed
            and wanted_state in {"all", "open" if entry.answer is None else "done"}
        ]
        before = query.get("before")
        if before is not None:
            at = next((number for number, entry in enumerate(visible) if entry.id == before), None)
            if at is None:
                raise not_found("before: there is no such event any more", "load the list from its beginning")
            later = {entry.id for entry in visible[: at + 1]}
            wanted = [entry for entry in wanted if entry.id not in later]
        shown = wanted[:limit]
        body = ReviewBody(
            events=tuple(map(self._state.review_body, shown)),
            next_before=shown[-1].id if len(wanted) > len(shown) else None,
            prompts=tuple(sorted({entry.name for entry in visible if entry.kind == "match"})),
        )
        return json_response(body)

    async def answer(self, request: Request) -> Response:
        """Store whether the windows of an event fit its prompt. Everybody is told when it comes back from Kafka."""
        user = require_role(request, "review")
        entry = self._state.reviews.get(request.path_params["event_id"])
        if entry is None or not user.may_see(entry.feed):
            raise not_found("there is no such event, or you may not see it", "load the list again")
        if entry.kind != "match":
            raise PageProblemError(
                HTTPStatus.CONFLICT, "an alert takes no answer: its rule is exact", "answer matches of prompts"
            )
        answer = (await body_of(request, AnswerRequest)).answer
        await self._parts.desk.run(object(), lambda: self._send(entry, answer))
        return json_response(self._state.review_body(entry).model_copy(update={"answer": answer}))

    def _send(self, entry: ReviewEntry, answer: str) -> None:
        """Send the answer. Blocks; runs in a thread."""
        best = entry.best
        wanted = window_wanted(entry.feed, best.start_ns, best.end_ns, best, None)
        result = self._parts.stores.windows.result(wanted).result
        given = feedback_on(result, entry.name, "yes" if answer == "yes" else "no")
        send_feedback(self._parts.stores.transport, self._parts.pipeline, given)
