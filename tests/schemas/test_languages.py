"""One language, one code."""

from __future__ import annotations

import pytest

from triptych.schemas.languages import language_code


@pytest.mark.parametrize(
    ("tag", "code"),
    [("eng", "en"), ("en", "en"), ("en-GB", "en"), ("ger", "de"), ("deu", "de"), ("zh-Hant-TW", "zh"), ("grc", "grc")],
)
def test_a_language_has_one_code_however_it_is_spelt(tag: str, code: str) -> None:
    """The shortest; a language without a short one keeps its own."""
    assert language_code(tag) == code
