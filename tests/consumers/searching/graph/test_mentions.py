"""Names and speakers of cues."""

from __future__ import annotations

import pytest

from triptych.consumers.searching.graph.facts import singular, thing_name
from triptych.consumers.searching.graph.mentions import CueMentions, cue_mentions


@pytest.mark.parametrize(
    ("text", "speaker", "names"),
    [
        ("ANNA: We met John Smith at the Bank of England. He left.", "ANNA", ("John Smith", "Bank of England")),
        ("Hello there, Mary. Mary?", None, ("Mary",)),
        ("The bank is in London, and I like the London of old.", None, ("London",)),
        ("李雷：我去银行", "李雷", ()),  # noqa: RUF001 - as people write
        ("- Bob: Hi there", "Bob", ()),
        ("Ask John Smith. The Louvre is in Paris.", None, ("John Smith", "Louvre", "Paris")),
        ("WE ARE ALL CAPS", None, ()),
        ("I saw Mr. O'Neill on Friday, and Dr. Jones in December.", None, ("O'Neill", "Jones")),
        ("They met June. They left.", None, ("June",)),
        ("At 10:30 we go", None, ()),
        ("this is one thing: a dog", None, ()),
    ],
)
def test_names_and_speakers_of_a_cue(text: str, speaker: str | None, names: tuple[str, ...]) -> None:
    """A name has a capital inside a sentence, a speaker a colon after it."""
    assert cue_mentions(text) == CueMentions(speaker, names)


@pytest.mark.parametrize(
    ("plural", "one"),
    [("dogs", "dog"), ("buses", "bus"), ("glass", "glass"), ("women", "woman"), ("berries", "berry"), ("ties", "tie")],
)
def test_the_singular_of_a_noun(plural: str, one: str) -> None:
    """Regular and irregular ones."""
    assert singular(plural) == one


def test_persons_are_people() -> None:
    """Counts call them so."""
    assert (thing_name("Person"), thing_name("Sports Cars")) == ("people", "sports car")
