"""A moment as a person writes it (RFC 3339), in exact nanoseconds since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from triptych.schemas.errors import UsageError
from triptych.units import NS_PER_S

_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_YEAR: Final = 2200
"""Event time is a 63-bit number of nanoseconds, which ends in 2262; whatever is played must still fit behind."""


def parse_time(text: str) -> int:
    """Return the moment; raise `UsageError` where the text is none, or one that event time cannot hold."""
    match = _RFC3339.fullmatch(text.strip())
    day, second, fraction, zone = match.groups() if match else ("", "", None, "")
    try:
        moment = datetime.fromisoformat(f"{day}T{second}{zone.upper().replace('Z', '+00:00')}")
    except ValueError:
        raise UsageError(f"expected a time such as 2026-01-01T00:00:00Z (RFC 3339), got {text!r}") from None
    if moment < _EPOCH or moment.year > _LAST_YEAR:
        raise UsageError(f"expected a time from 1970 to {_LAST_YEAR}, got {text!r}")
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * NS_PER_S + int((fraction or "").ljust(9, "0"))
