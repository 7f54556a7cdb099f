"""Subtitle text without its markup."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.producers.subtitles.markup import from_ass_event, from_tagged, normalise

EVENT = "0,0,Default,,0,0,0,,"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Plain, with commas, too", "Plain, with commas, too"),
        (r"{\i1}Hi{\i0}, you\Nand  me\hx", "Hi, you\nand me x"),
        (r"{\p1}m 0 0 l 100 0{\p0}after", "after"),
        (r"\{{}brace}", "{brace}"),
        (r"{\an8\fs20}", ""),
    ],
)
def test_an_ass_event_becomes_plain_text(text: str, expected: str) -> None:
    """Overrides and drawings are removed, line breaks stay."""
    assert from_ass_event(EVENT + text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<v Bob>Hi <c.red>you</c> &amp; me", "Hi you & me"),
        ("a < b and b > c", "a < b and b > c"),
        ("<00:00:01.500>karaoke", "karaoke"),
    ],
)
def test_tags_are_removed_and_comparisons_stay(text: str, expected: str) -> None:
    """Only what looks like a tag is one."""
    assert from_tagged(text) == expected


def test_text_is_normalised() -> None:
    """To NFC; without tabs, blank lines and control characters."""
    assert normalise("\ufeffe\u0301t\u00e9\x07 \t x \r\n\r\n y") == "\u00e9t\u00e9 x\ny"


@given(st.text())
def test_normalising_is_idempotent(text: str) -> None:
    """The result is always NFC."""
    once = normalise(text)

    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    """Whatever a file holds."""
    from_ass_event(text)
    from_tagged(text)
