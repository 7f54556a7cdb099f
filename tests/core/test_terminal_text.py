"""Text of others on a terminal."""

# ruff: noqa: RUF001 - Chinese has punctuation of its own

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.terminal_text import printable


@pytest.mark.parametrize("text", ["the bank", "绿带", "🤷\u200d♂️？", "e\u0301", "“quoted” \\ 'single'"])
def test_text_stays_as_it_is(text: str) -> None:
    """In any script, and with what joins an emoji."""
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\x1b[31mb", "a\\x1b[31mb"), ("two\nlines", "two\\nlines"), ("no \udcff", "no \\udcff"), ("\u202e", "\\u202e")],
)
def test_what_could_control_a_terminal_is_escaped(text: str, shown: str) -> None:
    """The rest of the text stays."""
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_nothing_else_is_left(text: str) -> None:
    """Any character is shown or escaped."""
    assert printable(text).replace("\u200c", "").replace("\u200d", "").isprintable()
