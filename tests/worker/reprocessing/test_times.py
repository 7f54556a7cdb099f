"""Times and durations of the command line, and the commit metadata that stores a time range."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.schemas.errors import UsageError
from triptych.transport.topic_settings import TopicState
from triptych.worker.reprocessing.offset_range import may_be_deleted
from triptych.worker.reprocessing.time_range import (
    ResultSettings,
    TimeRange,
    TimeRangeRequest,
    check_matches,
    format_time,
    resolve_time_range,
)
from triptych.worker.reprocessing.times import TimePoint, parse_duration, parse_time

SECOND = 10**9
HOUR = 3_600 * SECOND
NOW = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
MARGIN = SECOND // 10
RESULT_SETTINGS = ResultSettings(window_ns=2 * SECOND, hop_ns=2 * SECOND, model="base")


def asked(since: str, until: str | None = None, **others: int) -> tuple[TimeRangeRequest, TimeRange]:
    """Return a request, and the range that it resolves to at `NOW`."""
    request = TimeRangeRequest(since=parse_time(since), until=None if until is None else parse_time(until), **others)
    return request, resolve_time_range(
        request, RESULT_SETTINGS, now_ns=NOW, margin_ns=MARGIN, default_lead_ns=600 * SECOND
    )


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2026-01-01T00:00:00Z", TimePoint(NOW)),
        ("2026-01-01T01:00:00+01:00", TimePoint(NOW)),
        ("2026-01-01T00:00:00.25Z", TimePoint(NOW + SECOND // 4)),
        ("-2h", TimePoint(2 * HOUR, before_now=True)),
        ("-1d2h3m4s", TimePoint(26 * HOUR + 184 * SECOND, before_now=True)),
    ],
)
def test_a_time_is_absolute_with_a_time_zone_or_relative_to_now(text: str, means: TimePoint) -> None:
    """Both are parsed exactly."""
    assert parse_time(text) == means


@pytest.mark.parametrize("text", ["", "-", "2h", "-2x", "-h", "2026-01-01T00:00:00", "yesterday", "1960-01-01T00:00Z"])
def test_an_ambiguous_time_is_rejected(text: str) -> None:
    """The message says what is expected."""
    with pytest.raises(UsageError, match="expected a time with a time zone"):
        parse_time(text)


def test_a_duration_has_units() -> None:
    """Empty text and bare numbers are rejected."""
    assert parse_duration("1h30m") == 5_400 * SECOND
    for text in ("", "10", "-10m"):
        with pytest.raises(UsageError, match="expected a duration"):
            parse_duration(text)


def test_without_until_a_range_ends_a_clock_margin_before_now() -> None:
    """Every record of the range has arrived by then. The default lead precedes its beginning."""
    time_range = asked("-2h")[1]
    assert (time_range.from_ns, time_range.until_ns) == (NOW - 2 * HOUR, NOW - MARGIN)
    assert time_range.read_from_ns == NOW - 2 * HOUR - 600 * SECOND


@pytest.mark.parametrize(
    ("since", "until", "says"),
    [
        ("-1h", "-2h", "--from: expected a time before"),
        ("-1h", "2026-01-01T00:00:00Z", "a time in the past.*; leave it out|--until"),
    ],
)
def test_an_impossible_range_is_rejected(since: str, until: str, says: str) -> None:
    """It must end after it begins, and in the past."""
    with pytest.raises(UsageError, match=says):
        asked(since, until)


@settings(max_examples=30)
@given(st.integers(0, 2**62), st.integers(0, 2**62), st.integers(0, 2**62), st.text(max_size=8), st.booleans())
def test_a_range_survives_the_round_trip_through_commit_metadata(
    begin: int,
    end: int,
    lead: int,
    model: str,
    done: bool,  # noqa: FBT001
) -> None:
    """For any range and any model name."""
    time_range = TimeRange(
        from_ns=begin, until_ns=end, lead_ns=lead, result_settings=replace(RESULT_SETTINGS, model=model), done=done
    )
    assert TimeRange.from_metadata(time_range.to_metadata()) == time_range


def test_the_commit_metadata_keeps_its_format() -> None:
    """Other versions of the worker read it."""
    time_range = TimeRange(from_ns=1, until_ns=2, lead_ns=3, result_settings=RESULT_SETTINGS, done=True)
    expected = '{"triptych-span":1,"span":[1,2,3],"judge":[2000000000,2000000000,"base"],"done":true}'
    assert time_range.to_metadata() == expected


def test_foreign_commit_metadata_stores_no_range() -> None:
    """The commits of a live pipeline have none. Metadata that looks like ours but cannot be read is an error."""
    assert TimeRange.from_metadata("") is None
    assert TimeRange.from_metadata("of somebody else") is None
    with pytest.raises(UsageError, match="another version"):
        TimeRange.from_metadata('{"triptych-span":2}')


def test_a_continued_reprocessing_must_have_the_same_settings() -> None:
    """Times relative to now match any range. Absolute times, the lead, windows and the model must be the same."""
    begun = asked("-2h")[1]
    later = replace(begun, from_ns=begun.from_ns + HOUR, until_ns=begun.until_ns + HOUR)
    check_matches("again", begun, asked("-2h")[0], later)
    with pytest.raises(UsageError, match="--from: 2025-12-31T22:00:00Z then, 2025-12-31T23:00:00Z now"):
        check_matches("again", begun, *asked("2025-12-31T23:00:00Z"))
    with pytest.raises(UsageError, match="--lead: 600 then, 5 now"):
        check_matches("again", begun, *asked("-2h", lead_ns=5 * SECOND))
    other = replace(begun, result_settings=ResultSettings(window_ns=SECOND, hop_ns=2 * SECOND, model="null"))
    with pytest.raises(UsageError, match=r"window.size_ms: 2000 then, 1000 now.*model.name: base then, null now"):
        check_matches("again", begun, asked("-2h")[0], other)


def test_retention_by_time_deletes_only_older_records() -> None:
    """Retention by time deletes records older than its limit, retention by bytes may delete any record."""
    week = {"retention.ms": str(7 * 24 * 3_600_000), "retention.bytes": "-1"}
    assert not may_be_deleted(TopicState("t", 6, week), NOW - HOUR, NOW)
    assert may_be_deleted(TopicState("t", 6, week), NOW - 8 * 24 * HOUR, NOW)
    assert not may_be_deleted(TopicState("t", 6, {"retention.ms": "-1"}), 0, NOW)
    assert may_be_deleted(TopicState("t", 6, week | {"retention.bytes": "1000"}), NOW - HOUR, NOW)


def test_a_time_is_formatted_to_the_millisecond() -> None:
    """Without a fraction if it is a whole second."""
    assert format_time(NOW) == "2026-01-01T00:00:00Z"
    assert format_time(NOW + 5_000_000) == "2026-01-01T00:00:00.005Z"
