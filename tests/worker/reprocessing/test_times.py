"""Times as people write them, and the note in which a span outlives the worker that began it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.schemas.errors import UsageError
from triptych.transport.topic_settings import TopicState
from triptych.worker.reprocessing.offset_range import may_be_deleted
from triptych.worker.reprocessing.time_range import Judge, SpanRequest, TimeRange, check_same, moment_text, span_of
from triptych.worker.reprocessing.times import SpanTime, parse_length, parse_time

SECOND = 10**9
HOUR = 3_600 * SECOND
NOW = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
MARGIN = SECOND // 10
JUDGE = Judge(window_ns=2 * SECOND, hop_ns=2 * SECOND, model="base")


def asked(since: str, until: str | None = None, **others: int) -> tuple[SpanRequest, TimeRange]:
    """Return a request, and what it means at `NOW`."""
    request = SpanRequest(since=parse_time(since), until=None if until is None else parse_time(until), **others)
    return request, span_of(request, JUDGE, now_ns=NOW, margin_ns=MARGIN, default_lead_ns=600 * SECOND)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2026-01-01T00:00:00Z", SpanTime(NOW)),
        ("2026-01-01T01:00:00+01:00", SpanTime(NOW)),
        ("2026-01-01T00:00:00.25Z", SpanTime(NOW + SECOND // 4)),
        ("-2h", SpanTime(2 * HOUR, before_now=True)),
        ("-1d2h3m4s", SpanTime(26 * HOUR + 184 * SECOND, before_now=True)),
    ],
)
def test_a_time_is_a_moment_with_its_zone_or_so_long_before_now(text: str, means: SpanTime) -> None:
    """Both are understood exactly."""
    assert parse_time(text) == means


@pytest.mark.parametrize("text", ["", "-", "2h", "-2x", "-h", "2026-01-01T00:00:00", "yesterday", "1960-01-01T00:00Z"])
def test_a_time_that_may_mean_several_is_refused(text: str) -> None:
    """The message says what is expected."""
    with pytest.raises(UsageError, match="expected a time with its zone"):
        parse_time(text)


def test_a_length_of_time_has_units() -> None:
    """Nothing and bare numbers are refused."""
    assert parse_length("1h30m") == 5_400 * SECOND
    for text in ("", "10", "-10m"):
        with pytest.raises(UsageError, match="expected a length of time"):
            parse_length(text)


def test_without_an_end_a_span_goes_to_what_has_surely_arrived() -> None:
    """That is now, less what the clocks may differ by; the default lead comes before its beginning."""
    span = asked("-2h")[1]
    assert (span.from_ns, span.until_ns) == (NOW - 2 * HOUR, NOW - MARGIN)
    assert span.read_from_ns == NOW - 2 * HOUR - 600 * SECOND


@pytest.mark.parametrize(
    ("since", "until", "says"),
    [
        ("-1h", "-2h", "--from: expected a time before"),
        ("-1h", "2026-01-01T00:00:00Z", "has passed; leave it away|--until"),
    ],
)
def test_a_span_that_cannot_be_is_refused(since: str, until: str, says: str) -> None:
    """Its end must lie behind its beginning, and in the past."""
    with pytest.raises(UsageError, match=says):
        asked(since, until)


@settings(max_examples=30)
@given(st.integers(0, 2**62), st.integers(0, 2**62), st.integers(0, 2**62), st.text(max_size=8), st.booleans())
def test_a_span_is_read_from_its_note_as_it_was(begin: int, end: int, lead: int, model: str, done: bool) -> None:  # noqa: FBT001
    """Whatever it is, and whatever the model's name."""
    span = TimeRange(from_ns=begin, until_ns=end, lead_ns=lead, judge=replace(JUDGE, model=model), done=done)
    assert TimeRange.from_note(span.to_note()) == span


def test_a_foreign_note_tells_of_no_span() -> None:
    """A live pipeline's commits have none; what begins like ours and is none of ours is an error."""
    assert TimeRange.from_note("") is None
    assert TimeRange.from_note("of somebody else") is None
    with pytest.raises(UsageError, match="another version"):
        TimeRange.from_note('{"triptych-span":2}')


def test_who_goes_on_must_ask_for_the_same() -> None:
    """Times before now agree with any; fixed times, the lead, windows and model must be those of the beginning."""
    begun = asked("-2h")[1]
    later = replace(begun, from_ns=begun.from_ns + HOUR, until_ns=begun.until_ns + HOUR)
    check_same("again", begun, asked("-2h")[0], later)
    with pytest.raises(UsageError, match="--from: 2025-12-31T22:00:00Z then, 2025-12-31T23:00:00Z now"):
        check_same("again", begun, *asked("2025-12-31T23:00:00Z"))
    with pytest.raises(UsageError, match="--lead: 600 then, 5 now"):
        check_same("again", begun, *asked("-2h", lead_ns=5 * SECOND))
    other = replace(begun, judge=Judge(window_ns=SECOND, hop_ns=2 * SECOND, model="null"))
    with pytest.raises(UsageError, match=r"window.size_ms: 2000 then, 1000 now.*model.name: base then, null now"):
        check_same("again", begun, asked("-2h")[0], other)


def test_retention_may_have_taken_only_what_is_older_than_it_allows() -> None:
    """By time: what came before its limit. By bytes: anything."""
    week = {"retention.ms": str(7 * 24 * 3_600_000), "retention.bytes": "-1"}
    assert not may_be_deleted(TopicState("t", 6, week), NOW - HOUR, NOW)
    assert may_be_deleted(TopicState("t", 6, week), NOW - 8 * 24 * HOUR, NOW)
    assert not may_be_deleted(TopicState("t", 6, {"retention.ms": "-1"}), 0, NOW)
    assert may_be_deleted(TopicState("t", 6, week | {"retention.bytes": "1000"}), NOW - HOUR, NOW)


def test_a_moment_is_written_to_the_millisecond() -> None:
    """Without a fraction where it has none."""
    assert moment_text(NOW) == "2026-01-01T00:00:00Z"
    assert moment_text(NOW + 5_000_000) == "2026-01-01T00:00:00.005Z"
