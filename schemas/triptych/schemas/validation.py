"""Build contract values from untrusted input: a pydantic error becomes a `MalformedRecordError`.

The error names the header that carries the field, so the author of the record knows where to look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import LETTER_HEADER, REDRIVEN_HEADER
from triptych.schemas.reasons import DeadReason
from triptych.schemas.values import Value, hide_credentials

_V = TypeVar("_V", bound=Value)

HEADER_OF: Final = {
    "stream": "key",
    "id": "ce_id",
    "source": "ce_source",
    "session": "ce_session",
    "tracks": "ce_tracks",
    "start_ns": "ce_startns",
    "end_ns": "ce_endns",
    "next_ns": "ce_nextns",
    "seq": "ce_seq",
    "av_offset_ms": "ce_avoffsetms",
    "drift_ppm": "ce_driftppm",
    "content_type": "content-type",
    "width": "ce_width",
    "height": "ce_height",
    "sample_rate_hz": "ce_samplerate",
    "language": "ce_language",
    "generated_by": "ce_generatedby",
    "modality": "ce_subject",
    "data": "value",
    "text": "value",
    "pipeline": "ce_pipeline",
    "topic": "ce_origintopic",
    "partition": "ce_originpartition",
    "offset": "ce_originoffset",
    "arrival_ns": "ce_originarrivalns",
    "reason": "ce_reason",
    "code": "ce_reasoncode",
    "whole": "ce_originwhole",
    "state": "ce_state",
    "redriven": REDRIVEN_HEADER,
    "letter": LETTER_HEADER,
}
"""What carries each field: a header, `key` or `value`."""

_EXPECTED: Final = {
    "key": "a stream id of 1 to 128 of A-Z a-z 0-9 . _ -",
    "value": "a value that is not empty",
    "ce_id": "1 to 1024 characters, none of them a control character",
    "ce_source": "1 to 2048 characters without control characters, user name or password",
    "ce_session": "1 to 128 characters, none of them a control character",
    "ce_endns": "an end after ce_startns",
    "ce_language": "a language tag such as eng or pt-BR",
    "ce_pipeline": "a pipeline's name",
    "ce_origintopic": "a topic's name",
}

_CODE_OF: Final = {"key": DeadReason.BAD_STREAM, "value": DeadReason.EMPTY_VALUE}


def built(kind: type[_V], fields: Mapping[str, Any]) -> _V:
    """Return a value built from `fields`. Raises `MalformedRecordError`, which names the invalid header."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        field, expected, got = _complaint(error)
        header = HEADER_OF.get(field, field)
        shown = fields.get(field, got)
        if header == "ce_source":
            shown = hide_credentials(str(shown))
        code = _CODE_OF.get(header, DeadReason.BAD_HEADER)
        raise MalformedRecordError(header, _EXPECTED.get(header, expected), shown, code) from None


def built_from_json(kind: type[_V], document: bytes | str) -> _V:
    """Return the value of a JSON document. Raises `MalformedRecordError`, which names the invalid path."""
    try:
        return kind.model_validate_json(document, strict=True)
    except ValidationError as error:
        field, expected, got = _complaint(error)
        raise MalformedRecordError(f"value.{field}" if field else "value", expected, got) from None


def _complaint(error: ValidationError) -> tuple[str, str, object]:
    """Return the first validation error: the field, what was expected, and what came."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"] and ": " in message and first["type"] == "value_error":
        field, expected = message.split(": ", 1)
        return field, expected, first["input"].get(field) if isinstance(first["input"], dict) else first["input"]
    return ".".join(str(part) for part in first["loc"]), _expectation(first, message), _came(first)


def _expectation(first: ErrorDetails, message: str) -> str:
    match first["type"]:
        case "missing":
            return "this field"
        case "json_invalid":
            return "JSON"
        case _:
            # pydantic says "Input should be a valid integer"; our message begins with "expected".
            return message[:1].lower() + message[1:].replace(" should ", " to ", 1)


def _came(first: ErrorDetails) -> object:
    match first["type"]:
        case "missing":
            return "nothing"
        case "json_invalid":
            return first["msg"]
        case _:
            return first["input"]
