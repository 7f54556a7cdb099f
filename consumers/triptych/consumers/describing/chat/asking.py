"""Ask a model about a window: probe what the endpoint takes, retry, degrade, and validate the answer."""

from __future__ import annotations

import base64
import io
import random
import threading
import time
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Literal

import structlog
from PIL import Image

from triptych.consumers.alerts.http_post import MAX_RETRY_AFTER_S
from triptych.consumers.describing.chat.answer import InvalidAnswerError, ModelAnswer, read_answer
from triptych.consumers.describing.chat.endpoint import ChatEndpoint, ChatReply, ReplyKind, RequestStoppedError
from triptych.consumers.describing.chat.question import Inquiry, WindowQuestion, answer_schema
from triptych.consumers.describing.chat.window_message import Part, WindowMedia, window_parts
from triptych.schemas.errors import TriptychError
from triptych.schemas.results import Result

log = structlog.get_logger(__name__)

MAX_INVALID_ANSWERS: Final = 2
"""How often a window is asked about whose answers are not valid."""

_MIN_BACKOFF_S: Final = 1.0
_PROBE_TOKENS: Final = 64
_PROBE_EDGE: Final = 64
_PROBE_RATE_HZ: Final = 16_000
_CHARACTERS_PER_TOKEN: Final = 3
_TOKENS_PER_PICTURE: Final = 1_000
_TOKENS_PER_SOUND: Final = 200
_UNSUPPORTED: Final = frozenset({500, 501})
"""Statuses with which some servers (llama.cpp) reject content that their model does not take."""

AnswerFormat = Literal["json_schema", "json_object", "text"]


class EndpointRejectedError(TriptychError):
    """The endpoint rejects the key, the model, or every request. Nothing helps until a person acts."""

    exit_code: ClassVar[int] = 5


@dataclass(frozen=True, slots=True)
class EndpointAbilities:
    """What an endpoint takes, and in which form it answers."""

    pictures: bool = True
    audio: bool = False
    answer_format: AnswerFormat = "json_schema"
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"


@dataclass(slots=True)
class TokenUse:
    """The tokens of all attempts for one window. `estimated` if the endpoint did not report those of one of them."""

    input_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False

    def add(self, reply: ChatReply, body: dict[str, Any]) -> None:
        """Add what a reply has cost; where the endpoint does not say, an estimate."""
        if reply.kind is not ReplyKind.ANSWERED and not reply.maybe_billed:
            return
        self.estimated |= reply.input_tokens is None or reply.output_tokens is None
        self.input_tokens += estimated_tokens(body["messages"]) if reply.input_tokens is None else reply.input_tokens
        wrote = len(reply.text) // _CHARACTERS_PER_TOKEN + 1 if reply.output_tokens is None else reply.output_tokens
        self.output_tokens += wrote


@dataclass(frozen=True, slots=True)
class Asked:
    """The outcome for one window. Without an answer, `reason` says why; `given_up` if no reply came in time."""

    use: TokenUse
    abilities: EndpointAbilities
    questions: tuple[WindowQuestion, ...] = ()
    answer: ModelAnswer | None = None
    reason: str = ""
    given_up: bool = False
    invalid: bool = False


@dataclass(frozen=True, slots=True)
class AskingLimits:
    """Limits of the requests for one window."""

    max_output_tokens: int = 700
    give_up_after_s: float = 600.0
    min_backoff_s: float = _MIN_BACKOFF_S


def request_body(
    inquiry: Inquiry, result: Result, media: WindowMedia, abilities: EndpointAbilities, max_output_tokens: int
) -> dict[str, Any]:
    """Return the body of the request about one window. It offers no tools."""
    questions = inquiry.questions_about(result)
    parts = window_parts(result, media, pictures=abilities.pictures, audio=abilities.audio)
    # Servers of text models take a plain string, and not all of them a list of parts.
    content: list[Part] | str = parts if len(parts) > 1 or parts[0]["type"] != "text" else parts[0]["text"]
    instructions = inquiry.instructions(questions, with_schema=abilities.answer_format != "json_schema")
    body: dict[str, Any] = {
        "model": inquiry.model,
        "messages": [{"role": "system", "content": instructions}, {"role": "user", "content": content}],
        abilities.limit_field: max_output_tokens,
        "stream": False,
    }
    return body | _response_format(abilities.answer_format, answer_schema(questions))


def estimated_tokens(messages: list[dict[str, Any]]) -> int:
    """Estimate the tokens of messages: by characters, and a constant for each picture and sound."""
    tokens = 0
    for message in messages:
        content = message["content"]
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            match part["type"]:
                case "text":
                    tokens += len(part["text"]) // _CHARACTERS_PER_TOKEN
                case "image_url":
                    tokens += _TOKENS_PER_PICTURE
                case _:
                    tokens += _TOKENS_PER_SOUND
    return tokens


def _response_format(answer_format: AnswerFormat, schema: dict[str, Any]) -> dict[str, Any]:
    match answer_format:
        case "json_schema":
            named = {"name": "window_description", "strict": True, "schema": schema}
            return {"response_format": {"type": "json_schema", "json_schema": named}}
        case "json_object":
            return {"response_format": {"type": "json_object"}}
        case _:
            return {}


@dataclass(slots=True)
class _RetryDelay:
    """Grows with each failure, with jitter, so that failed programs do not retry all at once."""

    seconds: float

    def next_s(self, requested_s: float) -> float:
        delay_s = max(requested_s, self.seconds * random.uniform(0.5, 1))  # noqa: S311 - not a secret
        self.seconds = min(self.seconds * 2, MAX_RETRY_AFTER_S)
        return delay_s


@dataclass(slots=True)
class WindowAsker:
    """Asks about windows, from any number of threads at once."""

    endpoint: ChatEndpoint
    inquiry: Inquiry
    limits: AskingLimits
    stop: threading.Event
    abilities: EndpointAbilities = field(default_factory=EndpointAbilities)
    clock_s: Callable[[], float] = time.monotonic
    on_reply: Callable[[ChatReply, float], None] = lambda _reply, _seconds: None
    _degraded: bool = False

    def probe(self, *, audio: bool) -> EndpointAbilities:
        """Find out what the endpoint takes, with up to six tiny requests. Blocks until it answers.

        Raises:
            EndpointRejectedError: it rejects the key, the model or a plain request.
            RequestStoppedError: the program ends.
        """
        abilities = EndpointAbilities(pictures=False, audio=False, answer_format="text")
        first = self._probe(abilities, [])
        if first.kind is ReplyKind.REJECTED:
            abilities = replace(abilities, limit_field="max_completion_tokens")
            if self._probe(abilities, []).kind is ReplyKind.REJECTED:
                raise EndpointRejectedError(
                    f"endpoint {self.endpoint}: expected it to answer with the model {self.inquiry.model!r}, got "
                    f"{first.reason}; check --endpoint and --model"
                )
        pictures = self._accepts(abilities, _probe_picture())
        sound = audio and self._accepts(abilities, _probe_sound())
        abilities = replace(abilities, pictures=pictures, audio=sound)
        for answer_format in _structured_formats():
            if self._accepts(replace(abilities, answer_format=answer_format)):
                abilities = replace(abilities, answer_format=answer_format)
                break
        self.abilities = abilities
        log.info(
            "endpoint_probed",
            endpoint=str(self.endpoint),
            model=self.inquiry.model,
            pictures=pictures,
            audio=sound,
            answer_format=abilities.answer_format,
        )
        return abilities

    def ask(self, result: Result, media: WindowMedia) -> Asked:
        """Ask about one window until there is a valid answer, or no further attempt is due. Blocks.

        Raises:
            EndpointRejectedError: the endpoint rejects the key.
            RequestStoppedError: the program ends.
        """
        questions = self.inquiry.questions_about(result)
        asked = Asked(TokenUse(), self.abilities, questions)
        invalid = 0
        for body, reply in self._attempts(result, media, asked):
            asked = replace(asked, abilities=_abilities_of(body, asked.abilities))
            if reply.kind is not ReplyKind.ANSWERED:
                gave_up = reply.kind is ReplyKind.TRANSIENT
                return replace(asked, reason=reply.reason, given_up=gave_up)
            try:
                return replace(asked, answer=_valid_answer(reply, questions))
            except InvalidAnswerError as error:
                invalid += 1
                if invalid >= MAX_INVALID_ANSWERS:
                    return replace(asked, reason=str(error), invalid=True)
        raise RequestStoppedError

    def _attempts(self, result: Result, media: WindowMedia, asked: Asked) -> Iterator[tuple[dict[str, Any], ChatReply]]:
        """Yield answers, as long as the caller wants another one, or the reply that ends the attempts."""
        abilities, backoff = asked.abilities, _RetryDelay(self.limits.min_backoff_s)
        deadline_s = self.clock_s() + self.limits.give_up_after_s
        while not self.stop.is_set():
            body = request_body(self.inquiry, result, media, abilities, self.limits.max_output_tokens)
            reply = self._send(body)
            asked.use.add(reply, body)
            if reply.kind is ReplyKind.ANSWERED:
                yield body, reply
            elif reply.kind is ReplyKind.REJECTED and (abilities.pictures or abilities.audio):
                self._log_degraded(reply)
                abilities = replace(abilities, pictures=False, audio=False)
            elif reply.kind is ReplyKind.REJECTED or self.clock_s() >= deadline_s:
                yield body, reply
                return
            else:
                self._wait(reply, backoff, left_s=deadline_s - self.clock_s())

    def _wait(self, reply: ChatReply, backoff: _RetryDelay, *, left_s: float) -> None:
        # The last attempt is made when the time is up, not later.
        delay_s = max(0.0, min(backoff.next_s(reply.retry_after_s), left_s))
        log.warning(
            "endpoint_unavailable", endpoint=str(self.endpoint), reason=reply.reason, again_in_s=round(delay_s, 1)
        )
        self.stop.wait(delay_s)

    def _log_degraded(self, reply: ChatReply) -> None:
        if not self._degraded:
            self._degraded = True
            log.warning("description_degraded", endpoint=str(self.endpoint), reason=reply.reason, sent="text only")

    def _send(self, body: dict[str, Any]) -> ChatReply:
        began_s = self.clock_s()
        reply = self.endpoint.complete(body, self.stop.is_set)
        self.on_reply(reply, self.clock_s() - began_s)
        if reply.kind is ReplyKind.FORBIDDEN:
            raise EndpointRejectedError(
                f"endpoint {self.endpoint}: expected it to accept the key, got {reply.reason}; see --key-file"
            )
        return reply

    def _accepts(self, abilities: EndpointAbilities, parts: list[Part] | None = None) -> bool:
        reply = self._probe(abilities, parts or [], may_fail=True)
        return reply.kind is ReplyKind.ANSWERED

    def _probe(self, abilities: EndpointAbilities, parts: list[Part], *, may_fail: bool = False) -> ChatReply:
        """Send a tiny request until it is answered or rejected; with `may_fail`, a failing server rejects it."""
        text: Part = {"type": "text", "text": 'Answer with the JSON object {"ok": true}.'}
        schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
        body: dict[str, Any] = {
            "model": self.inquiry.model,
            "messages": [{"role": "user", "content": [*parts, text] if parts else text["text"]}],
            abilities.limit_field: _PROBE_TOKENS,
            "stream": False,
        }
        strict = schema | {"required": ["ok"], "additionalProperties": False}
        body |= _response_format(abilities.answer_format, strict)
        backoff = _RetryDelay(self.limits.min_backoff_s)
        while not self.stop.is_set():
            reply = self._send(body)
            if reply.kind is not ReplyKind.TRANSIENT or (may_fail and reply.status in _UNSUPPORTED):
                return reply
            self._wait(reply, backoff, left_s=MAX_RETRY_AFTER_S)
        raise RequestStoppedError


def _structured_formats() -> tuple[AnswerFormat, ...]:
    return "json_schema", "json_object"


def _abilities_of(body: dict[str, Any], abilities: EndpointAbilities) -> EndpointAbilities:
    """Return what a request used of the abilities: pictures and sound may have been left out."""
    content = body["messages"][-1]["content"]
    kinds = set() if isinstance(content, str) else {part["type"] for part in content}
    return replace(abilities, pictures="image_url" in kinds, audio="input_audio" in kinds)


def _valid_answer(reply: ChatReply, questions: tuple[WindowQuestion, ...]) -> ModelAnswer:
    match reply.finish_reason:
        case "refusal" | "content_filter":
            raise InvalidAnswerError(f"the model refused to answer: {reply.text[:200]!r}")
        case "tool_calls" | "function_call":
            raise InvalidAnswerError("expected an answer, got a call of a tool; none was offered")
        case "length":
            raise InvalidAnswerError(
                f"the answer was cut after {reply.output_tokens or 'too many'} tokens; raise --max-output-tokens"
            )
    return read_answer(reply.text, questions)


def _probe_picture() -> list[Part]:
    out = io.BytesIO()
    Image.new("RGB", (_PROBE_EDGE, _PROBE_EDGE), (128, 128, 128)).save(out, "JPEG")
    url = f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode('ascii')}"
    return [{"type": "image_url", "image_url": {"url": url}}]


def _probe_sound() -> list[Part]:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_PROBE_RATE_HZ)
        file.writeframes(bytes(_PROBE_RATE_HZ))
    data = base64.b64encode(out.getvalue()).decode("ascii")
    return [{"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}]
