"""Parse a time that may also be an age: `2026-01-01T00:00:00Z`, `30m`, `7d`."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Final

from triptych.schemas.errors import UsageError
from triptych.schemas.values import MAX_NS
from triptych.units import NS_PER_S

_AGE: Final = re.compile(r"(\d{1,9})([smhd])")
_SECONDS_PER_UNIT: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def since_ns(text: str | None, now_ns: int | None = None) -> int:
    """Return the time in nanoseconds since the epoch, 0 for None. An age counts back from `now_ns`, or from now.

    A time beyond `MAX_NS` is that one: nothing has a later event time.

    Raises:
        UsageError: the text is neither a time with its zone nor an age.
    """
    if text is None:
        return 0
    age = _AGE.fullmatch(text)
    if age is not None:
        now_ns = time.time_ns() if now_ns is None else now_ns
        return max(0, now_ns - int(age[1]) * _SECONDS_PER_UNIT[age[2]] * NS_PER_S)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise UsageError(
            f"since: expected a time with its zone (2026-01-01T00:00:00Z) or an age (90s, 30m, 12h, 7d), got {text!r}"
        )
    return min(max(0, int(parsed.timestamp() * NS_PER_S)), MAX_NS)


def span_ns(
    since: str | None, until: str | None, options: tuple[str, str] = ("--since", "--until")
) -> tuple[int | None, int | None]:
    """Return the times of an interval in nanoseconds since the epoch, None where there is none.

    Args:
        since: its begin, a time or an age.
        until: its end, a time or an age.
        options: the names of the two options, for the message.

    Raises:
        UsageError: one is neither a time with its zone nor an age, or the interval ends before it begins.
    """
    now_ns = time.time_ns()
    begin_ns, end_ns = (None if text is None else since_ns(text, now_ns) for text in (since, until))
    if begin_ns is not None and end_ns is not None and end_ns <= begin_ns:
        raise UsageError(
            f"{options[1]}: expected a time after that of {options[0]}, got {until!r}, which is not after {since!r}"
        )
    return begin_ns, end_ns


def duration_ns(text: str | None, option: str) -> int:
    """Return a duration such as `5s` in nanoseconds, 0 for None. Raises `UsageError`, which names the option."""
    if text is None:
        return 0
    age = _AGE.fullmatch(text)
    if age is None:
        raise UsageError(f"{option}: expected a duration such as 5s, 2m or 1h, got {text!r}")
    return int(age[1]) * _SECONDS_PER_UNIT[age[2]] * NS_PER_S
