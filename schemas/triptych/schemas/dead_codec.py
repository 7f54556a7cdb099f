"""Encode and decode dead letters, redrive marks and redriven records."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from typing import Final, NamedTuple

from triptych.schemas.dead import DeadLetter, RedriveMark
from triptych.schemas.envelope import Attributes, Wire, as_headers, check_type, check_version, pipeline_source, rfc3339
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.headers import Headers
from triptych.schemas.names import (
    DEAD_TYPE,
    LETTER_HEADER,
    ORIGINAL64_HEADER_PREFIX,
    ORIGINAL_HEADER_PREFIX,
    REDRIVE_TYPE,
    REDRIVEN_HEADER,
)
from triptych.schemas.validation import built

_REDRIVE_HEADERS: Final = frozenset({REDRIVEN_HEADER, LETTER_HEADER})

Pairs = Iterable[tuple[str, bytes | None]]

_REDRIVEN: Final = (REDRIVEN_HEADER, b"true")


class RedriveOrigin(NamedTuple):
    """The dead letter that a redriven record names: its pipeline and id; empty if the record does not name one."""

    pipeline: str
    letter_id: str


def encode_dead(letter: DeadLetter) -> Wire:
    """Return the message of a dead letter: the record's key and value, and its headers under a prefix.

    CloudEvents requires UTF-8 in the key and in each header. Anything else is base64: a key in `ce_originkey` (the
    letter's own key is then empty), a header under another prefix.
    """
    key_is_text = letter.key is not None and _is_utf8(letter.key)
    attributes: Attributes = {
        "ce_id": letter.id,
        "ce_source": pipeline_source(letter.pipeline),
        "ce_type": DEAD_TYPE,
        "ce_time": rfc3339(letter.arrival_ns),
        "content-type": "application/octet-stream",
        "ce_pipeline": letter.pipeline,
        "ce_origintopic": letter.topic,
        "ce_originpartition": letter.partition,
        "ce_originoffset": letter.offset,
        "ce_originarrivalns": letter.arrival_ns,
        "ce_reason": letter.reason,
        "ce_reasoncode": letter.code,
        "ce_originwhole": None if letter.whole else "false",
        "ce_originkeyed": "false" if letter.key is None else None,
        "ce_originkey": None if letter.key is None or key_is_text else b64encode(letter.key).decode(),
    }
    originals = tuple(_kept_header(name, value) for name, value in letter.headers)
    return Wire(letter.key if letter.key and key_is_text else b"", letter.value, as_headers(attributes) + originals)


def decode_dead(key: bytes | None, value: bytes | None, headers: Pairs) -> DeadLetter:
    """Return the dead letter of a message. Raises `MalformedRecordError` if it is not one."""
    pairs = tuple(headers)
    read = Headers(pairs)
    check_version(read)
    check_type(read, DEAD_TYPE)
    fields = _place(read) | {
        "arrival_ns": read.required_number("ce_originarrivalns"),
        "reason": read.required("ce_reason", "a reason"),
        "code": read.text("ce_reasoncode"),
        "whole": read.flag("ce_originwhole", default=True),
        "key": _original_key(key, read),
        "value": value or b"",
        "headers": tuple(_original_headers(pairs)),
    }
    return built(DeadLetter, fields)


def encode_mark(mark: RedriveMark, *, moment_ns: int) -> Wire:
    """Return the message of a mark made at `moment_ns`. It has no key: it is sent to the letter's partition."""
    attributes: Attributes = {
        "ce_id": f"{mark.id}/{mark.state}",
        "ce_source": pipeline_source(mark.pipeline),
        "ce_type": REDRIVE_TYPE,
        "ce_time": rfc3339(moment_ns),
        "ce_pipeline": mark.pipeline,
        "ce_origintopic": mark.topic,
        "ce_originpartition": mark.partition,
        "ce_originoffset": mark.offset,
        "ce_state": mark.state,
    }
    return Wire(b"", b"", as_headers(attributes))


def decode_mark(headers: Pairs) -> RedriveMark:
    """Return the mark of a message. Raises `MalformedRecordError` if it is not one."""
    read = Headers(headers)
    check_version(read)
    check_type(read, REDRIVE_TYPE)
    return built(RedriveMark, _place(read) | {"state": read.required("ce_state", "begun or done")})


def is_mark(headers: Pairs) -> bool:
    """Return whether a message of the dead-letter topic is a mark."""
    return (("ce_type", REDRIVE_TYPE.encode())) in headers


def redriven_message(letter: DeadLetter) -> Wire:
    """Return the letter's record as it was, marked as redriven."""
    own = tuple((name, value) for name, value in letter.headers if name not in _REDRIVE_HEADERS)
    marks = ((REDRIVEN_HEADER, b"true"), (LETTER_HEADER, f"{letter.pipeline}/{letter.id}".encode()))
    return Wire(letter.key or b"", letter.value, own + marks)


def read_redrive_origin(headers: Pairs) -> RedriveOrigin | None:
    """Return the dead letter that a redriven record names; None for other records. Never raises, however malformed."""
    if _REDRIVEN not in headers:  # almost every record: do not index its headers
        return None
    found = dict(headers)
    if found.get(REDRIVEN_HEADER) != b"true":
        return None
    pipeline, _, letter_id = (found.get(LETTER_HEADER) or b"").decode(errors="replace").partition("/")
    return RedriveOrigin(pipeline, letter_id)


def _place(read: Headers) -> dict[str, str | int]:
    return {
        "pipeline": read.required("ce_pipeline", "the pipeline's name"),
        "topic": read.required("ce_origintopic", "a topic"),
        "partition": read.required_number("ce_originpartition"),
        "offset": read.required_number("ce_originoffset"),
    }


def _kept_header(name: str, value: bytes) -> tuple[str, bytes]:
    if _is_utf8(value):
        return ORIGINAL_HEADER_PREFIX + name, value
    return ORIGINAL64_HEADER_PREFIX + name, b64encode(value)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _original_key(key: bytes | None, read: Headers) -> bytes | None:
    if not read.flag("ce_originkeyed", default=True):
        return None
    encoded = read.raw("ce_originkey")
    return key if encoded is None else _from_base64("ce_originkey", encoded)


def _original_headers(pairs: Pairs) -> Iterable[tuple[str, bytes]]:
    for name, value in pairs:
        if name.startswith(ORIGINAL64_HEADER_PREFIX):
            yield name.removeprefix(ORIGINAL64_HEADER_PREFIX), _from_base64(name, value or b"")
        elif name.startswith(ORIGINAL_HEADER_PREFIX):
            yield name.removeprefix(ORIGINAL_HEADER_PREFIX), value or b""


def _from_base64(name: str, value: bytes) -> bytes:
    try:
        return b64decode(value, validate=True)
    except Base64Error:
        raise MalformedRecordError(name, "base64", value) from None
