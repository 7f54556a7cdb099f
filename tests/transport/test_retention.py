"""Parsing the retention of topics."""

from __future__ import annotations

import pytest

from triptych.schemas.errors import UsageError
from triptych.transport.retention import retention_ms


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90_000), ("30m", 1_800_000), ("12h", 43_200_000), ("7d", 604_800_000), ("forever", -1)],
)
def test_durations_are_parsed(text: str, expected: int) -> None:
    """Seconds, minutes, hours, days, and forever."""
    assert retention_ms(text) == expected


@pytest.mark.parametrize("text", ["", "7", "d", "0s", "-1d", "1.5h", "7 d", "7D", "1d12h", "9999999999s"])
def test_anything_else_is_a_usage_error(text: str) -> None:
    """The message lists valid durations."""
    with pytest.raises(UsageError, match="expected 90s, 30m, 12h, 7d or forever"):
        retention_ms(text)
