"""Turn bodies and problems into responses, and requests into bodies. Every error is JSON."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, TypeVar

import structlog
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from triptych.consumers.page.api_types import ApiBody, ApiError, Role
from triptych.consumers.page.problems import PageProblemError, invalid, not_found
from triptych.consumers.page.reading.reader_pool import ReadersBusyError
from triptych.consumers.page.web.access import PageUser
from triptych.schemas.errors import TriptychError, UsageError
from triptych.transport.errors import RetriableError

log = structlog.get_logger(__name__)

_JSON: Final = "application/json"
_RETRY_S: Final = 5
_MOST_DIGITS: Final = 19

Body = TypeVar("Body", bound=ApiBody)


def json_response(body: ApiBody, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a body as JSON."""
    return Response(body.model_dump_json(), status, media_type=_JSON)


def problem_response(problem: PageProblemError) -> Response:
    """Return a problem as JSON."""
    body = ApiError(error=problem.error, what_to_do=problem.what_to_do)
    response = json_response(body, problem.status)
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(problem.retry_after_s)
    return response


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer a request that failed. What only operators need to know stands in the log."""
    if isinstance(error, PageProblemError):
        return problem_response(error)
    if isinstance(error, HTTPException):
        return problem_response(
            PageProblemError(
                HTTPStatus(error.status_code),
                f"{request.method} {request.url.path[:200]}: {HTTPStatus(error.status_code).phrase.lower()}",
                "docs/page.md lists the requests",
            )
        )
    if isinstance(error, UsageError):
        return problem_response(invalid(str(error), "correct the request"))
    if isinstance(error, RetriableError | ReadersBusyError):
        log.warning("page_request_failed", path=request.url.path, reason=str(error))
        return problem_response(
            PageProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE, str(error), "wait a moment, and try again", retry_after_s=_RETRY_S
            )
        )
    if isinstance(error, TriptychError):
        log.warning("page_request_failed", path=request.url.path, reason=str(error))
        return problem_response(
            PageProblemError(HTTPStatus.BAD_GATEWAY, str(error), "`triptych doctor` says what is wrong")
        )
    log.error("page_request_broken", path=request.url.path, exc_info=error)
    return problem_response(
        PageProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "the page has a defect", "its log says more; report it")
    )


def user_of(request: Request) -> PageUser:
    """Return who sends a request that passed the gate."""
    user: PageUser = request.state.user
    return user


def require_role(request: Request, role: Role) -> PageUser:
    """Return the sender. Raises `PageProblemError` if the role is missing."""
    user = user_of(request)
    if not user.may(role):
        raise PageProblemError(
            HTTPStatus.FORBIDDEN,
            f"this needs the role {role}",
            "ask for the role in the users file, or start the page with --allow",
        )
    return user


def require_feed(request: Request) -> str:
    """Return the feed of the path. Raises `PageProblemError` if the sender may not see it, or it cannot exist."""
    name: str = request.path_params["feed"].removeprefix("~")
    if not user_of(request).may_see(name):
        raise not_found("there is no such feed, or you may not see it", "`/api/wall` lists the feeds that you may see")
    return name


def whole_number(request: Request, name: str, default: int | None = None, *, least: int = 0, most: int = 2**63) -> int:
    """Return a number of the query. Raises `PageProblemError` if it is none, or missing without a default."""
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS:
        raise invalid(f"{name}: expected a whole number, got {(text or 'nothing')[:40]!r}", "correct the request")
    number = int(text)
    if not least <= number <= most:
        raise invalid(f"{name}: expected {least} to {most}, got {number}", "correct the request")
    return number


async def body_of(request: Request, kind: type[Body]) -> Body:
    """Return the JSON body of a request. Raises `PageProblemError` if it is not of the kind."""
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        first: Any = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise invalid(f"{where}: {first['msg']}", f"send a {kind.__name__} of api.schema.json") from None
