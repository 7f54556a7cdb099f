"""Parsing cursors and times."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.consumers.subscription.cursor import TOPIC_PLACE, Cursor, check_cursor, parse_since
from triptych.schemas.errors import UsageError

NEW_YEAR_NS = 1_767_225_600_000_000_000
names = st.from_regex(r"[A-Za-z0-9._-]{1,128}", fullmatch=True)
positions = st.dictionaries(names.filter(lambda name: name != TOPIC_PLACE), st.text(max_size=40))
cursors = st.builds(Cursor, st.just("redis"), names, positions) | st.builds(
    Cursor, st.just("kafka"), names, positions, st.text(max_size=40)
)


@given(cursors)
def test_a_cursor_can_be_printed_and_parsed(cursor: Cursor) -> None:
    """The text needs no quotes in a shell."""
    text = str(cursor)
    assert parse_since(text) == cursor
    assert parse_since(f" {text}\n") == cursor
    assert all(character.isalnum() or character in "._-" for character in text)


def test_releases_without_ids_can_read_a_cursor_with_one() -> None:
    """They look up partitions among the positions, and see no other place. A stream in Redis may be named like it."""
    cursor = Cursor("kafka", "a", {"0": "7"}, "an id")
    encoded = str(cursor).removeprefix("kafka.")
    content = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    assert content == ["a", {"0": "7", "topic": "an id"}]
    assert parse_since(str(cursor)) == cursor
    in_redis = Cursor("redis", "a", {"topic": "1-0"})
    assert parse_since(str(in_redis)) == in_redis


@given(st.text() | st.text().map("redis.".__add__) | cursors.map(lambda cursor: str(cursor)[:-3]))
def test_invalid_text_is_a_usage_error(text: str) -> None:
    """Nothing but a usage error is raised."""
    try:
        found = parse_since(text)
    except UsageError:
        return
    assert found == "now" or isinstance(found, (int, Cursor))


@pytest.mark.parametrize(
    "since",
    [
        NEW_YEAR_NS,
        str(NEW_YEAR_NS),
        "2026-01-01T00:00:00Z",
        "2026-01-01T02:00:00+02:00",
        "2026-01-01 00:00:00.000000+00:00",
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_a_time_is_accepted_in_every_form(since: int | str | datetime) -> None:
    """All of these are the same time."""
    assert parse_since(since) == NEW_YEAR_NS


def test_none_and_now_are_preserved() -> None:
    """None means everything."""
    assert parse_since(None) is None
    assert parse_since("now") == "now"
    assert parse_since(0) == 0
    assert parse_since("beginning") == 0


@pytest.mark.parametrize(
    "since",
    ["", "yesterday", "2026-01-01", "12:00", 1_767_225_600, "1767225600000", -1, datetime(2026, 1, 1)],  # noqa: DTZ001
)
def test_ambiguous_times_are_rejected(since: int | str | datetime) -> None:
    """Seconds, milliseconds, and times without a zone."""
    with pytest.raises(UsageError, match="since: expected"):
        parse_since(since)


def test_a_cursor_of_another_source_or_pipeline_is_rejected() -> None:
    """The message names both."""
    cursor = Cursor("redis", "a", {})
    check_cursor(cursor, "redis", "a")
    with pytest.raises(UsageError, match=r"kafka.*'a'.*redis"):
        check_cursor(cursor, "kafka", "a")
    with pytest.raises(UsageError, match=r"'b'.*'a'"):
        check_cursor(cursor, "redis", "b")
