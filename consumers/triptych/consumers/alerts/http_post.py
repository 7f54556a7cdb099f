"""One attempt to post something, and what came of it. Redirects are not followed: a message goes to one place only."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from triptych.schemas.errors import UsageError

_MOST_S: Final = 3_600.0
_OK: Final = range(200, 300)
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt.

    Attributes:
        status: the HTTP status; None where no answer came.
        reason: one line for people.
        retry_after_s: how long the receiver asked to be left alone.
    """

    status: int | None
    reason: str
    retry_after_s: float = 0.0

    @property
    def taken(self) -> bool:
        """Say whether the receiver has the message."""
        return self.status in _OK

    @property
    def unwanted(self) -> bool:
        """Say whether the receiver wants no more messages, ever."""
        return self.status == _GONE


class Endpoint:
    """Where messages are posted."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """Read the URL; raise `UsageError` where nothing could be posted to it."""
        self._parts = _checked(url)
        self._timeout_s = timeout_s

    def __str__(self) -> str:
        """Name the server alone: path and query may hold what is not for logs."""
        return f"{self._parts.scheme}://{self._parts.netloc}"

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post once, on a connection of its own."""
        parts = self._parts
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self._timeout_s)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("POST", target, body, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, f"HTTP {response.status}", _seconds(response.getheader("retry-after")))
        except (OSError, http.client.HTTPException) as error:
            return Answer(None, f"{type(error).__name__}: {error}")
        finally:
            connection.close()


def _checked(url: str) -> SplitResult:
    expected = "url: expected http://HOST… or https://HOST… without user name or password"
    try:
        parts = urlsplit(url)
        right = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        right = None
    if not right or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(expected)
    return parts


def _seconds(retry_after: str | None) -> float:
    """Read the header's seconds; a date, which it may hold too, counts as nothing said."""
    if retry_after is None or not (retry_after.isascii() and retry_after.isdigit()):
        return 0.0
    return min(float(retry_after), _MOST_S)
