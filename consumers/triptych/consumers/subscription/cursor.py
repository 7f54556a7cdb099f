"""Where to begin: a cursor that a subscription gave, or a moment. Pure values; no clock is read."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from triptych.schemas.errors import UsageError
from triptych.units import NS_PER_US

SourceKind = Literal["redis", "kafka"]
Now = Literal["now"]
NOW: Final[Now] = "now"
_KINDS: Final[tuple[SourceKind, ...]] = ("redis", "kafka")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Times before 1973: somebody counted in seconds or milliseconds.
_LEAST_PLAUSIBLE_NS: Final = 10**17
_EXPECTED: Final = "a cursor, a time with its zone (2026-01-01T00:00:00Z), nanoseconds since the epoch, or now"


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a subscription has read; opaque to users, printed as `redis.…` or `kafka.…`.

    Attributes:
        kind: which source it belongs to.
        pipeline: whose results it counts.
        positions: the place (a stream, a partition) and how far it was read there, as the source writes it.
    """

    kind: SourceKind
    pipeline: str
    positions: Mapping[str, str]

    def __str__(self) -> str:
        """Write the cursor so that `parse_since` reads it."""
        content = json.dumps([self.pipeline, dict(self.positions)], separators=(",", ":"))
        return f"{self.kind}.{base64.urlsafe_b64encode(content.encode()).decode().rstrip('=')}"


Since = Cursor | datetime | int | str
"""What a user may give: a cursor, a moment (nanoseconds if a number), or either as text."""

Start = Cursor | int | Now | None
"""The same, understood: a cursor, nanoseconds since the epoch, from now on, or all there is."""


def parse_since(since: Since | None) -> Start:
    """Understand where the user wants to begin; raise `UsageError` where that is no cursor and no time."""
    match since:
        case None | Cursor():
            return since
        case datetime():
            return _nanoseconds(since, str(since))
        case str():
            return _parse_text(since.strip())
        case int():
            return _checked_ns(since)


def check_cursor(cursor: Cursor, kind: SourceKind, pipeline: str) -> None:
    """Raise `UsageError` where the cursor belongs to another source or pipeline."""
    if (cursor.kind, cursor.pipeline) != (kind, pipeline):
        msg = (
            f"since: expected a cursor of {kind} and pipeline {pipeline!r}, "
            f"got one of {cursor.kind} and pipeline {cursor.pipeline!r}"
        )
        raise UsageError(msg)


def _parse_text(text: str) -> Start:
    if text == NOW:
        return NOW
    if text.isascii() and text.isdigit():
        return _checked_ns(int(text))
    for kind in _KINDS:
        if text.startswith(f"{kind}."):
            return _parse_cursor(kind, text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _refusal(text) from None
    return _nanoseconds(moment, text)


def _parse_cursor(kind: SourceKind, text: str) -> Cursor:
    encoded = text.removeprefix(f"{kind}.")
    try:
        content = json.loads(base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _refusal(text) from None
    match content:
        case [str(pipeline), dict(positions)] if all(isinstance(position, str) for position in positions.values()):
            return Cursor(kind, pipeline, positions)
    raise _refusal(text)


def _nanoseconds(moment: datetime, text: str) -> int:
    if moment.tzinfo is None:
        raise UsageError(f"since: expected a time with its zone (…Z, …+02:00), got {text}")
    return (moment - _EPOCH) // timedelta(microseconds=1) * NS_PER_US


def _checked_ns(number: int) -> int:
    if 0 < number < _LEAST_PLAUSIBLE_NS or number < 0:
        raise UsageError(f"since: expected nanoseconds since the epoch (19 digits today), got {number}")
    return number


def _refusal(text: str) -> UsageError:
    return UsageError(f"since: expected {_EXPECTED}, got {text!r}")
