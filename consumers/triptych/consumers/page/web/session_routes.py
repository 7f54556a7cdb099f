"""Who is logged in: `/api/session`, `/api/login`, `/api/logout`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from triptych.consumers.page.api_types import ROLES, LoginRequest, SessionBody
from triptych.consumers.page.problems import PageProblemError
from triptych.consumers.page.web.access import PageUser
from triptych.consumers.page.web.answers import body_of, json_response
from triptych.consumers.page.web.login import COOKIE, SESSION_S, LoginLimit
from triptych.consumers.page.web.parts import PageParts

log = structlog.get_logger(__name__)

_LANGUAGES: Final = ("en", "zh")


class SessionRoutes:
    """The routes of the session. They are the only ones for somebody who is not logged in."""

    def __init__(self, parts: PageParts) -> None:
        self._parts = parts
        self._rules = parts.rules
        self._limit = LoginLimit()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/session", self.session, methods=["GET"]),
            Route("/api/login", self.log_in, methods=["POST"]),
            Route("/api/logout", self.log_out, methods=["POST"]),
        ]

    async def session(self, request: Request) -> Response:
        """Say who is logged in."""
        return json_response(self._body(request.state.user))

    async def log_in(self, request: Request) -> Response:
        """Log in with a token."""
        rules = self._rules
        if rules.users is None or rules.sessions is None or rules.proxy is not None:
            raise PageProblemError(HTTPStatus.NOT_FOUND, "this page has no login by token", "open /")
        address = "" if request.client is None else request.client.host
        now_s = rules.clock_s()
        user = rules.users.with_token((await body_of(request, LoginRequest)).token)
        if user is None:
            raise self._refusal(address, now_s)
        log.info("page_login", user=user.name, address=address)
        response = json_response(self._body(user))
        response.set_cookie(
            COOKIE,
            rules.sessions.cookie(user, now_s),
            max_age=SESSION_S,
            httponly=True,
            samesite="strict",
            secure=rules.secure_cookie,
        )
        return response

    async def log_out(self, request: Request) -> Response:
        """Forget who is logged in."""
        del request
        response = json_response(self._body(None if self._rules.needs_user else self._rules.default_user))
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=self._rules.secure_cookie)
        return response

    def _refusal(self, address: str, now_s: float) -> PageProblemError:
        """Return how a wrong token is answered. A right one is never refused: strangers could lock out everybody."""
        wait_s = self._limit.wait_s(address, now_s)
        if wait_s:
            return PageProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too many logins have failed, and no user has this token",
                f"try again in {wait_s} seconds",
                retry_after_s=wait_s,
            )
        self._limit.note_failure(address, now_s)
        log.warning("page_login_failed", address=address)
        return PageProblemError(
            HTTPStatus.UNAUTHORIZED, "no user has this token", "ask whoever runs the page for your token"
        )

    def _body(self, user: PageUser | None) -> SessionBody:
        return SessionBody(
            user=None if user is None else user.name,
            roles=() if user is None else tuple(role for role in ROLES if user.may(role)),
            pipeline=self._parts.pipeline if user is not None else "",
            version=self._parts.version if user is not None else "",
            languages=_LANGUAGES,
            needs_login=user is None,
            can_search=user is not None and self._parts.search is not None,
            can_ask=user is not None and self._parts.questions is not None,
            can_log_out=user is not None and self._rules.sessions is not None and self._rules.proxy is None,
        )
