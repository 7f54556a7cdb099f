"""Parsing of the times that users write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.producers.user_times import parse_time
from triptych.schemas.errors import UsageError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("2026-01-01T00:00:00Z", 1_767_225_600_000_000_000),
        ("2026-01-01t01:00:00+01:00", 1_767_225_600_000_000_000),
        ("2026-01-01 00:00:00.000000001Z", 1_767_225_600_000_000_001),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_a_time_is_exact_to_the_nanosecond(text: str, expected_ns: int) -> None:
    """Time zones, fractions and lower-case letters are as RFC 3339 allows them."""
    assert parse_time(text) == expected_ns


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 12, 31)))  # noqa: DTZ001 - the zone is added
def test_isoformat_round_trips(moment: datetime) -> None:
    """Parsing what `datetime.isoformat` writes gives the same time."""
    moment = moment.replace(tzinfo=UTC)

    assert parse_time(moment.isoformat()) == (moment - EPOCH) // timedelta(microseconds=1) * 1_000


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z"]
)
def test_anything_else_is_a_usage_error(text: str) -> None:
    """The message says what was expected."""
    with pytest.raises(UsageError, match="expected a time"):
        parse_time(text)
