"""Post a message once, within a deadline. Redirects are not followed: a message goes to one server only."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import SplitResult, urlsplit

from triptych.schemas.errors import UsageError

MAX_RETRY_AFTER_S: Final = 300.0
"""The longest delay that a receiver may request: as long as the longest delay of our own."""

_OK: Final = range(200, 300)
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class PostOutcome:
    """The outcome of one attempt.

    Attributes:
        status: the HTTP status; None if there was no response.
        reason: one line for people.
        retry_after_s: the delay that the receiver requested.
    """

    status: int | None
    reason: str
    retry_after_s: float = 0.0

    @property
    def accepted(self) -> bool:
        """Whether the receiver accepted the message (2xx)."""
        return self.status in _OK

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no more messages (410 Gone)."""
        return self.status == _GONE


class Endpoint:
    """The receiver of messages."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """Parse the URL. Raises `UsageError` if it is invalid."""
        self._parts = _checked(url)
        self._timeout_s = timeout_s

    def __str__(self) -> str:
        """Return only the server: path and query may contain secrets, which must not be logged."""
        return f"{self._parts.scheme}://{self._parts.netloc}"

    def post(self, body: bytes, headers: Mapping[str, str]) -> PostOutcome:
        """Post once, on a new connection. Blocks up to the timeout, from the name's lookup to the last header."""
        attempt = _Attempt(self._parts, self._timeout_s)
        thread = threading.Thread(target=attempt.run, args=(body, headers), name="post", daemon=True)
        thread.start()
        thread.join(self._timeout_s)
        return attempt.finish(f"no complete response within {self._timeout_s:g} s")


class _Attempt:
    """One request on a thread of its own: no timeout of a socket covers a whole request, nor a name's lookup."""

    def __init__(self, parts: SplitResult, timeout_s: float) -> None:
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._lock = threading.Lock()
        self._outcome: PostOutcome | None = None
        self._is_over = False

    def run(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Send the request and read the response's headers."""
        try:
            self._connection.connect()
            self._connection.auto_open = 0  # never connect again, once `finish` has closed the connection
            if self._is_over:
                return  # too late to send anything
            self._connection.request("POST", self._target, body, dict(headers))
            response = self._connection.getresponse()
            after_s = retry_delay_s(response.getheader("retry-after"))
            outcome = PostOutcome(response.status, f"HTTP {response.status}", after_s)
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a name that is no IDNA name
            outcome = PostOutcome(None, f"{type(error).__name__}: {error}")
        finally:
            self._connection.close()
        with self._lock:
            if not self._is_over:
                self._outcome = outcome

    def finish(self, otherwise: str) -> PostOutcome:
        """Return the outcome. Without one, end the request; the reason is `otherwise`."""
        with self._lock:
            self._is_over = True
            if self._outcome is not None:
                return self._outcome
        connected = self._connection.sock
        if connected is not None:
            with contextlib.suppress(OSError):  # it was closed in the meantime
                connected.shutdown(socket.SHUT_RDWR)  # wakes the thread, which closes it
        return PostOutcome(None, otherwise)


def _checked(url: str) -> SplitResult:
    expected = "url: expected http://HOST… or https://HOST… without user name or password"
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        valid = None
    if not valid or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(expected)
    return parts


def retry_delay_s(retry_after: str | None, *, now_s: float | None = None) -> float:
    """Return the delay of the header Retry-After, up to the longest delay; 0 if it is missing or invalid.

    Args:
        retry_after: seconds or a date, as the header has it.
        now_s: the time that the date is compared with; by default that of the wall clock.
    """
    if retry_after is None:
        return 0.0
    if retry_after.isascii() and retry_after.isdigit():
        return float(min(int(retry_after[:9]), MAX_RETRY_AFTER_S))
    try:
        delay_s = parsedate_to_datetime(retry_after).timestamp() - (time.time() if now_s is None else now_s)
    except (ValueError, OverflowError):
        return 0.0
    return min(max(0.0, delay_s), MAX_RETRY_AFTER_S)
