"""Serve `/metrics`, `/healthz` and `/readyz` on a thread of their own.

For the machines that watch a program. There is no TLS; a token can be asked for, which keeps out who merely reaches
the port.
"""

from __future__ import annotations

import hmac
import json
import logging
import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from types import TracebackType
from typing import ClassVar, Final, Self

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from triptych.schemas.errors import UsageError
from triptych.service.health import Health, Verdict
from triptych.settings.http import HttpSettings

_SLOWEST_CLIENT_S: Final = 10.0
_STOP_POLL_S: Final = 0.05

log: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger(__name__)


class StatusServer:
    """Listens from entering to leaving the context."""

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        health: Health,
        *,
        token: str | None = None,
        section: str = "http",
    ) -> None:
        """Take where to listen (port 0: any free one), what to tell, and what a request must carry, if anything.

        `section` is the one of the settings that says so, for errors.
        """
        self._section = section
        self._host = host
        self._port = port
        self._registry = registry
        self._health = health
        self._token = token
        self._server: _Server | None = None

    @classmethod
    def of(cls, settings: HttpSettings, registry: CollectorRegistry, health: Health) -> Self:
        """Return the server that a section of the settings describes."""
        return cls(
            settings.host,
            settings.port,
            registry,
            health,
            token=settings.bearer_token(),
            section=settings.section,
        )

    @property
    def url(self) -> str:
        """Where the server listens."""
        if self._server is None:
            raise RuntimeError("the status server does not listen yet: enter its context first")
        host, port = self._server.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def __enter__(self) -> Self:
        """Begin to listen; raise `UsageError` where that is not possible."""
        try:
            self._server = _Server((self._host, self._port), self._registry, self._health, self._token, self._section)
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"status server: cannot listen on {self._host}:{self._port}: {error}; choose another address "
                f"({self._section}.host, {self._section}.port), or port 0 for no status server"
            ) from error
        threading.Thread(target=self._server.serve_forever, args=(_STOP_POLL_S,), name="status", daemon=True).start()
        log.info("status_server_listens", url=self.url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Server(ThreadingMixIn, TCPServer):
    """One thread a request. Not `HTTPServer`, which asks the name service for its own name before it listens."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False  # a client that reads slowly must not hold up the end of the program

    def __init__(
        self, where: tuple[str, int], registry: CollectorRegistry, health: Health, token: str | None, section: str
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
        self.token = token
        self.section = section
        self.registry = registry
        self.health = health
        super().__init__(where, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Log what a request stumbled over; a client that went away is no news."""
        del request
        error = sys.exception()
        level = logging.DEBUG if isinstance(error, (ConnectionError, TimeoutError)) else logging.ERROR
        log.log(level, "status_request_failed", client=str(client_address), exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: _Server
    timeout = _SLOWEST_CLIENT_S
    server_version = "triptych"
    sys_version = ""
    paths: ClassVar[tuple[str, ...]] = ("/metrics", "/healthz", "/readyz")

    def do_GET(self) -> None:
        """Answer with a body."""
        if not self._is_allowed():
            expected = f"expected Authorization: Bearer with the token of {self.server.section}.token"
            self._json(HTTPStatus.UNAUTHORIZED, {"error": expected})
            return
        match self.path.partition("?")[0]:
            case "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(HTTPStatus.OK, content_type, encode(self.server.registry))
            case "/healthz":
                self._verdict(self.server.health.liveness())
            case "/readyz":
                self._verdict(self.server.health.readiness())
            case _:
                self._json(HTTPStatus.NOT_FOUND, {"error": f"expected one of {', '.join(self.paths)}"})

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of http.server
        """Log requests at the level where nobody sees them by default: they come every few seconds."""
        log.debug("status_request", client=self.address_string(), request=format % args)

    def _is_allowed(self) -> bool:
        """Compare in constant time: how long a wrong token takes must not tell how much of it is right."""
        if self.server.token is None:
            return True
        kind, _, came = self.headers.get("Authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(came.strip().encode(), self.server.token.encode())

    def _verdict(self, verdict: Verdict) -> None:
        status = HTTPStatus.OK if verdict.ok else HTTPStatus.SERVICE_UNAVAILABLE
        self._json(status, {"ok": verdict.ok, "missing": verdict.missing})

    def _json(self, status: HTTPStatus, body: dict[str, object]) -> None:
        self._answer(status, "application/json", json.dumps(body).encode() + b"\n")

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
