"""Which words of a query are looked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.consumers.conftest import START_NS, WINDOW_NS
from tests.consumers.searching.conftest import SearchWorld
from triptych.consumers import MomentQuery, MomentSearch
from triptych.consumers.searching.query_words import content_words, is_one_word


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a red car near the bridge", "red car near bridge"),
        ("While someone talks about the flood-gates, at noon", "talks flood-gates noon"),
        ("to be or not to be", "to be or not to be"),
        ("The Who", "The Who"),
        ("一座桥", "一座桥"),
        ("der Hund und die Katze", "der Hund und die Katze"),
        ("  ", "  "),
    ],
)
def test_english_stop_words_are_dropped_unless_there_are_no_others(text: str, words: str) -> None:
    """Words of other languages are kept: `die` is an article in one and a verb in another."""
    assert content_words(text) == words


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("fire", True),
        ("q12", True),
        ("red car", False),
        ("flood-gates", False),
        ("着火", False),
        ("it's", False),
        ("", False),
    ],
)
def test_a_text_is_a_single_word_where_no_index_splits_it(text: str, *, is_one: bool) -> None:
    """Other texts may be several words for one of the indexes."""
    assert is_one_word(text) is is_one


def test_a_query_does_not_find_sentences_by_its_articles(
    world: SearchWorld, indexed: Callable[..., SearchWorld]
) -> None:
    """But a condition has all its words, and a query of nothing else looks for them."""
    indexed(world.result(0, "the end of the day"), world.result(9, "a bridge is there"), world.result(20, "music"))
    search = MomentSearch.open(world.folder)

    def numbers(query: MomentQuery | str) -> list[int]:
        return [(one.start_ns - START_NS) // WINDOW_NS for one in search.find(query).moments]

    assert numbers("the bridge of the sea") == [9]
    assert numbers("of the") == [0]
    assert numbers(MomentQuery(said="the end")) == [0]
