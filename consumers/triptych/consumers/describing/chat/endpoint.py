"""One request to an OpenAI-compatible endpoint, within a deadline.

httpx2 sends it, which the library `openai` is built on as well. That library has timeouts for each read but none for a
request, no limit for the size of a response, retries of its own, and does not check what it received.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx2

from triptych.consumers.alerts.http_post import retry_delay_s
from triptych.schemas.errors import UsageError

MAX_RESPONSE_BYTES: Final = 1 << 20
_PATH: Final = "/chat/completions"
_STOP_POLL_S: Final = 0.1
_SHOWN_CHARACTERS: Final = 300
_TRANSIENT: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_FORBIDDEN: Final = frozenset({401, 403})
_OK: Final = range(200, 300)
_CLIENT_ERROR: Final = range(400, 500)


class ReplyKind(StrEnum):
    """What to do after a reply."""

    ANSWERED = "answered"
    """A complete chat completion."""
    TRANSIENT = "transient"
    """Try again later: no reply in time, an overloaded or failing server."""
    REJECTED = "rejected"
    """This request will never be accepted, another one may be."""
    FORBIDDEN = "forbidden"
    """The endpoint wants another key."""


class RequestStoppedError(Exception):
    """The program ends, and the request with it."""


@dataclass(frozen=True, slots=True)
class ChatReply:
    """The reply to one request.

    Attributes:
        kind: what to do.
        reason: one line for people; the text of the model is not in it.
        status: the HTTP status; None if there was no response.
        text: what the model wrote.
        finish_reason: why it stopped, as the endpoint says.
        input_tokens, output_tokens: the tokens that the endpoint counted; None if it did not say.
        retry_after_s: the delay that the endpoint requested.
        maybe_billed: whether the endpoint may have worked although there is no reply.
    """

    kind: ReplyKind
    reason: str
    status: int | None = None
    text: str = ""
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    retry_after_s: float = 0.0
    maybe_billed: bool = False


class ChatEndpoint(Protocol):
    """Answers chat completions."""

    def complete(self, body: dict[str, Any], stopped: Callable[[], bool]) -> ChatReply:
        """Send one request. Blocks up to the timeout.

        Raises:
            RequestStoppedError: `stopped` returned true first.
        """


class HttpChatEndpoint:
    """An OpenAI-compatible endpoint over HTTP. Any thread may use it. Redirects are not followed."""

    def __init__(self, url: str, *, key: str | None, timeout_s: float) -> None:
        """Check the URL, to which `/chat/completions` is added. Nothing is sent yet.

        Args:
            url: the base URL, such as `http://127.0.0.1:8000/v1`.
            key: the API key, if the endpoint wants one.
            timeout_s: the longest time for a whole request, from the connection to the last byte.

        Raises:
            UsageError: the URL is invalid.
        """
        self._url = _checked(url)
        self._timeout_s = timeout_s
        self._headers = {"content-type": "application/json", "accept": "application/json", "user-agent": "triptych"}
        if key is not None:
            self._headers["authorization"] = f"Bearer {key}"
        self._tls = ssl.create_default_context() if self._url.startswith("https:") else None

    def __str__(self) -> str:
        """Return only the server: the path may contain secrets, which must not be logged."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc}"

    def complete(self, body: dict[str, Any], stopped: Callable[[], bool]) -> ChatReply:
        """Send one request. Blocks up to the timeout. Raises `RequestStoppedError`."""
        return asyncio.run(self._within_limits(json.dumps(body).encode(), stopped))

    async def _within_limits(self, body: bytes, stopped: Callable[[], bool]) -> ChatReply:
        # A timeout of the client applies to each read: a server that sends a byte a second would never reach it.
        exchange = asyncio.create_task(self._exchange(body))
        try:
            async with asyncio.timeout(self._timeout_s):
                while not exchange.done():
                    if stopped():
                        raise RequestStoppedError
                    await asyncio.wait({exchange}, timeout=_STOP_POLL_S)
                return await exchange
        except TimeoutError:
            reason = f"no complete response within {self._timeout_s:g} s"
            return ChatReply(ReplyKind.TRANSIENT, reason, maybe_billed=True)
        finally:
            exchange.cancel()

    async def _exchange(self, body: bytes) -> ChatReply:
        try:
            async with (
                httpx2.AsyncClient(timeout=None, verify=True if self._tls is None else self._tls) as client,
                client.stream("POST", self._url, content=body, headers=self._headers) as response,
            ):
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_RESPONSE_BYTES:
                        return ChatReply(
                            ReplyKind.REJECTED,
                            f"the response has more than {MAX_RESPONSE_BYTES} bytes",
                            response.status_code,
                        )
                after_s = retry_delay_s(response.headers.get("retry-after"))
                return read_reply(response.status_code, bytes(content), after_s)
        except (httpx2.HTTPError, OSError, UnicodeError) as error:  # UnicodeError: a name that is no IDNA name
            reason = f"{type(error).__name__}: {error}"[:_SHOWN_CHARACTERS]
            return ChatReply(ReplyKind.TRANSIENT, reason, maybe_billed=not isinstance(error, httpx2.ConnectError))


def read_reply(status: int, content: bytes, retry_after_s: float = 0.0) -> ChatReply:
    """Return the reply of an HTTP response. Never raises, whatever the endpoint sent."""
    if status in _OK:
        return _completion(status, content)
    reason = f"HTTP {status}: {_error_text(content)}"
    if status in _FORBIDDEN:
        return ChatReply(ReplyKind.FORBIDDEN, reason, status)
    if status in _TRANSIENT or status not in _CLIENT_ERROR:
        return ChatReply(ReplyKind.TRANSIENT, reason, status, retry_after_s=retry_after_s)
    return ChatReply(ReplyKind.REJECTED, reason, status)


def _completion(status: int, content: bytes) -> ChatReply:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):  # brackets within brackets
        reason = f"the response is no JSON: {_one_line(content)}"
        return ChatReply(ReplyKind.TRANSIENT, reason, status, maybe_billed=True)
    match document:
        case {"choices": [{"message": {"refusal": str(text)}}, *_]}:
            finish_reason: object = "refusal"
        case {"choices": [{"message": {"tool_calls": [_, *_]}}, *_]}:
            text, finish_reason = "", "tool_calls"
        case {"choices": [{"message": {"content": str(text)}, **choice}, *_]}:
            finish_reason = choice.get("finish_reason")
        case {"choices": [{"message": dict(), **choice}, *_]}:
            text, finish_reason = "", choice.get("finish_reason")
        case _:
            return ChatReply(ReplyKind.TRANSIENT, f"the response is no chat completion: {_one_line(content)}", status)
    usage = document.get("usage")
    counted = usage if isinstance(usage, dict) else {}
    return ChatReply(
        ReplyKind.ANSWERED,
        "answered",
        status,
        text=text.encode(errors="replace").decode(),  # JSON can hold half a character, which no one can send on
        finish_reason=finish_reason if isinstance(finish_reason, str) else None,
        input_tokens=_count(counted.get("prompt_tokens")),
        output_tokens=_count(counted.get("completion_tokens")),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None


def _error_text(content: bytes) -> str:
    """Return the message of an error in the format of OpenAI, or else the beginning of the body."""
    try:
        match json.loads(content):
            case {"error": {"message": str(text)}} | {"error": str(text)} | {"message": str(text)}:
                return _one_line(text.encode())
            case {"detail": str(text)}:
                return _one_line(text.encode())
    except (ValueError, RecursionError):
        pass
    return _one_line(content)


def _one_line(content: bytes) -> str:
    text = content[: 4 * _SHOWN_CHARACTERS].decode(errors="replace")
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_SHOWN_CHARACTERS] or "an empty body"


def _checked(url: str) -> str:
    expected = "endpoint: expected http://HOST… or https://HOST…, without user name, password or query"
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        valid = None
    if not valid or parts.query or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(expected)
    return url.rstrip("/").removesuffix(_PATH) + _PATH
