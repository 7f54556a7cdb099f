"""The language of the cues: stated, detected, or unknown."""

from __future__ import annotations

import pytest

from triptych.models.observed import language
from triptych.models.observed.language import cue_language
from triptych.models.window import PreparedCue


def cue(text: str, language: str | None = None) -> PreparedCue:
    """Return a cue of the window."""
    return PreparedCue(text, 0, 1, language)


def test_the_stated_language_is_used() -> None:
    """Stated languages are normalised to ISO 639 codes."""
    assert cue_language([cue("Guten Morgen, wie geht es Ihnen?", "eng")]) == "en"
    assert cue_language([cue("Good morning", "en-GB")]) == "en"


def test_the_stated_language_with_the_most_text_is_used() -> None:
    """A short cue in another language may be a quotation."""
    assert cue_language([cue("Ja!", "de"), cue("That is what she said to me.", "en")]) == "en"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The family of Dashwood had long been settled in Sussex.", "en"),
        ("Die schwarze Katze lief am Abend durch den Garten.", "de"),
        ("El gato negro corrió por el jardín al anochecer.", "es"),
        ("Le chat noir a traversé le jardin le soir.", "fr"),
        ("黑猫傍晚跑过花园。", "zh"),
        ("黒い猫は夕方に庭を走り抜けた。", "ja"),
        ("Вечером чёрный кот пробежал через сад.", "ru"),
        ("ركض القط الأسود عبر الحديقة في المساء.", "ar"),
    ],
)
def test_the_language_is_detected_if_none_is_stated(text: str, code: str) -> None:
    """A single line is enough. A tag that means "unknown" states no language."""
    assert cue_language([cue(text)]) == code
    assert cue_language([cue(text, "und")]) == code


@pytest.mark.parametrize("text", ["Yes.", "OK", "1 2 3", "♪ ♪"])
def test_too_little_text_gives_no_language(text: str) -> None:
    """An uncertain language is None."""
    assert cue_language([cue(text)]) is None


def test_without_cues_there_is_no_language() -> None:
    """There is nothing to detect."""
    assert cue_language([]) is None


def test_a_table_that_could_not_be_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """For instance because too many files were open at the start."""
    load, missing = language._load, [OSError("too many open files")]  # noqa: SLF001 - the file of a package

    def load_later() -> object:
        if missing:
            raise missing.pop()
        return load()

    monkeypatch.setattr(language, "_load", load_later)
    language._loading.cache_clear()  # noqa: SLF001 - as at the start
    language._detected.cache_clear()  # noqa: SLF001
    language.begin_to_load_languages()
    with pytest.raises(OSError, match="too many open files"):
        cue_language([cue("Die schwarze Katze lief am Abend durch den Garten.")])
    assert cue_language([cue("Die schwarze Katze lief am Abend durch den Garten.")]) == "de"
