"""What all messages have in common: CloudEvents' own headers, written and checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.headers import Headers, RawHeaders
from triptych.schemas.reasons import DeadReason
from triptych.units import NS_PER_US

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION: Final = "1.0"

Attributes = Mapping[str, str | int | float | None]
"""Headers by name; None leaves one out."""


class Wire(NamedTuple):
    """A message as it travels: key, value and headers."""

    key: bytes
    value: bytes
    headers: RawHeaders


def as_headers(attributes: Attributes) -> RawHeaders:
    """Return attributes as headers, the version of CloudEvents before them."""
    present = {"ce_specversion": _VERSION} | {name: value for name, value in attributes.items() if value is not None}
    return tuple((name, str(value).encode()) for name, value in present.items())


def pipeline_source(pipeline: str) -> str:
    """Return what a pipeline's own messages give as their source."""
    return f"/triptych/pipelines/{pipeline}"


def rfc3339(moment_ns: int) -> str:
    """Return a moment as CloudEvents write it, to the microsecond."""
    moment = _EPOCH + timedelta(microseconds=moment_ns // NS_PER_US)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def check_version(read: Headers) -> None:
    """Raise where the message is written after another version of CloudEvents."""
    version = read.required("ce_specversion", _VERSION)
    if version != _VERSION:
        raise MalformedRecordError("ce_specversion", _VERSION, version, DeadReason.VERSION)


def check_type(read: Headers, wanted: str) -> None:
    """Raise where the message is of another kind."""
    ce_type = read.required("ce_type", wanted)
    if ce_type != wanted:
        raise MalformedRecordError("ce_type", wanted, ce_type, DeadReason.UNKNOWN_TYPE)
