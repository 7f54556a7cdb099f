"""Parses times and durations of the command line: `2026-01-01T12:00:00Z`, `-2h`, `90m`. Pure; reads no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from triptych.schemas.errors import UsageError

_NS_OF_UNIT: Final = {"d": 86_400_000_000_000, "h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000}
_DURATION: Final = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXPECTED: Final = "expected a time with a time zone (2026-01-01T12:00:00Z) or a duration before now (-2h, -1h30m)"


@dataclass(frozen=True, slots=True)
class TimePoint:
    """A point in time: `ns` nanoseconds since the epoch, or before the present if `before_now`."""

    ns: int
    before_now: bool = False

    def at(self, now_ns: int) -> int:
        """Return the nanoseconds since the epoch, if it is `now_ns` now."""
        return now_ns - self.ns if self.before_now else self.ns


def parse_time(text: str) -> TimePoint:
    """Parse an ISO 8601 time with a time zone, or a duration before now.

    Raises:
        UsageError: the text is neither, or has no time zone.
    """
    text = text.strip()
    if text.startswith("-"):
        duration_ns = _duration_ns(text[1:])
        if duration_ns is None:
            raise UsageError(f"{_EXPECTED}, got {text!r}")
        return TimePoint(duration_ns, before_now=True)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{_EXPECTED}, got {text!r}") from None
    if moment.tzinfo is None:
        raise UsageError(f"{_EXPECTED}, got {text!r}: add the time zone, such as {text}Z")
    if moment < _EPOCH:
        raise UsageError(f"{_EXPECTED} from 1970 on, got {text!r}")
    return TimePoint((moment - _EPOCH) // timedelta(microseconds=1) * 1_000)


def parse_duration(text: str) -> int:
    """Return a duration such as `10m` or `1h30m` in nanoseconds.

    Raises:
        UsageError: the text is not a duration with units.
    """
    duration_ns = _duration_ns(text.strip())
    if duration_ns is None:
        raise UsageError(f"expected a duration such as 90s, 10m, 1h30m or 2d, got {text!r}")
    return duration_ns


def _duration_ns(text: str) -> int | None:
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    return sum(int(count or 0) * unit for count, unit in zip(match.groups(), _NS_OF_UNIT.values(), strict=True))
