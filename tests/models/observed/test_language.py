"""The language of what is said: stated, else seen in the words, else unknown."""

from __future__ import annotations

import pytest

from triptych.models.observed.language import cue_language
from triptych.models.window import PreparedCue


def cue(text: str, language: str | None = None) -> PreparedCue:
    """Return a cue of the window."""
    return PreparedCue(text, 0, 1, language)


def test_what_the_cues_state_is_believed() -> None:
    """In one spelling, whatever theirs."""
    assert cue_language([cue("Guten Morgen, wie geht es Ihnen?", "eng")]) == "en"
    assert cue_language([cue("Good morning", "en-GB")]) == "en"


def test_of_several_stated_languages_the_one_with_most_words_counts() -> None:
    """A short cue in another language is a quotation."""
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
def test_words_without_a_stated_language_are_recognised(text: str, code: str) -> None:
    """From one line; a tag that means "unknown" states nothing."""
    assert cue_language([cue(text)]) == code
    assert cue_language([cue(text, "und")]) == code


@pytest.mark.parametrize("text", ["Yes.", "OK", "1 2 3", "♪ ♪"])
def test_too_little_to_tell_is_not_guessed(text: str) -> None:
    """A wrong language is worse than none."""
    assert cue_language([cue(text)]) is None


def test_without_words_there_is_no_language() -> None:
    """Silence is none."""
    assert cue_language([]) is None
