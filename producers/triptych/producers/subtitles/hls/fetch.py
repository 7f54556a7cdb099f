"""Fetch the playlists and segments of a rendition, each within a limit of size and time.

Requests follow redirects, keep cookies, and answer a server's demand for the user name and password of the URL. A
playlist from a server cannot name files of this machine.
"""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib import request
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit

MAX_BYTES: Final = 8 << 20
"""The maximum size of a playlist or a segment."""

_READ_TIMEOUT_S: Final = 5.0
_TOTAL_TIMEOUT_S: Final = 10.0
_BLOCK_BYTES: Final = 64 << 10
_WEB: Final = frozenset({"http", "https"})
_PARTIAL_CONTENT: Final = 206


class FetchError(Exception):
    """Something could not be fetched. The message says why, without the URL, which may hold a password."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A part of a file."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched, and the URL to which redirects led: that against which relative URLs are resolved."""

    url: str
    content: bytes


class Fetcher:
    """Fetch by HTTP and HTTPS; also from files, where the source is one. For one thread."""

    def __init__(self, source: str) -> None:
        """Fetch for this source, a URL or a path."""
        self._files = urlsplit(source).scheme not in _WEB
        self._passwords = request.HTTPPasswordMgrWithDefaultRealm()
        self._opener = request.OpenerDirector()
        for handler in (
            request.ProxyHandler(),
            request.HTTPHandler(),
            request.HTTPSHandler(),
            request.HTTPDefaultErrorHandler(),
            request.HTTPRedirectHandler(),
            request.HTTPErrorProcessor(),
            request.HTTPCookieProcessor(),
            request.HTTPDigestAuthHandler(self._passwords),
            request.HTTPBasicAuthHandler(self._passwords),
            request.UnknownHandler(),
        ):
            self._opener.add_handler(handler)

    def get(self, url: str, part: ByteRange | None = None) -> Fetched:
        """Return a resource, or a part of it.

        Raises:
            FetchError: it cannot be fetched, or is too large.
        """
        try:
            if urlsplit(url).scheme in _WEB:
                return self._get_by_http(url, part)
            if not self._files:
                raise FetchError("expected an http or https URL in the playlist, got another one")
            return Fetched(url, _read_file(Path(url), part))
        except HTTPError as error:
            error.close()
            raise FetchError(f"the server answered {error.code}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
            raise FetchError(f"it could not be fetched ({reason})") from None

    def _get_by_http(self, url: str, part: ByteRange | None) -> Fetched:
        parts = urlsplit(url)
        host, user = parts.netloc.rpartition("@")[2], parts.netloc.rpartition("@")[0]
        plain = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
        if user:
            name, _, password = user.partition(":")
            self._passwords.add_password(None, f"{parts.scheme}://{host}", unquote(name), unquote(password))
        asked = request.Request(plain)  # noqa: S310 - the scheme was checked
        if part is not None:
            asked.add_header("Range", f"bytes={part.offset}-{part.offset + part.length - 1}")
        deadline_s = time.monotonic() + _TOTAL_TIMEOUT_S
        with self._opener.open(asked, timeout=_READ_TIMEOUT_S) as answer:
            is_whole = part is not None and answer.status != _PARTIAL_CONTENT
            content = _read_all(answer, deadline_s)
            found = answer.url
        if is_whole and part is not None:
            content = content[part.offset : part.offset + part.length]
        return Fetched(_with_user(found, user, host), content)


def _with_user(url: str, user: str, host: str) -> str:
    """Return the URL with the user name and password again, unless a redirect has led to another server."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}@{host}")) if user and parts.netloc == host else url


def _read_all(answer: http.client.HTTPResponse, deadline_s: float) -> bytes:
    content = bytearray()
    while block := answer.read1(_BLOCK_BYTES):
        content += block
        if len(content) > MAX_BYTES:
            raise FetchError(f"expected at most {MAX_BYTES} bytes, got more")
        if time.monotonic() > deadline_s:
            raise FetchError(f"it took longer than {_TOTAL_TIMEOUT_S:.0f} s")
    return bytes(content)


def _read_file(path: Path, part: ByteRange | None) -> bytes:
    with path.open("rb") as file:
        file.seek(0 if part is None else part.offset)
        content = file.read(MAX_BYTES + 1 if part is None else min(part.length, MAX_BYTES + 1))
    if len(content) > MAX_BYTES:
        raise FetchError(f"expected at most {MAX_BYTES} bytes, got more")
    return content
