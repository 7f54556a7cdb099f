"""Where a subscription starts: at a cursor of an earlier subscription, or at a time. No clock, no I/O."""

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
BEGINNING: Final = "beginning"
TOPIC_PLACE: Final = "topic"
"""The place of a whole topic, beside its partitions. Its position is the id of the topic."""
_KINDS: Final[tuple[SourceKind, ...]] = ("redis", "kafka")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Numbers below this are before 1973: the caller gave seconds or milliseconds.
_MIN_PLAUSIBLE_NS: Final = 10**17
_EXPECTED: Final = (
    "a cursor, a time with its zone (2026-01-01T00:00:00Z), nanoseconds since the epoch, beginning, or now"
)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of a subscription. Opaque to users; printed as `redis.…` or `kafka.…`.

    Attributes:
        kind: the kind of source that it belongs to.
        pipeline: the pipeline whose results it counts.
        positions: position by place (a Redis stream or a Kafka partition), in the format of the source.
        topic_id: which results topic the positions belong to: one that is created again has another id. Empty if it is
            unknown, and for Redis.
    """

    kind: SourceKind
    pipeline: str
    positions: Mapping[str, str]
    topic_id: str = ""

    def __str__(self) -> str:
        """Return the cursor as text that `parse_since` accepts."""
        # Among the positions, the id does not disturb releases that know none.
        places = dict(self.positions) | ({TOPIC_PLACE: self.topic_id} if self.topic_id else {})
        content = json.dumps([self.pipeline, places], separators=(",", ":"))
        return f"{self.kind}.{base64.urlsafe_b64encode(content.encode()).decode().rstrip('=')}"


Since = Cursor | datetime | int | str
"""Where to start, as a user gives it: a cursor, a time (an integer is nanoseconds), or either as text."""

Start = Cursor | int | Now | None
"""Where to start, parsed: at a cursor, at a time in nanoseconds since the epoch, from now on, or at the beginning."""


def parse_since(since: Since | None) -> Start:
    """Parse where the user wants to start.

    Raises:
        UsageError: it is neither a cursor nor a time.
    """
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
    """Raise `UsageError` if the cursor belongs to another source or pipeline."""
    if (cursor.kind, cursor.pipeline) != (kind, pipeline):
        msg = (
            f"expected a cursor of {kind} and pipeline {pipeline!r}, "
            f"got one of {cursor.kind} and pipeline {cursor.pipeline!r}"
        )
        raise UsageError(msg)


def _parse_text(text: str) -> Start:
    if text == NOW:
        return NOW
    if text == BEGINNING:
        return 0
    if text.isascii() and text.isdigit():
        return _checked_ns(int(text))
    for kind in _KINDS:
        if text.startswith(f"{kind}."):
            return _parse_cursor(kind, text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise _invalid(text) from None
    return _nanoseconds(time, text)


def _parse_cursor(kind: SourceKind, text: str) -> Cursor:
    encoded = text.removeprefix(f"{kind}.")
    try:
        content = json.loads(base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid(text) from None
    match content:
        case [str(pipeline), dict(positions)] if all(isinstance(position, str) for position in positions.values()):
            # A stream in Redis may have any name.
            topic_id = positions.pop(TOPIC_PLACE, "") if kind == "kafka" else ""
            return Cursor(kind, pipeline, positions, topic_id)
    raise _invalid(text)


def _nanoseconds(time: datetime, text: str) -> int:
    if time.tzinfo is None:
        raise UsageError(f"since: expected a time with its zone (…Z, …+02:00), got {text}")
    return (time - _EPOCH) // timedelta(microseconds=1) * NS_PER_US


def _checked_ns(number: int) -> int:
    if 0 < number < _MIN_PLAUSIBLE_NS or number < 0:
        raise UsageError(f"since: expected nanoseconds since the epoch (19 digits today), got {number}")
    return number


def _invalid(text: str) -> UsageError:
    return UsageError(f"since: expected {_EXPECTED}, got {text!r}")
