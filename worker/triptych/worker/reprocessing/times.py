"""Times and lengths of time as people write them: `2026-01-01T12:00:00Z`, `-2h`, `90m`. Pure; no clock is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from triptych.schemas.errors import UsageError

_NS_OF_UNIT: Final = {"d": 86_400_000_000_000, "h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000}
_LENGTH: Final = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXPECTED: Final = "expected a time with its zone (2026-01-01T12:00:00Z) or a length of time before now (-2h, -1h30m)"


@dataclass(frozen=True, slots=True)
class SpanTime:
    """A moment in nanoseconds since the epoch; where `before_now`, so many nanoseconds before the present."""

    ns: int
    before_now: bool = False

    def at(self, now_ns: int) -> int:
        """Return the moment, seen from `now_ns`."""
        return now_ns - self.ns if self.before_now else self.ns


def parse_time(text: str) -> SpanTime:
    """Understand a time; raise `UsageError` where it is none, or has no zone."""
    text = text.strip()
    if text.startswith("-"):
        length_ns = _length_ns(text[1:])
        if length_ns is None:
            raise UsageError(f"{_EXPECTED}, got {text!r}")
        return SpanTime(length_ns, before_now=True)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{_EXPECTED}, got {text!r}") from None
    if moment.tzinfo is None:
        raise UsageError(f"{_EXPECTED}, got {text!r}: say its zone, such as {text}Z")
    if moment < _EPOCH:
        raise UsageError(f"{_EXPECTED} from 1970 on, got {text!r}")
    return SpanTime((moment - _EPOCH) // timedelta(microseconds=1) * 1_000)


def parse_length(text: str) -> int:
    """Return a length of time such as `10m` or `1h30m` in nanoseconds, or raise `UsageError`."""
    length_ns = _length_ns(text.strip())
    if length_ns is None:
        raise UsageError(f"expected a length of time such as 90s, 10m, 1h30m or 2d, got {text!r}")
    return length_ns


def _length_ns(text: str) -> int | None:
    match = _LENGTH.fullmatch(text)
    if match is None or not text:
        return None
    return sum(int(count or 0) * unit for count, unit in zip(match.groups(), _NS_OF_UNIT.values(), strict=True))
