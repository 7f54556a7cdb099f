"""Normalizing language tags."""

from __future__ import annotations

import pytest

from triptych.schemas.languages import language_code


@pytest.mark.parametrize(
    ("tag", "code"),
    [("eng", "en"), ("en", "en"), ("en-GB", "en"), ("ger", "de"), ("deu", "de"), ("zh-Hant-TW", "zh"), ("grc", "grc")],
)
def test_all_tags_of_a_language_have_the_same_code(tag: str, code: str) -> None:
    """The shortest code; a language without a two-letter code keeps its own."""
    assert language_code(tag) == code
