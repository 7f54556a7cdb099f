"""Parse the times that users write (RFC 3339), exact to the nanosecond."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from triptych.schemas.errors import UsageError
from triptych.units import NS_PER_S

_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_YEAR: Final = 2200
"""Event time is a 63-bit number of nanoseconds, which ends in 2262. What starts in this year must still fit."""


def parse_time(text: str) -> int:
    """Return a time in nanoseconds since the epoch.

    Raises:
        UsageError: the text is no RFC 3339 time, or one that event time cannot hold.
    """
    match = _RFC3339.fullmatch(text.strip())
    day, second, fraction, zone = match.groups() if match else ("", "", None, "")
    try:
        time = datetime.fromisoformat(f"{day}T{second}{zone.upper().replace('Z', '+00:00')}")
    except ValueError:
        raise UsageError(f"expected a time such as 2026-01-01T00:00:00Z (RFC 3339), got {text!r}") from None
    if time < _EPOCH or time.year > _LAST_YEAR:
        raise UsageError(f"expected a time from 1970 to {_LAST_YEAR}, got {text!r}")
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * NS_PER_S + int((fraction or "").ljust(9, "0"))
