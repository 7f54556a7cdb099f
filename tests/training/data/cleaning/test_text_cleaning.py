"""Noise in text is removed and reported; words stay."""

from __future__ import annotations

import pytest

from triptych.training.data.cleaning.text_cleaning import clean_text


@pytest.mark.parametrize(
    ("text", "left", "noise"),
    [
        ("How nice", "How nice", ()),
        ("  How\n nice ", "How nice", ()),
        ("\u4f60\u597d \U0001f468\u200d\U0001f469", "\u4f60\u597d \U0001f468\u200d\U0001f469", ()),
        ("5 < 6 and a > b", "5 < 6 and a > b", ()),
        ("<i>How</i> nice &amp; so {\\an8}on", "How nice & so on", ("markup",)),
        ("look https://t.co/x?y here", "look here", ("a link",)),
        ("I don\u00e2\u20ac\u2122t", "I don\u2019t", ("another encoding",)),
        ("caf\u00c3\u00a9", "caf\u00e9", ("another encoding",)),
        ("\u00c3o", "\u00c3o", ()),
        ("a\x00b\u202ec", "abc", ("control characters",)),
        ("so\ufffd", "so", ("lost characters",)),
        ("\u266a ... \u266a", "", ("no words",)),
        ("", "", ("no words",)),
    ],
)
def test_words_stay(text: str, left: str, noise: tuple[str, ...]) -> None:
    """In any script, and if they only look like markup."""
    wording = clean_text(text)
    assert (wording.text, wording.noise) == (left, noise)
