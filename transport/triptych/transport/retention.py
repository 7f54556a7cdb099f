"""Parse how long a topic keeps records: `90s`, `30m`, `12h`, `7d`, `forever`."""

from __future__ import annotations

import re

from triptych.schemas.errors import UsageError

FOREVER_MS = -1
"""Kafka's value for keeping everything."""
_MS_PER_UNIT = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def retention_ms(text: str) -> int:
    """Return the retention in milliseconds. Raises `UsageError` if the text is invalid."""
    if text == "forever":
        return FOREVER_MS
    match = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if match is None or int(match[1]) == 0:
        raise UsageError(f"retention: expected 90s, 30m, 12h, 7d or forever, got {text!r}")
    return int(match[1]) * _MS_PER_UNIT[match[2]]
