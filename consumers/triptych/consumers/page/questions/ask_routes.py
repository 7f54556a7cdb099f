"""Questions about what was seen, heard and said: `/api/ask`."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from triptych.consumers.page.api_types import AskBody, AskRequest, CitedMoment
from triptych.consumers.page.problems import PageProblemError, not_found
from triptych.consumers.page.questions.conversations import ConversationOwner, Conversations, QuestionTurns
from triptych.consumers.page.questions.question_desk import AskedQuestion, too_slow
from triptych.consumers.page.state.bodies import to_ms
from triptych.consumers.page.web.answers import body_of, json_response, require_role
from triptych.consumers.page.web.login import COOKIE
from triptych.consumers.page.web.search_routes import kept_picture

if TYPE_CHECKING:
    from triptych.consumers.asking.answer import Answer
    from triptych.consumers.asking.lookup import Occurrence
    from triptych.consumers.page.web.access import PageUser
    from triptych.consumers.page.web.parts import PageParts, PageQuestions

log = structlog.get_logger(__name__)

_MOST_MOMENTS: Final = 30
_LONGEST_TEXT: Final = 400
_LONGEST_ANSWER: Final = 4_000


class AskRoutes:
    """The routes of the questions."""

    def __init__(self, parts: PageParts, clock_s: Callable[[], float] = time.monotonic) -> None:
        """Answer for a page. `clock_s` never goes back."""
        self._parts = parts
        self._clock_s = clock_s
        self._conversations = Conversations()
        self._turns = QuestionTurns()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/api/ask", self.ask, methods=["POST"])]

    async def ask(self, request: Request) -> Response:
        """Answer a question from the feeds that the user may see. Ends when the client goes away."""
        user, questions = require_role(request, "see"), self._parts.questions
        if questions is None:
            raise not_found("this page has no index to ask", "start it with --index FOLDER, beside `triptych index`")
        sent = await body_of(request, AskRequest)
        if sent.feed and not user.may_see(sent.feed):
            raise not_found(
                "there is no such feed, or you may not see it", "`/api/wall` lists the feeds that you may see"
            )
        owner = ConversationOwner(user.name, user.feeds, _login(request))
        last = self._conversations.last(sent.conversation, owner, self._clock_s())
        asked = AskedQuestion(sent.question.strip(), None if user.sees_all else user.may_see, sent.feed, last)
        answer = await self._answered(request, questions, user.name, asked)
        _check_visible(answer, user)
        from triptych.consumers.asking.session import LastAnswer  # noqa: PLC0415 - an extra

        remembered = LastAnswer.of(answer, last or LastAnswer())
        key = self._conversations.store(sent.conversation, owner, remembered, self._clock_s())
        body = self._body(answer, key)
        return json_response(
            body.model_copy(update={"is_continued": last is not None, "is_restricted": not user.sees_all})
        )

    async def _answered(self, request: Request, questions: PageQuestions, user: str, asked: AskedQuestion) -> Answer:
        """Wait for the answer, for the client to leave, and for the end of the time, whichever is first.

        The user can ask again when the thread has ended, which may be a moment later.
        """
        self._turns.begin(user, self._clock_s())
        stop, desk = threading.Event(), questions.desk
        call = asyncio.create_task(questions.calls.run(object(), lambda: desk.answer(asked, stop)))
        call.add_done_callback(lambda done: self._ended(user, done))
        left = asyncio.create_task(_left(request))
        try:
            await asyncio.wait({call, left}, timeout=desk.limit_s, return_when=asyncio.FIRST_COMPLETED)
            if call.done():
                return call.result()
            if left.done():
                raise PageProblemError(HTTPStatus.REQUEST_TIMEOUT, "the question was given up", "ask again")
            raise too_slow(desk.limit_s)
        finally:
            stop.set()
            left.cancel()

    def _ended(self, user: str, done: asyncio.Task[Answer]) -> None:
        self._turns.end(user)
        if not done.cancelled():
            done.exception()  # whoever waits raises it; nobody may be left

    def _body(self, answer: Answer, key: str) -> AskBody:
        from triptych.consumers.asking.wording import say  # noqa: PLC0415 - an extra

        failed = answer.model_problem
        if failed:  # what the endpoint said may contain a part of its key
            log.warning("page_language_model_failed", reason=failed)
        hidden = say("no model", answer.language, reason=failed)
        cited = [(one.number, one.source) for one in answer.citations]
        moments = cited or list(enumerate(sorted(answer.moments, key=_place)[:_MOST_MOMENTS], 1))
        return AskBody(
            conversation=key,
            outcome=answer.outcome,
            language=answer.language,
            text=answer.text[:_LONGEST_ANSWER],
            brief=(answer.brief or answer.text)[:_LONGEST_ANSWER],
            worded=answer.worded[:_LONGEST_ANSWER],
            moments=tuple(self._moment(number, one) for number, one in moments),
            more_moments=0 if cited else max(0, len(answer.moments) - _MOST_MOMENTS),
            notes=tuple(note for note in answer.notes if not failed or note != hidden),
            has_model_failed=bool(failed),
            is_continued=False,
            is_restricted=False,
        )

    def _moment(self, number: int, cited: Occurrence) -> CitedMoment:
        result, window = cited.results[0], _window(cited)
        start_ns, _, end_ns = window.partition("-")
        is_kept, picture = kept_picture(self._parts.state, cited.stream, int(start_ns), int(end_ns))
        return CitedMoment(
            number=number,
            feed=cited.stream,
            start_ms=to_ms(cited.start_ns),
            end_ms=to_ms(cited.end_ns),
            at_ms=to_ms(int(start_ns)),
            window_id=window,
            result=result,
            kind="said" if cited.is_cue else "heard" if cited.is_sound else "seen",
            text=cited.text[:_LONGEST_TEXT],
            count=cited.count,
            is_kept=is_kept,
            picture=picture,
        )


def _window(cited: Occurrence) -> str:
    """Return the id of the first window that a moment is in: `start_ns-end_ns`."""
    return cited.results[0].rsplit("/", 2)[1]


def _place(cited: Occurrence) -> tuple[int, str, bool, int]:
    """Order moments by time: in each window what was said, and then what was shown."""
    return int(_window(cited).partition("-")[0]), cited.stream, not cited.is_cue, cited.start_ns


async def _left(request: Request) -> None:
    """Return when the client has gone: its body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _login(request: Request) -> str:
    """Return what tells one login of a user from another, without keeping the cookie."""
    return hashlib.sha256(request.cookies.get(COOKIE, "").encode()).hexdigest()


def _check_visible(answer: Answer, user: PageUser) -> None:
    """Refuse an answer with a feed that the user may not see. The index was never asked for one: this is a defect."""
    cited = (*answer.moments, *(citation.source for citation in answer.citations))
    if not all(user.may_see(moment.stream) for moment in cited):
        raise RuntimeError("an answer rests on a feed that the user may not see")
