"""Encode and decode changes of prompts and feedback: CloudEvents, as all messages. The value is JSON."""

from __future__ import annotations

from collections.abc import Iterable

from triptych.schemas.envelope import Wire, as_headers, check_type, check_version, pipeline_source, rfc3339
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.headers import Headers
from triptych.schemas.names import FEEDBACK_TYPE, PROMPT_TYPE
from triptych.schemas.perception.prompts import Feedback, PromptChange
from triptych.schemas.validation import built_from_json

_Pairs = Iterable[tuple[str, bytes | None]]


def encode_prompt_change(change: PromptChange, *, pipeline: str, moment_ns: int) -> Wire:
    """Return the message of a change that is made at `moment_ns`. The key is unique, so compaction keeps it."""
    return _wire(change, PROMPT_TYPE, pipeline=pipeline, moment_ns=moment_ns)


def encode_feedback(feedback: Feedback, *, pipeline: str) -> Wire:
    """Return the message of an answer."""
    return _wire(feedback, FEEDBACK_TYPE, pipeline=pipeline, moment_ns=feedback.given_ns)


def decode_prompt_change(value: bytes, headers: _Pairs) -> PromptChange:
    """Return the change of a message. Raises `MalformedRecordError` if it is not one."""
    change = built_from_json(PromptChange, _checked(value, headers, PROMPT_TYPE))
    if change.prompt is not None and change.prompt.name != change.name:
        raise MalformedRecordError("value.prompt.name", f"the name of the change, {change.name!r}", change.prompt.name)
    return change


def decode_feedback(value: bytes, headers: _Pairs) -> Feedback:
    """Return the answer of a message. Raises `MalformedRecordError` if it is not one."""
    return built_from_json(Feedback, _checked(value, headers, FEEDBACK_TYPE))


def _wire(message: PromptChange | Feedback, ce_type: str, *, pipeline: str, moment_ns: int) -> Wire:
    attributes = {
        "ce_id": message.key,
        "ce_source": pipeline_source(pipeline),
        "ce_type": ce_type,
        "ce_time": rfc3339(moment_ns),
        "content-type": "application/json",
    }
    return Wire(message.key.encode(), message.model_dump_json().encode(), as_headers(attributes))


def _checked(value: bytes, headers: _Pairs, ce_type: str) -> bytes:
    read = Headers(headers)
    check_version(read)
    check_type(read, ce_type)
    return value
