"""Words of texts as PostgreSQL's full text gets them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.consumers.searching.postgres.word_tokens import query_of_all, query_of_any, words_for_index


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Bank, closed.", "the bank closed"),
        ("Café d'Été", "cafe d ete"),
        ("桥着火", "桥 着 火 桥着 着火"),
        ("桥bridge7", "桥 bridge7"),
        ("a_b", "a b"),
        ("हिन्दी", "हिन्दी"),
        ("🎭 (*|&!:)", ""),
    ],
)
def test_a_text_becomes_words(text: str, words: str) -> None:
    """Without case and accents. Letters of scripts without spaces are words, and so are their pairs."""
    assert words_for_index(text) == words


@pytest.mark.parametrize(
    ("text", "wanted"), [("着火了", "着火 & 火了"), ("火", "火"), ("red car", "red & car"), ("::", "")]
)
def test_a_query_asks_for_pairs_of_letters(text: str, wanted: str) -> None:
    """One letter alone stands for itself."""
    assert query_of_all(text) == wanted
    assert query_of_any(text) == wanted.replace("&", "|")


@given(st.text(max_size=40))
def test_each_word_of_a_query_is_among_those_of_the_same_text(text: str) -> None:
    """So that a text finds itself. Nothing of the query's own syntax comes from the text."""
    words = set(words_for_index(text).split())
    wanted = [word for word in query_of_all(text).split(" & ") if word]
    assert set(wanted) <= words
    assert not set("&|!():*'\\<>\0") & set("".join(wanted))


def test_a_very_long_word_is_cut() -> None:
    """PostgreSQL refuses to look for one of 2 KiB."""
    assert len(query_of_any("x" * 5_000)) == len(words_for_index("x" * 5_000)) == 255
