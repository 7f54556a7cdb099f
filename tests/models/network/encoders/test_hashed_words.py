"""Text in any language becomes numbers without a vocabulary."""

from __future__ import annotations

import pytest

from triptych.models.network.encoders.hashed_words import BITS, PRESENT, SLOTS, hash_words


def slots(token: int) -> list[int]:
    """Take a token apart."""
    return [(token >> (slot * BITS)) & ((1 << BITS) - 1) for slot in range(SLOTS)]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("A fine day!", 4),
        ("don't", 3),
        ("今天天气很好。", 7),
        ("今天 is 好", 4),
        ("ไทย", 3),
        ("naïve café_2", 4),
        ("Привет, мир", 3),
        ("", 0),
        ("😀😀", 2),
    ],
)
def test_words_and_characters_are_the_pieces(text: str, pieces: int) -> None:
    """Words where spaces divide them, characters where nothing does; one start and one end."""
    tokens = hash_words(text)

    assert len(tokens) == pieces + 2
    assert all(PRESENT <= token < 1 << 63 for token in tokens)
    assert tokens[0] == hash_words("other")[0]
    assert tokens[-1] == hash_words("other")[-1]


def test_case_and_width_do_not_matter() -> None:
    """Full-width letters are the same letters."""
    assert hash_words("GLAD") == hash_words("glad") == hash_words("\uff47\uff4c\uff41\uff44")


def test_forms_of_a_word_share_what_they_share() -> None:
    """An unknown form of a known word is half known."""
    glad, gladly = slots(hash_words("glad")[1]), slots(hash_words("gladly")[1])

    assert glad[0] != gladly[0]
    assert glad[1] == gladly[1]
    assert glad[2] != gladly[2]


def test_a_chinese_character_knows_its_neighbours() -> None:
    """So "not good" and "very good" differ at "good"."""
    bad, good = slots(hash_words("不好")[2]), slots(hash_words("很好")[2])

    assert bad[0] == good[0]
    assert bad[1] != good[1]
