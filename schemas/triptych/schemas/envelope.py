"""The CloudEvents headers that all messages have: encoding and checks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.headers import Headers, RawHeaders
from triptych.schemas.reasons import DeadReason
from triptych.units import NS_PER_US

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - in UTC; a time without zone is written without an offset
_VERSION: Final = "1.0"
_VERSION_HEADER: Final = ("ce_specversion", _VERSION.encode())

Attributes = Mapping[str, str | int | float | None]
"""Header values by name. None omits a header."""


class Wire(NamedTuple):
    """A message on the wire: key, value and headers."""

    key: bytes
    value: bytes
    headers: RawHeaders


def as_headers(attributes: Attributes) -> RawHeaders:
    """Return attributes as raw headers, after the CloudEvents version."""
    present = [(name, str(value).encode()) for name, value in attributes.items() if value is not None]
    return (_VERSION_HEADER, *present)


def pipeline_source(pipeline: str) -> str:
    """Return the `ce_source` of a pipeline's own messages."""
    return f"/triptych/pipelines/{pipeline}"


def rfc3339(moment_ns: int) -> str:
    """Return a time in RFC 3339, with microseconds, as CloudEvents requires."""
    moment = _EPOCH + timedelta(microseconds=moment_ns // NS_PER_US)
    return f"{moment.isoformat(timespec='microseconds')}Z"


def check_version(read: Headers) -> None:
    """Raise `MalformedRecordError` unless the message is CloudEvents 1.0."""
    version = read.required("ce_specversion", _VERSION)
    if version != _VERSION:
        raise MalformedRecordError("ce_specversion", _VERSION, version, DeadReason.VERSION)


def check_type(read: Headers, wanted: str) -> None:
    """Raise `MalformedRecordError` unless the message has the wanted type."""
    ce_type = read.required("ce_type", wanted)
    if ce_type != wanted:
        raise MalformedRecordError("ce_type", wanted, ce_type, DeadReason.UNKNOWN_TYPE)
