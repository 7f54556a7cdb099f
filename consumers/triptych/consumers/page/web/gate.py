"""What every request passes first: the Host header, the size of its body, who sends it, and from which site.

Written for ASGI itself, so that the stream of events is not buffered. Every response gets the headers that forbid
browsers all that the page does not need.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from triptych.consumers.page.problems import PageProblemError
from triptych.consumers.page.web.access import PageUser, Users
from triptych.consumers.page.web.answers import problem_response
from triptych.consumers.page.web.login import COOKIE, Sessions

MOST_BODY_BYTES: Final = 64 * 1_024
_LOOPBACK_NAMES: Final = frozenset({"localhost"})
_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
_WITHOUT_USER: Final = frozenset({"/api/session", "/api/login", "/api/logout"})
"""What is answered to somebody who has not logged in, beside the static files."""
_SAME_SITE: Final = frozenset({"same-origin", "none"})


@dataclass(frozen=True, slots=True)
class TrustedProxy:
    """A reverse proxy that says who the user is: in which header, and from which address it comes."""

    header: str
    addresses: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    def trusts(self, address: str) -> bool:
        """Return whether requests from an address come from the proxy."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.addresses)


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Who may look.

    Attributes:
        users: the users by name; None without a users file.
        sessions: the cookies of those who logged in with a token; None if nobody can.
        proxy: the proxy that names the user; None without one.
        default_user: who everybody is, without users and proxy; with a proxy and without users, what its users may do.
        host_names: names that the page may be asked for, beside addresses and localhost.
        secure_cookie: whether the cookie is sent over HTTPS only.
        clock_s: the wall clock.
    """

    users: Users | None = None
    sessions: Sessions | None = None
    proxy: TrustedProxy | None = None
    default_user: PageUser | None = None
    host_names: frozenset[str] = field(default_factory=frozenset)
    secure_cookie: bool = False
    clock_s: Callable[[], float] = time.time

    @property
    def needs_user(self) -> bool:
        """Whether somebody must say who they are."""
        return self.users is not None or self.proxy is not None

    def user_of(self, connection: HTTPConnection) -> PageUser | None:
        """Return who sends a request; None if that is not known.

        Raises:
            PageProblemError: the proxy names somebody who is no user.
        """
        if self.proxy is not None:
            return self._user_of_proxy(self.proxy, connection)
        if self.users is None:
            return self.default_user
        cookie = connection.cookies.get(COOKIE)
        return None if cookie is None or self.sessions is None else self.sessions.user(cookie, self.clock_s())

    def _user_of_proxy(self, proxy: TrustedProxy, connection: HTTPConnection) -> PageUser | None:
        address = "" if connection.client is None else connection.client.host
        names = connection.headers.getlist(proxy.header)
        if not proxy.trusts(address) or len(names) != 1 or not names[0]:
            return None
        user = self._known(names[0])
        if user is None:
            raise PageProblemError(
                HTTPStatus.FORBIDDEN,
                "the proxy names a user who is not in the users file",
                "add the user to the file given by --users, and restart the page",
            )
        return user

    def _known(self, name: str) -> PageUser | None:
        if self.users is not None:
            return self.users.get(name)
        default = self.default_user
        return None if default is None else PageUser(name, default.roles, default.feeds)


class Gate:
    """The outermost part of the application."""

    def __init__(self, app: ASGIApp, rules: AccessRules, count: Callable[[int], None]) -> None:
        """Guard an application. `count` is called with the status of each response."""
        self._app = app
        self._rules = rules
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._count(message["status"])
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._check(scope)
            limited = await _within_limit(scope, receive)
        except PageProblemError as problem:
            await problem_response(problem)(scope, receive, send_with_headers)
            return
        await self._app(scope, limited, send_with_headers)

    def _check(self, scope: Scope) -> None:
        connection = HTTPConnection(scope)
        _check_host(connection.headers, self._rules.host_names)
        path: str = scope["path"]
        _check_site(connection.headers, scope["method"], path)
        if not path.startswith("/api/"):
            return
        user = self._rules.user_of(connection)
        if user is None and path not in _WITHOUT_USER:
            raise PageProblemError(
                HTTPStatus.UNAUTHORIZED,
                "nobody is logged in",
                "log in with your token, or open the page through the proxy that knows you",
            )
        scope.setdefault("state", {})["user"] = user


def _check_host(headers: Headers, names: frozenset[str]) -> None:
    """Refuse names that the page does not have: another site may let its own name point here (DNS rebinding)."""
    hosts = headers.getlist("host")
    try:
        name = urlsplit(f"//{hosts[0]}").hostname or "" if len(hosts) == 1 else ""
    except ValueError:
        name = ""
    if name in _LOOPBACK_NAMES or name in names or _is_address(name):
        return
    raise PageProblemError(
        HTTPStatus.MISDIRECTED_REQUEST,
        "the page is not known by this host name",
        "open it by its address, or start it with --host-name NAME",
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _check_site(headers: Headers, method: str, path: str) -> None:
    """Refuse what another site's page sends, and what changes something without saying that it means to."""
    if path.startswith("/api/") and headers.get("sec-fetch-site", "none") not in _SAME_SITE:
        raise PageProblemError(HTTPStatus.FORBIDDEN, "the request comes from another site", "open the page itself")
    if method in {"GET", "HEAD"}:
        return
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" or headers.get("x-triptych") != "1":
        raise PageProblemError(
            HTTPStatus.FORBIDDEN,
            "the request does not show that the page sent it",
            "send Content-Type: application/json and X-Triptych: 1",
        )


async def _within_limit(scope: Scope, receive: Receive) -> Receive:
    """Return the request with its whole body, which is read up to the limit.

    Raises:
        PageProblemError: the body is larger.
    """
    if scope["method"] in {"GET", "HEAD"}:
        return receive
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MOST_BODY_BYTES:
            raise PageProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body of the request is larger than {MOST_BODY_BYTES} bytes",
                "send less at once",
            )
    given = False

    async def receive_body() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return receive_body
