"""Searches of an index that was written from results: by words in several scripts, by meaning, with conditions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.consumers.conftest import START_NS, WINDOW_NS
from tests.consumers.searching.conftest import DIMENSIONS, SearchWorld, SeedEmbedder, StorePlace
from triptych.consumers import MomentQuery
from triptych.consumers.searching import search
from triptych.consumers.searching.index_store import FoundRow, RowConditions, SearchIndexError
from triptych.schemas.errors import UsageError
from triptych.schemas.perception.vectors import encode_vector
from triptych.schemas.results import ModalityReport

Indexed = Callable[..., SearchWorld]


@pytest.fixture
def store(each_store: StorePlace) -> StorePlace:
    """Return where the index is written: each test runs with both."""
    return each_store


def found(world: SearchWorld, query: MomentQuery | str, embedder: SeedEmbedder | None = None) -> list[tuple[str, int]]:
    """Return the stream and the number of the best window of each moment."""
    answer = world.search(embedder).find(query)
    return [(one.stream, (one.windows[0].start_ns - START_NS) // WINDOW_NS) for one in answer.moments]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("bank", "two banks by the river"),
        ("银行", "他说银行在河边"),
        ("着火", "桥着火了"),
        ("東京", "東京タワーへ行く"),
        ("brücke", "Die Brücke über den Fluss"),
        ("мост", "мост через реку"),
    ],
)
def test_words_are_found_in_their_script(world: SearchWorld, indexed: Indexed, query: str, said: str) -> None:
    """English by its stem; Chinese and Japanese by their words, which no spaces separate."""
    indexed(world.result(0, "nothing of interest"), world.result(9, said), world.result(20, "a dog and a cat"))
    assert found(world, query) == [("city", 9)]


@pytest.mark.parametrize("word", ["dog", "cat", "7"])
def test_short_words_are_found_wherever_they_stand(world: SearchWorld, indexed: Indexed, word: str) -> None:
    """They are lost where ICU's words and stop words are combined."""
    indexed(world.result(0, "dog cat"), world.result(9, "7"), world.result(20, "cat dog 7"))
    assert ("city", 20) in found(world, word)


@pytest.mark.parametrize(("query", "rankings"), [("7", [True]), ("like 7", [True, False])])
def test_a_single_word_that_is_nowhere_is_looked_for_once(
    world: SearchWorld, indexed: Indexed, monkeypatch: pytest.MonkeyPatch, query: str, rankings: list[bool]
) -> None:
    """Rows with some of its words would be those with all. Meaning finds the window either way."""
    indexed(world.result(0, "a dog", like=7), world.result(9, "a cat", like=8))
    reader = world.reader()
    needs, rank_by_words = [], reader.rank_by_words

    def record(text: str, conditions: RowConditions, most: int, *, needs_all: bool = False) -> list[FoundRow]:
        needs.append(needs_all)
        return rank_by_words(text, conditions, most, needs_all=needs_all)

    monkeypatch.setattr(reader, "rank_by_words", record)
    moments = search.MomentSearch(reader, SeedEmbedder()).find(query).moments
    assert moments[0].start_ns == START_NS
    assert needs == rankings


def test_meaning_finds_what_no_word_says(world: SearchWorld, indexed: Indexed) -> None:
    """The nearest vector comes first, and the answer says how near it is."""
    indexed(*(world.result(5 * number, f"word{number}", like=number) for number in range(40)))
    assert found(world, "like 17", SeedEmbedder())[0] == ("city", 85)
    moment = world.search(SeedEmbedder()).find("like 17").moments[0]
    assert moment.windows[0].why[0].similarity == pytest.approx(1, abs=2e-3)


def test_a_window_that_both_rankings_find_comes_first(world: SearchWorld, indexed: Indexed) -> None:
    """Reciprocal ranks add up."""
    indexed(world.result(0, "like", like=1), world.result(10, "like 3 like"), world.result(20, "like 3", like=3))
    assert found(world, "like 3", SeedEmbedder())[0] == ("city", 20)


def test_conditions_hold_for_all_parts(world: SearchWorld, indexed: Indexed) -> None:
    """Streams, times, and words that must have been said or seen in the same window."""
    indexed(
        world.result(0, "the bank is open", seen="tabby"),
        world.result(10, "the bank is closed", seen="lion"),
        world.result(20, "nothing", seen="lion"),
        world.result(30, "the bank is closed", seen="lion", stream="harbour"),
    )
    assert found(world, MomentQuery(said="bank", seen="lion")) == [("harbour", 30), ("city", 10)]
    assert found(world, MomentQuery(said="closed bank", streams=("city",))) == [("city", 10)]
    assert found(world, MomentQuery("lion", said="bank", streams=("city",))) == [("city", 10)]
    assert found(world, MomentQuery(seen="lion", since_ns=START_NS + 15 * WINDOW_NS, streams=("city",))) == [
        ("city", 20)
    ]
    assert found(world, MomentQuery(said="bank", until_ns=START_NS + WINDOW_NS)) == [("city", 0)]
    assert found(world, MomentQuery(said="bank", seen="zebra")) == []


def test_conditions_hold_together(world: SearchWorld, indexed: Indexed) -> None:
    """Words that were said, without spaces, a pattern of streams and times, for the nearest windows."""
    indexed(
        world.result(0, "桥着火了", like=1),
        world.result(10, "桥着火了", like=2),
        world.result(20, "nothing", like=3),
        world.result(30, "桥着火了", like=3, stream="harbour"),
    )
    since_ns, until_ns = START_NS + 5 * WINDOW_NS, START_NS + 25 * WINDOW_NS
    on_fire = MomentQuery("like 3", said="着火")
    assert found(world, on_fire, SeedEmbedder())[0] == ("harbour", 30)
    assert {number for _, number in found(world, on_fire, SeedEmbedder())} == {0, 10, 30}
    in_city = replace(on_fire, stream_patterns=("c?ty",))
    assert {number for _, number in found(world, in_city, SeedEmbedder())} == {0, 10}
    assert found(world, replace(in_city, since_ns=since_ns, until_ns=until_ns), SeedEmbedder()) == [("city", 10)]
    assert found(world, replace(in_city, streams=("harbour",)), SeedEmbedder()) == []
    assert found(world, replace(on_fire, since_ns=START_NS + 99 * WINDOW_NS), SeedEmbedder()) == []


def test_only_the_parts_that_fit_the_conditions_are_why_a_window_was_found(
    world: SearchWorld, indexed: Indexed
) -> None:
    """Not the sound or the pictures of a window in which the words were said."""
    indexed(world.result(1, "the bank", seen="car", like=3), world.result(5, "the bank", seen="dog", like=4))
    query = MomentQuery(said="bank", seen="car")
    (moment,) = world.search().find(query).moments
    assert {part.part for part in moment.windows[0].why} == {"subtitles", "video"}
    for moment in world.search().find(MomentQuery(said="bank")).moments:
        assert [part.part for part in moment.windows[0].why] == ["subtitles"]


@pytest.mark.parametrize("query", ["NASA", "nasa's", "NASA\u2019s", "O'Neill", "o\u2019neill"])
def test_apostrophes_of_any_kind_are_the_same(world: SearchWorld, indexed: Indexed, query: str) -> None:
    """People type one and subtitles have the other. A possessive is found by its word."""
    indexed(world.result(1, "at NASA\u2019s centre with Mr. O\u2019Neill"), world.result(9, "nothing"))
    for wanted in (MomentQuery(query), MomentQuery(said=query)):
        assert [moment.windows[0].window for moment in world.search().find(wanted).moments] == [world.result(1).window]


def test_a_stream_that_the_index_does_not_have_is_told(world: SearchWorld, indexed: Indexed) -> None:
    """One that has other windows only is not."""
    indexed(world.result(1, "the bank"), world.result(2, "the river", stream="shore"))
    found = world.search().find(MomentQuery("bank", streams=("city", "shore", "nix", "ci*")))
    assert [moment.stream for moment in found.moments] == ["city"]
    unknown = [note for note in found.notes if "--stream" in note]
    assert [note.split(":")[0] for note in unknown] == ["--stream 'ci*'", "--stream 'nix'"]


def test_windows_that_follow_one_another_are_one_moment(world: SearchWorld, indexed: Indexed) -> None:
    """A gap of one window is bridged. Other streams are apart."""
    numbers = (0, 1, 3, 9)
    indexed(*(world.result(number, "bank") for number in numbers), world.result(2, "bank", stream="harbour"))
    moments = world.search().find("bank").moments
    spans = {(one.stream, (one.start_ns - START_NS) // WINDOW_NS, len(one.windows)) for one in moments}
    assert spans == {("city", 0, 3), ("city", 9, 1), ("harbour", 2, 1)}


def test_a_revision_replaces_what_it_no_longer_says(world: SearchWorld, indexed: Indexed) -> None:
    """Also a part that the revision does not have."""
    indexed(world.result(0, "bank", seen="lion"), world.result(0, "river", revision=1))
    assert found(world, "bank") == []
    assert found(world, "lion") == []
    assert found(world, "river") == [("city", 0)]


def test_descriptions_are_found_by_their_window(world: SearchWorld) -> None:
    """They come from a topic of their own, later than the result."""
    result = world.result(4, "nothing")
    world.publish(result)
    world.index()
    world.describe(result, "A lorry blocks the gate")
    assert world.index().descriptions == 1
    assert found(world, "lorry") == [("city", 4)]


def test_hostile_words_are_words(world: SearchWorld, indexed: Indexed) -> None:
    """Quotes, operators and SQL in queries, cues and names of streams change nothing."""
    indexed(world.result(0, "it's a \"bank\" OR '1'='1' -- (*", stream="o-k.1"))
    for query in ("it's", 'bank" AND (', "' OR 1=1 --", "*", "bank:^2"):
        world.search().find(MomentQuery(query, streams=("o'k",), said=query))
    assert found(world, MomentQuery('"bank" OR', streams=("o-k.1",))) == [("o-k.1", 0)]


def test_an_embedder_of_another_space_is_refused(world: SearchWorld, indexed: Indexed) -> None:
    """Without an embedder, the answer says that only words were searched."""

    class Other(SeedEmbedder):
        name = "other-1"

    indexed(world.result(0, "bank", like=1))
    with pytest.raises(UsageError, match=r"expected an encoder of the space test-1, got one of other-1"):
        world.search(Other()).find("like 1")
    assert "words only" in world.search().find("bank").notes[0]


def test_windows_of_another_space_are_found_by_their_words(world: SearchWorld, indexed: Indexed) -> None:
    """The index keeps the first space, counts the others, and says so."""
    other = world.result(9, "bank")
    vectors = world.result(9, like=1).vectors
    assert vectors is not None
    indexed(
        world.result(0, "x", like=1), other.model_copy(update={"vectors": vectors.model_copy(update={"space": "b-2"})})
    )
    moments = world.search(SeedEmbedder())
    assert moments.space == "test-1"
    assert found(world, "bank") == [("city", 9)]
    assert [(one.start_ns - START_NS) // WINDOW_NS for one in moments.find("like 1").moments] == [0]


NUMBERS = {"nan": float("nan"), "infinity": float("inf"), "zero": 0.0}


@pytest.mark.parametrize("damaged", ["not base64!", "AAA=", "AAAA", *NUMBERS])
def test_damaged_vectors_do_not_stop_the_index(world: SearchWorld, indexed: Indexed, damaged: str) -> None:
    """No base64, half a number, too few numbers, no length: the words are found, and the other windows too."""
    if damaged in NUMBERS:
        damaged = encode_vector([NUMBERS[damaged]] * DIMENSIONS)
    good, bad = world.result(0, "x", like=1), world.result(9, "bank", like=2)
    assert bad.vectors is not None
    vectors = bad.vectors.model_copy(update={"video": damaged})
    indexed(good, bad.model_copy(update={"vectors": vectors}), world.result(20, "x", like=3))
    assert world.reader().meta.other_spaces == 1
    assert found(world, "bank") == [("city", 9)]
    assert found(world, "like 3", SeedEmbedder())[0] == ("city", 20)


def test_the_newest_of_many_windows_are_found(
    world: SearchWorld, indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only conditions are given and more windows fulfil them than are shown."""
    monkeypatch.setattr(search, "_CANDIDATES", 3)
    indexed(*(world.result(5 * number, "bank") for number in range(20)))
    assert found(world, MomentQuery(said="bank", limit=3)) == [("city", 95), ("city", 90), ("city", 85)]


def test_as_many_moments_are_found_as_were_asked_for(
    world: SearchWorld, indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By words, by meaning, and by conditions alone."""
    monkeypatch.setattr(search, "_CANDIDATES", 5)
    indexed(*(world.result(5 * number, "like 3", seen="lion", like=number) for number in range(30)))
    for query in (MomentQuery("lion", limit=25), MomentQuery("like 3", limit=25), MomentQuery(said="like", limit=25)):
        assert len(found(world, query, SeedEmbedder() if query.text == "like 3" else None)) == 25


def test_an_open_search_sees_what_is_indexed_later(world: SearchWorld, indexed: Indexed) -> None:
    """Also the first vector, before which it had no space to search."""
    indexed(world.result(0, "bank"))
    moments = world.search(SeedEmbedder())
    assert moments.find("like 1").notes == ("searched by words only: the index has no vectors",)
    indexed(world.result(9, "x", like=1))
    answer = moments.find("like 1")
    assert answer.notes == ()
    assert answer.moments[0].windows[0].window == world.result(9).window


def test_words_alone_are_found_in_a_space_of_pictures_and_texts(world: SearchWorld, indexed: Indexed) -> None:
    """There the vector of the words is the fused one in a window without pictures."""
    absent = ModalityReport(state="absent")
    result = world.result(4, "a bridge", like=8)
    assert result.vectors is not None
    vectors = result.vectors.model_copy(update={"fused": result.vectors.video, "video": None})
    modalities = result.modalities.model_copy(update={"video": absent})
    indexed(world.result(0, "x", like=1), result.model_copy(update={"vectors": vectors, "modalities": modalities}))
    part = world.search(SeedEmbedder()).find("like 8").moments[0].windows[0].why[0]
    assert (part.part, round(part.similarity or 0, 2)) == ("subtitles", 1.0)


def test_pictures_are_found_in_a_space_of_pictures_and_texts(world: SearchWorld, indexed: Indexed) -> None:
    """There the vector of the pictures is the fused one, and is not repeated."""
    results = [world.result(number, "x", like=number) for number in (0, 10)]
    moved = [
        result.model_copy(
            update={"vectors": result.vectors.model_copy(update={"fused": result.vectors.video, "video": None})}
        )
        for result in results
        if result.vectors is not None
    ]
    indexed(*moved)
    assert found(world, "like 10", SeedEmbedder())[0] == ("city", 10)


def test_a_query_for_nothing_is_refused(world: SearchWorld) -> None:
    """An empty query, an absent index."""
    with pytest.raises(UsageError, match="expected words to look for, got none"):
        MomentQuery(" ")
    for query in ({"text": "a\udcff"}, {"text": "a", "streams": ("\udcff",)}, {"said": "\udcff"}):
        with pytest.raises(UsageError, match=r"expected text as UTF-8, got '.*udcff'"):
            MomentQuery(**query)
    with pytest.raises(SearchIndexError, match=r"expected (an index, found none|one index, found those of: none)"):
        world.search()


def test_searches_do_not_block_an_event_loop(world: SearchWorld, indexed: Indexed) -> None:
    """The asynchronous call finds the same."""
    indexed(world.result(3, "bank"))
    answer = asyncio.run(world.search().find_async("bank"))
    assert answer == world.search().find("bank")
