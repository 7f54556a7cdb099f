"""The hashing tokenizer, for text in any language."""

from __future__ import annotations

import pytest

from triptych.models.network.encoders.hashed_words import BITS, PRESENT, SLOTS, hash_words


def slots(token: int) -> list[int]:
    """Return the hashes that a token packs."""
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
def test_text_is_split_into_words_or_characters(text: str, pieces: int) -> None:
    """Text is split at spaces, or into characters in scripts without spaces. There is one start and one end token."""
    tokens = hash_words(text)

    assert len(tokens) == pieces + 2
    assert all(PRESENT <= token < 1 << 63 for token in tokens)
    assert tokens[0] == hash_words("other")[0]
    assert tokens[-1] == hash_words("other")[-1]


def test_case_and_width_do_not_matter() -> None:
    """Full-width letters equal normal ones."""
    assert hash_words("GLAD") == hash_words("glad") == hash_words("\uff47\uff4c\uff41\uff44")


def test_forms_of_a_word_share_hashes() -> None:
    """Forms of a word share the hashes of their common prefix or suffix."""
    glad, gladly = slots(hash_words("glad")[1]), slots(hash_words("gladly")[1])

    assert glad[0] != gladly[0]
    assert glad[1] == gladly[1]
    assert glad[2] != gladly[2]


def test_a_chinese_character_is_hashed_with_its_neighbours() -> None:
    """So "not good" and "very good" have different tokens for "good"."""
    bad, good = slots(hash_words("不好")[2]), slots(hash_words("很好")[2])

    assert bad[0] == good[0]
    assert bad[1] != good[1]
