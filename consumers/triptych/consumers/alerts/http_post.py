"""Post a message once. Redirects are not followed: a message goes to one server only."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from triptych.schemas.errors import UsageError

_MAX_RETRY_AFTER_S: Final = 3_600.0
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
        """Post once, on a new connection. Blocks up to the timeout."""
        parts = self._parts
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self._timeout_s)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("POST", target, body, dict(headers))
            response = connection.getresponse()
            return PostOutcome(response.status, f"HTTP {response.status}", _seconds(response.getheader("retry-after")))
        except (OSError, http.client.HTTPException) as error:
            return PostOutcome(None, f"{type(error).__name__}: {error}")
        finally:
            connection.close()


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


def _seconds(retry_after: str | None) -> float:
    """Return the seconds of the header. A date, which is also allowed there, counts as no delay."""
    if retry_after is None or not (retry_after.isascii() and retry_after.isdigit()):
        return 0.0
    return min(float(retry_after), _MAX_RETRY_AFTER_S)
