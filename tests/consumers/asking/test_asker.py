"""Answers about an index that was written from results."""

# ruff: noqa: RUF001 - Chinese has punctuation of its own

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from tests.consumers.conftest import START_NS, WINDOW_NS
from tests.consumers.searching.conftest import SearchWorld
from triptych.cli import app
from triptych.consumers import Answer, Asker
from triptych.consumers.asking import lookup
from triptych.consumers.asking.lookup import AskScope
from triptych.consumers.asking.session import LastAnswer
from triptych.consumers.searching.window_index import WindowIndex, index_writer
from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.objects import ObjectCount
from triptych.schemas.results import LabelScore, Observations, Quality, Result, Words

Indexed = Callable[..., SearchWorld]


def dogs(world: SearchWorld, number: int, count: int = 1, said: str = "", stream: str = "city") -> Result:
    """Return the result of a window with dogs."""
    return world.result(number, said, stream=stream, counts={"dog": ObjectCount(median=count, largest=count)})


@pytest.fixture
def asker(world: SearchWorld, indexed: Indexed) -> Asker:
    """An hour in two streams: dogs in windows 10 to 12, 14 and 30; the bank in 11 and 40."""
    indexed(
        world.result(0, "Nothing happens."),
        *(dogs(world, number, number - 9) for number in (10, 12, 14)),
        dogs(world, 11, 2, "ANNA: Where is the bank?"),
        world.result(20, "BEN: Over there."),
        dogs(world, 30, 1),
        world.result(40, "ANNA: The banks are closed. Ask John Smith."),
        dogs(world, 5, 7, stream="harbour"),
        world.result(50, seen="tabby"),
        world.result(60, "银行关门了"),
    )
    return Asker.open(world.folder)


def numbers(answer: Answer) -> list[tuple[int, int]]:
    """Return the first window of each moment, and the one after its last."""
    spans = [(one.start_ns - START_NS, one.end_ns - START_NS) for one in answer.moments]
    return [(start // WINDOW_NS, end // WINDOW_NS) for start, end in spans]


def test_moments_bridge_a_gap_of_one_window(asker: Asker) -> None:
    """Window 13 shows no dog, and is within the moment; each result that is cited shows one."""
    answer = asker.ask("When was a dog seen on city?")
    assert numbers(answer) == [(10, 15), (30, 31)]
    assert [len(one.results) for one in answer.moments] == [4, 1]
    assert answer.outcome == "answered"


@pytest.fixture
def whole(world: SearchWorld) -> SearchWorld:
    """Five windows that have all six parts, which all repeat stream, times and result."""
    results = [
        world.result(
            number,
            counts={"dog": ObjectCount(median=1, largest=number + 1), "car": ObjectCount(median=1, largest=1)},
            observations=Observations(
                sound=(LabelScore(label="music", score=0.9),),
                words=(Words(text="the bank", start_ns=START_NS, end_ns=START_NS + 1),),
            ),
            quality=Quality(flags=("black",)),
            matches={"fire": Match(score=0.9, log_odds=2.0)},
        )
        for number in range(5)
    ]
    world.publish(*results)
    for result in results:
        world.describe(result, "A title")
    world.index()
    assert WindowIndex.open(world.folder).rows() == 5 * 6
    return world


def test_a_window_of_many_parts_is_found_once(whole: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as it shows something. The limit of windows is one of windows."""
    monkeypatch.setattr(lookup, "MAX_WINDOWS", 5)
    asker = Asker.open(whole.folder)
    answer = asker.ask("What was on screen?")
    assert answer.value == ("car", "dog")
    for question, text in (
        ("How many dogs were there?", "At most 5 at once (dogs): city 2026-01-01 00:00:08-00:00:10."),
        ("How often was a fire seen?", "Once (fire): city 2026-01-01 00:00:00-00:00:10."),
        ("When was music heard?", "city 2026-01-01 00:00:00-00:00:10."),
    ):
        answer = asker.ask(question)
        assert (answer.text, answer.notes) == (text, ())
    asked = asker.lookup
    assert [one.text for one in asked.seen("dog", AskScope())] == ["dog"] * 5
    assert not asked.is_cut


def test_both_questions_in_one_are_answered(asker: Asker) -> None:
    """When, and what was on screen then."""
    answer = asker.ask("When did someone mention the bank, and what was on screen?")
    assert answer.understood == "when | said bank | also what was seen"
    assert numbers(answer)[:2] == [(11, 12), (40, 41)]
    assert "Seen: dog" in answer.text


def test_a_short_answer_has_no_times(world: SearchWorld, indexed: Indexed) -> None:
    """It says how many moments there are, and on which streams. Of many streams and quotes it says how many."""
    indexed(
        *(dogs(world, number, 2, f"Cue {number}.") for number in range(4)),
        *(world.result(20 + number, "The bank.", stream=stream) for number, stream in enumerate("abc")),
    )
    asker = Asker.open(world.folder)
    for question, brief in (
        ("When was a dog seen?", "1 moment on city."),
        ("How many dogs were there?", "At most 2 at once (dogs): 1 moment on city."),
        ("When was the bank mentioned?", "3 moments on a, b, c."),
        ("When was the first time the bank was mentioned?", "First: a."),
        ("When was the last time the bank was mentioned?", "Last: c."),
        ("What was said?", "Said: “Cue 0.” “Cue 1.” “Cue 2.” … and 2 more (7 moments on 4 streams)."),
        ("When was the bank mentioned, and what was on screen?", "3 moments on a, b, c. Not found: nothing of that "),
        ("说了什么？", "说了：“Cue 0.” “Cue 1.” “Cue 2.” ……还有 2 处（7 处，在 4 个视频流）。"),
    ):
        assert asker.ask(question).brief.startswith(brief), question
    assert asker.ask("When was a dog seen?").text == "city 2026-01-01 00:00:00-00:00:08."
    assert asker.ask("Was a zebra never seen?").brief == asker.ask("Was a zebra never seen?").text


def test_a_text_with_more_moments_than_it_names_ends_with_one_full_stop(world: SearchWorld, indexed: Indexed) -> None:
    """In parentheses too."""
    indexed(*(world.result(3 * number, "The bank.") for number in range(12)))
    asker = Asker.open(world.folder)
    assert asker.ask("When was the bank mentioned?").text.endswith("00:00:56 … and 2 more.")
    assert asker.ask("What was said?").text.endswith("… and 2 more).")


def test_relations_hold_in_one_stream(asker: Asker) -> None:
    """The bank is mentioned in the city, where the dog was first seen before; the harbour's dog does not count."""
    assert asker.ask("Was a dog seen before someone mentioned the bank?").value is True
    assert asker.ask("Was someone mentioning the bank before a dog was seen?").value is False
    assert asker.ask("What was said after a dog was seen?").value == ("BEN: Over there.",)
    assert asker.ask("What was said before someone mentioned the bank?").value == ("Nothing happens.",)


def test_numbers_times_names_and_comparisons(asker: Asker) -> None:
    """The largest count, mentions by stem, speakers, sums of seconds, streams."""
    assert asker.ask("How many dogs were there?").value == 7
    assert asker.ask("How many dogs were there on city?").value == 5
    assert asker.ask("How often was the bank mentioned?").value == 2
    assert asker.ask("Who mentioned the bank?").value == ("ANNA",)
    assert asker.ask("How long was a dog seen on city?").value == 12.0
    assert asker.ask("On which camera was a dog seen?").value == ("city", "harbour")
    assert asker.ask("Was dog mentioned more often than bank?").value == (0, 2)


def test_who_was_mentioned_are_the_names_in_cues(asker: Asker) -> None:
    """Names, not speakers; before or after something too."""
    assert asker.ask("Who was mentioned?").value == ("John Smith",)
    assert asker.ask("提到了谁？").value == ("John Smith",)
    assert asker.ask("Who was mentioned after a dog was seen?").value == ("John Smith",)
    assert asker.ask("Who was mentioned while a dog was seen?").text == "Not found: no cue says a name then."


def test_without_support_there_is_no_answer(asker: Asker) -> None:
    """Each refusal says why; never is an answer."""
    assert asker.ask("When was a zebra seen?").text == "Not found: nothing in the index shows or says “zebra”."
    assert "never counted" in asker.ask("How many tabbies were there?").text
    assert (
        "no cue names who said it" in asker.ask("谁提到了银行？").text
        or asker.ask("谁提到了银行？").outcome == "not_found"
    )
    assert asker.ask("What was said at 23:59?").outcome == "not_found"
    assert "city, harbour" in asker.ask("When was a dog seen on camera west?").text
    assert "I can answer when" in asker.ask("Why did the dog bark?").text
    assert asker.ask("Did a zebra ever appear?").value is False
    assert asker.ask("When was a dog seen while someone mentioned the submarine?").outcome == "not_found"


def test_the_answer_is_in_the_language_of_the_question(asker: Asker) -> None:
    """A label in English is found by its Chinese name."""
    answer = asker.ask("狗出现了几次？")
    assert answer.value == 3
    assert answer.text.startswith("3 次（狗）")
    assert asker.ask("什么时候有人提到银行？").moments[0].text == "银行关门了"


def test_the_time_of_a_question_narrows_it_and_is_told(asker: Asker) -> None:
    """Ages count from the newest window, not from now."""
    answer = asker.ask("How often was the bank mentioned in the last 1 minute?")
    assert answer.value == 1
    assert "count from the newest window" in answer.notes[0]
    assert asker.ask("How many dogs were there?", AskScope(("city",))).value == 5


def test_a_session_resolves_what_a_question_leaves_out(asker: Asker) -> None:
    """After that, then, and it."""
    first = asker.ask("When was the bank first mentioned?")
    last = LastAnswer.of(first, LastAnswer())
    assert "Over there" in asker.ask("And after that?", last=last).text
    assert "Over there" in asker.ask("那之后呢？", last=last).text
    assert "Nothing happens" in asker.ask("and before that?", last=last).text
    assert asker.ask("What was on screen then?", last=last).value == ("dog",)
    assert asker.ask("How often was it mentioned?", last=last).value == 2
    refused = asker.ask("Why?", last=last)
    assert LastAnswer.of(refused, last) == last


@pytest.mark.parametrize(
    "question", ["And after that?", "那之后呢？", "and before that?", "On which stream?", "谁说的？", "when?"]
)
def test_a_question_about_an_earlier_answer_needs_one(asker: Asker, question: str) -> None:
    """The answer says so, and repeats the question."""
    answer = asker.ask(question)
    assert answer.outcome == "not_understood"
    assert f"“{question}”" in answer.text
    assert "no earlier answer" in answer.text or "之前没有回答" in answer.text


@pytest.mark.parametrize(
    ("question", "whole"),
    [
        ("on which stream?", "which stream | said bank"),
        ("And on what camera was that?", "which stream | said bank"),
        ("how often?", "how often | said bank"),
        ("And how long?", "how long | said bank"),
        ("When?", "when | said bank"),
        ("who?", "who | said bank"),
        ("哪个视频流？", "which stream | said bank"),
        ("那是什么时候？", "when | said bank"),
        ("几次？", "how often | said bank"),
        ("谁说的？", "who | said bank"),
    ],
)
def test_a_question_that_names_nothing_is_about_the_last_answer(asker: Asker, question: str, whole: str) -> None:
    """What was said of it, as the question before."""
    last = LastAnswer.of(asker.ask("When was the bank first mentioned?"), LastAnswer())
    answer = asker.ask(question, last=last)
    assert (answer.outcome, answer.understood) == ("answered", whole)
    seen = LastAnswer.of(asker.ask("When was a dog seen?"), last)
    assert asker.ask("How many?", last=seen).understood == "how many | seen dog"
    assert asker.ask("有几个？", last=seen).understood == "how many | seen dog"
    assert asker.ask("and where was it?", last=seen).outcome == "not_understood"


def test_a_complete_question_is_not_changed_by_the_session(asker: Asker) -> None:
    """Also if it has a `then` or `that`, which mean something else there."""
    last = LastAnswer.of(asker.ask("When was the bank first mentioned?"), LastAnswer())
    assert (last.term, last.stream) == ("bank", "city")
    for question in (
        "When was John Smith mentioned, and what was said then?",
        "Is it true that a dog appeared?",
        "Did anyone say that the banks are closed?",
        "How many dogs were there on harbour?",
        "Was anything said about this bank?",
        "Did anyone say that the banks were closed then?",
        "What was then said at 00:00:40?",
        "When was a dog seen after that bank was mentioned?",
        "什么时候看到狗，当时画面上有什么？",
    ):
        plain = asker.ask(question)
        assert plain.outcome == "answered"
        assert asker.ask(question, last=last) == plain


@pytest.mark.parametrize(
    ("question", "whole"),
    [
        ("How often was it mentioned?", "how often | said bank"),
        ("Is it true that it was mentioned?", "whether | said bank"),
        ("Who said it?", "who | said bank"),
        ("What was said about it?", "what was said | said bank"),
        ("What was on screen when it was mentioned?", "what was seen | while said bank"),
        ("它被提到了几次？", "how often | said bank"),
        ("那个被提到了几次？", "how often | said bank"),
    ],
)
def test_a_pronoun_is_the_term_of_the_last_answer(asker: Asker, question: str, whole: str) -> None:
    """Where the question has nothing else in that place."""
    last = LastAnswer.of(asker.ask("When was the bank first mentioned?"), LastAnswer())
    assert asker.ask(question, last=last).understood == whole


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("How many dogs were there then?", 2),
        ("What was then on screen?", ("dog",)),
        ("当时画面上有什么？", ("dog",)),
        ("那时候有几只狗？", 2),
        ("Who said it then?", ("ANNA",)),
        ("What was said about the bank then?", ("ANNA: Where is the bank?",)),
    ],
)
def test_then_is_the_moment_of_the_last_answer(asker: Asker, question: str, value: object) -> None:
    """Of window 11, which shows two dogs."""
    last = LastAnswer.of(asker.ask("When was the bank first mentioned?"), LastAnswer())
    assert asker.ask(question, last=last).value == value


def test_a_lookup_that_was_cut_is_told_and_ends_where_the_question_looks(
    world: SearchWorld, indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First and last are right; what was not found may be among what was left out. The order of writing is another."""
    order = (5, 2, 9, 0, 7, 4, 1, 8, 3, 6)
    indexed(*(dogs(world, number, 1, f"ANNA: bank {'bank ' * number}") for number in order))
    monkeypatch.setattr(lookup, "MAX_WINDOWS", 3)
    asker = Asker.open(world.folder)
    for question, found in (
        ("When was a dog first seen?", [(0, 3)]),
        ("When was a dog last seen?", [(7, 10)]),
        ("When was the bank first mentioned?", [(0, 1)]),
        ("When was the bank last mentioned?", [(9, 10)]),
    ):
        answer = asker.ask(question)
        assert (question, numbers(answer)) == (question, found)
        assert "More windows match" in answer.notes[0]
    refused = asker.ask("When was a dog seen while someone mentioned the submarine?")
    assert (refused.outcome, len(refused.notes)) == ("not_found", 1)
    assert asker.ask("When was a cat seen?").notes == ()
    assert (
        asker.ask(
            "When was a dog seen after the bank was mentioned?", AskScope(until_ns=START_NS + 3 * WINDOW_NS)
        ).notes
        == ()
    )
    last = LastAnswer("dog", "city", START_NS + 9 * WINDOW_NS, START_NS + 10 * WINDOW_NS)
    before = asker.ask("And before that?", last=last)
    assert numbers(before) == [(8, 9), (8, 9)]
    assert len(before.notes) == 1


def test_an_empty_index_is_empty(world: SearchWorld) -> None:
    """And has a graph, also after all its rows were deleted."""
    world.index()
    asker = Asker.open(world.folder)
    assert asker.ask("When was a dog seen?").text == "Not found: the index is empty."
    world.publish(dogs(world, 1))
    world.index()
    assert asker.ask("When was a dog seen?").outcome == "answered"
    with index_writer(world.folder, "triptych") as writer:
        assert writer.expire(2**62) == 1
    assert asker.ask("When was a dog seen?").text == "Not found: the index is empty."


def test_what_was_at_many_moments_is_read_at_once(
    world: SearchWorld, indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in one query for each: there may be 20,000 moments."""
    indexed(
        *(dogs(world, number, 1, "the bank") for number in range(0, 120, 4)),
        *(world.result(number, "the river", seen="tabby") for number in range(2, 120, 4)),
        world.result(0, "the harvest", stream="harbour", seen="lion"),
    )
    asker = Asker.open(world.folder)
    searches: list[object] = []
    search = type(WindowIndex.open(world.folder).table).search

    def counted(*args: object, **options: object) -> object:
        searches.append(args)
        return search(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(type(WindowIndex.open(world.folder).table), "search", counted)
    answer = asker.ask("When did someone mention the bank, and what was on screen?")
    assert (len(answer.moments), "Seen: dog (" in answer.text) == (60, True)
    while_seen = asker.ask("What was said while a dog was seen?")
    assert (while_seen.value, len(while_seen.moments)) == (("the bank",), 30)
    assert asker.ask("When was a dog seen while someone mentioned the river?").outcome == "not_found"
    assert len(searches) < 25
    monkeypatch.setattr(lookup, "MAX_WINDOWS", 40)
    monkeypatch.setattr(lookup, "_BATCH_ROWS", 7)
    assert asker.ask("What was said while a dog was seen?") == while_seen
    monkeypatch.setattr(lookup, "MAX_WINDOWS", 30)
    assert asker.ask("What was said while a dog was seen?").notes == ()


def test_new_windows_are_seen_by_an_open_asker(world: SearchWorld, asker: Asker) -> None:
    """The index goes on growing while it is asked."""
    world.publish(dogs(world, 70, 9))
    world.index()
    assert asyncio.run(asker.ask_async("How many dogs were there?")).value == 9


def test_whoever_says_something_in_chinese_may_be_named(world: SearchWorld, asker: Asker) -> None:
    """The speaker and what is said are words of one cue."""
    world.publish(world.result(80, "安娜：银行今天关门了。"), world.result(81, "李雷：我去大桥。"))
    world.index()
    assert asker.ask("安娜提到银行了吗？").value is True
    assert asker.ask("李雷有没有提到银行？").value is False


@pytest.mark.parametrize(
    "question",
    [
        "Was the bank mentioned in the last few days?",
        "Was the bank mentioned on Fri?",
        "When was a dog seen on cameras city and harbour?",
        "Was a man with a hat seen?",
        "How often was the bank in London mentioned?",
        "最近一年有没有提到银行？",
        "在城里的摄像头上有没有狗？",
    ],
)
def test_words_that_may_be_no_name_are_not_denied(asker: Asker, question: str) -> None:
    """Where nothing is called so, the question may mean something else. In quotation marks it may not."""
    answer = asker.ask(question)
    assert answer.outcome == "not_understood"
    assert "quotation marks" in answer.text or "引号" in answer.text


def test_a_possessive_is_found_by_its_word(world: SearchWorld, asker: Asker) -> None:
    """With any apostrophe, and in a name."""
    world.publish(world.result(82, "at NASA\u2019s centre with Mr. O\u2019Neill"))
    world.index()
    for question in ("Was NASA mentioned?", "Was O'Neill mentioned?", "Was O\u2019Neill mentioned?"):
        assert asker.ask(question).value is True


def test_words_in_quotation_marks_are_denied(asker: Asker) -> None:
    """They are what was meant."""
    answer = asker.ask('Was "the bank in London" mentioned?')
    assert (answer.outcome, answer.value) == ("answered", False)


def test_a_never_that_is_wrong_is_not_answered_with_yes(asker: Asker) -> None:
    """Which could mean either."""
    assert asker.ask("Was the bank never mentioned?").text.startswith("It was: “bank”")
    assert asker.ask("银行从来没有被提到吗？").text.startswith(("不，有“银行”", "从来没有"))


def test_names_of_an_alias_file_mean_the_same(world: SearchWorld, asker: Asker) -> None:
    """The file lies in the folder of the index."""
    del asker
    (world.folder / "aliases.toml").write_text(
        'dog = ["Rex", "雷克斯"]\nbank = ["credit institute", "信贷所"]\n', encoding="utf-8"
    )
    asker = Asker.open(world.folder)
    assert asker.ask("How many times did Rex appear?").value == 3
    assert asker.ask("雷克斯出现了几次？").value == 3
    assert asker.ask("How often was the credit institute mentioned?").value == 2
    assert asker.ask("信贷所被提到了几次？").value == 2  # a name of the file is one in any script


def test_the_command_answers_with_evidence(world: SearchWorld, asker: Asker) -> None:
    """As lines for people, as JSON, and with a session."""
    del asker
    command = ["ask", "--index", str(world.folder), "--session", "one"]
    done = CliRunner().invoke(app, [*command, "When was the bank first mentioned?"])
    assert f"triptych evidence {world.result(11).id}" in done.stdout
    done = CliRunner().invoke(app, [*command, "--json", "And after that?"])
    found = json.loads(done.stdout)
    assert found["results"] == [world.result(20).id, world.result(12).id]
    assert found["outcome"] == "answered"
    for scope in (
        ("--since", "5h", "--until", "6h"),
        ("--until", "2026-01-01T00:00:00Z", "--since", "2026-01-01T00:00:00Z"),
    ):
        failed = CliRunner().invoke(app, [*command, *scope, "When was the bank first mentioned?"])
        assert "--until: expected a time after that of --since" in str(failed.exception)
    (world.folder / "sessions" / "one.json").write_text("{}x")
    failed = CliRunner().invoke(app, [*command, "And after that?"])
    assert "expected a session" in str(failed.exception)
    shutil.rmtree(world.folder / "sessions")
    (world.folder / "sessions").write_text("no folder")
    answered = CliRunner().invoke(app, [*command, "When was the bank first mentioned?"])
    assert f"triptych evidence {world.result(11).id}" in answered.stdout
    assert "cannot be written, so it ends with this answer" in str(answered.exception)


@pytest.mark.parametrize("is_changed_before", [False, True])
def test_a_question_is_looked_up_again_if_the_version_of_the_index_is_deleted_meanwhile(
    asker: Asker,
    world: SearchWorld,
    indexed: Indexed,
    delete_what_is_seen: Callable[[Callable[[], object]], list[int]],
    *,
    is_changed_before: bool,
) -> None:
    """If the asker has not opened the graph of the version before, that is gone too."""
    if is_changed_before:
        indexed(world.result(80, "Nothing happens."))
    deleted = delete_what_is_seen(lambda: indexed(dogs(world, 90, 1)))
    assert numbers(asker.ask("When was a dog seen on city?"))[-1] == (90, 91)
    assert deleted
