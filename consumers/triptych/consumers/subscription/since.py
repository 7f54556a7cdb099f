"""Since when: a moment, or an age."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Final

from triptych.schemas.errors import UsageError
from triptych.units import NS_PER_S

_AGE: Final = re.compile(r"(\d{1,9})([smhd])")
_S_OF_UNIT: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def since_ns(text: str | None) -> int:
    """Return the moment that is meant, 0 for none; an age counts back from now. Raise `UsageError` for others."""
    if text is None:
        return 0
    age = _AGE.fullmatch(text)
    if age is not None:
        return max(0, time.time_ns() - int(age[1]) * _S_OF_UNIT[age[2]] * NS_PER_S)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(
            f"since: expected a moment with its zone (2026-01-01T00:00:00Z) or an age (90s, 30m, 12h, 7d), got {text!r}"
        )
    return max(0, int(moment.timestamp() * NS_PER_S))
