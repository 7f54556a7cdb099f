"""Keys of rows, and what they say."""

from __future__ import annotations

import pytest

from triptych.consumers.searching.rows import place_of_key, row_key
from triptych.schemas.names import window_id


@pytest.mark.parametrize("stream", ["city", "a/b", "7/1-2", "a|video", "-", "two\nlines", "城市/桥", " "])
@pytest.mark.parametrize(
    ("start_ns", "end_ns"), [(0, 2), (1_767_225_600_000_000_000, 1_767_225_602_000_000_000), (-9, -3)]
)
def test_a_key_says_where_its_row_is(stream: str, start_ns: int, end_ns: int) -> None:
    """Whatever signs the name of the stream has."""
    window = window_id(stream, start_ns, end_ns)
    assert place_of_key(row_key(window, "subtitles")) == {
        "window": window,
        "part": "subtitles",
        "stream": stream,
        "start_ns": start_ns,
        "end_ns": end_ns,
    }


@pytest.mark.parametrize("key", ["meta", "w1|video", "city/w|video", "city/1-|video", "city/1-2", "/1-2|video"])
def test_other_keys_say_nothing(key: str) -> None:
    """The windows of the contract have a stream, a start and an end in their ids."""
    assert place_of_key(key) is None
