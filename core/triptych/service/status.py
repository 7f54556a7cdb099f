"""The HTTP endpoints `/metrics`, `/healthz` and `/readyz`, served by threads of their own.

There is no TLS. A bearer token can be required; it keeps out clients that merely reach the port.
"""

from __future__ import annotations

import errno
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
from triptych.service.health import CheckResult, Health
from triptych.settings.http import HttpSettings

_CLIENT_TIMEOUT_S: Final = 10.0
_STOP_POLL_S: Final = 0.05

log: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger(__name__)


class StatusServer:
    """Listens while its context is entered."""

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        health: Health,
        *,
        token: str | None = None,
        section: str = "http",
        any_port: bool = False,
    ) -> None:
        """Create a server that does not listen yet.

        Args:
            host: address to listen on.
            port: port to listen on; 0 for any free one.
            registry: metrics to serve.
            health: liveness and readiness to serve.
            token: bearer token that requests must carry, if any.
            section: section of the settings with these values, for error messages.
            any_port: take a free port if this one is in use, as a run beside a service does.
        """
        self._section = section
        self._any_port = any_port
        self._host = host
        self._port = port
        self._registry = registry
        self._health = health
        self._token = token
        self._server: _Server | None = None

    @classmethod
    def from_settings(
        cls, settings: HttpSettings, registry: CollectorRegistry, health: Health, *, any_port: bool = False
    ) -> Self:
        """Return a server with the values of a section of the settings.

        Raises:
            SettingsError: the token file cannot be read.
        """
        return cls(
            settings.host,
            settings.port,
            registry,
            health,
            token=settings.bearer_token(),
            section=settings.section,
            any_port=any_port,
        )

    @property
    def url(self) -> str:
        """URL of the server."""
        if self._server is None:
            raise RuntimeError("the status server is not listening: enter its context first")
        host, port = self._server.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def __enter__(self) -> Self:
        """Start to listen.

        Raises:
            UsageError: the address is invalid or in use.
        """
        try:
            self._server = self._listen()
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"status server: cannot listen on {self._host}:{self._port}: {error}; choose another address "
                f"({self._section}.host, {self._section}.port), or port 0 for no status server"
            ) from error
        threading.Thread(target=self._server.serve_forever, args=(_STOP_POLL_S,), name="status", daemon=True).start()
        log.info("status_server_listening", url=self.url)
        return self

    def _listen(self) -> _Server:
        try:
            return self._open(self._port)
        except OSError as error:
            if not self._any_port or error.errno != errno.EADDRINUSE:
                raise
        log.info("status_port_in_use", port=self._port, hint="another program has it; a free one is taken instead")
        return self._open(0)

    def _open(self, port: int) -> _Server:
        return _Server((self._host, port), self._registry, self._health, self._token, self._section)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Server(ThreadingMixIn, TCPServer):
    """Serves each request on a thread. Not an `HTTPServer`, which looks up its own host name before it listens."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False  # a slow client must not delay the exit of the program

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
        """Log the current exception; at level debug if the client only closed its connection."""
        del request
        error = sys.exception()
        level = logging.DEBUG if isinstance(error, (ConnectionError, TimeoutError)) else logging.ERROR
        log.log(level, "status_request_failed", client=str(client_address), exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    """Serves one request."""

    server: _Server
    timeout = _CLIENT_TIMEOUT_S
    server_version = "triptych"
    sys_version = ""
    paths: ClassVar[tuple[str, ...]] = ("/metrics", "/healthz", "/readyz")

    def do_GET(self) -> None:
        """Serve GET, and HEAD without a body."""
        if not self._is_allowed():
            expected = f"expected Authorization: Bearer with the token of {self.server.section}.token"
            self._json(HTTPStatus.UNAUTHORIZED, {"error": expected})
            return
        match self.path.partition("?")[0]:
            case "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(HTTPStatus.OK, content_type, encode(self.server.registry))
            case "/healthz":
                self._check(self.server.health.liveness())
            case "/readyz":
                self._check(self.server.health.readiness())
            case _:
                self._json(HTTPStatus.NOT_FOUND, {"error": f"expected one of {', '.join(self.paths)}"})

    do_HEAD = do_GET  # noqa: N815 - a name that http.server prescribes

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of http.server
        """Log a request at level debug: they come every few seconds."""
        log.debug("status_request", client=self.address_string(), request=format % args)

    def _is_allowed(self) -> bool:
        """Return whether the request carries the token. The comparison takes constant time."""
        if self.server.token is None:
            return True
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self.server.token.encode())

    def _check(self, result: CheckResult) -> None:
        status = HTTPStatus.OK if result.ok else HTTPStatus.SERVICE_UNAVAILABLE
        self._json(status, {"ok": result.ok, "missing": result.missing})

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
