"""What questions ask for. Phrasings by the dozen are in the benchmark; here are the rules one by one."""

# ruff: noqa: RUF001 - Chinese has punctuation of its own

from __future__ import annotations

import pytest

from triptych.consumers.asking.parsing.parse import UnknownStreamError, parse_question
from triptych.consumers.asking.parsing.question import NotUnderstoodError
from triptych.consumers.asking.parsing.thing_names import ThingNames
from triptych.consumers.asking.parsing.time_words import find_time
from triptych.units import NS_PER_S

DAY_NS = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z."""
NEWEST_NS = DAY_NS + (10 * 3_600 + 30 * 60) * NS_PER_S
STREAMS = ("north", "south")


def understood(question: str) -> str:
    """Return what was understood of a question."""
    return str(parse_question(question, STREAMS, NEWEST_NS).asked)


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("When did someone mention the bank, and what was on screen?", "when | said bank | also what was seen"),
        ("When was a dog seen on camera north?", "when | seen dog | on north"),
        ("How long was a dog visible?", "how long | seen dog"),
        ("On which camera did a bus appear?", "which stream | seen bus"),
        ("What was said about the bank?", "what was said | said bank"),
        ("Was a dog seen before a cat was seen?", "whether | seen dog | before seen cat"),
        ("Who mentioned the “bank”?", "who | said bank"),
        ("Who asked for a ticket to Antwerp?", "who | said ticket antwerp"),
        ("Did anyone ask about the bank?", "whether | said bank"),
        ("谁在north摄像头上提到了银行？", "who | said 银行 | on north"),
        ("什么时候有人提到银行，画面上有什么？", "when | said 银行 | also what was seen"),
        ("狗出现了多久？", "how long | seen 狗"),
        ("哪个摄像头出现了狗？", "which stream | seen 狗"),
    ],
)
def test_what_is_understood(question: str, wanted: str) -> None:
    """Kind, clauses, streams, and what it wants to know besides."""
    assert understood(question) == wanted


@pytest.mark.parametrize(
    "question",
    ["Why was the dog there?", "Is the bank good?", "???", "他们高兴吗？", "Who is on screen?", "dog " * 200],
)
def test_what_no_rule_fits_is_not_guessed(question: str) -> None:
    """A question that was not understood is refused."""
    with pytest.raises(NotUnderstoodError):
        understood(question)


@pytest.mark.parametrize(
    "question",
    [
        "When was a dog not seen?",
        "When was the bank never mentioned?",
        "How long was a dog not visible at all?",
        "When wasn't a dog seen?",
        "How many dogs were not there?",
        "Who did not mention the bank?",
        "What was not on screen?",
        "On which camera was a dog not seen?",
        "Was dog not mentioned more often than bank?",
        "When was a dog seen without a cat?",
        "Was a dog seen without a cat?",
        "Was a dog seen while a cat was not seen?",
        "Did anyone say that the harvest was not good?",
        "Was a dog never not seen?",
        "什么时候没有看到狗？",
        "什么时候没看到狗？",
        "谁没提到银行？",
        "狗不在画面上多久？",
        "画面上没有什么？",
        "狗未出现的时候说了什么？",
        "没看到猫的时候有没有看到狗？",
        "有人说银行没有开门吗？",
    ],
)
def test_what_was_not_so_is_refused(question: str) -> None:
    """Rather than answered as if it had no `not`: an index says what was, not when something was not."""
    with pytest.raises(NotUnderstoodError):
        understood(question)


@pytest.mark.parametrize(
    ("word", "expected"), [("dog ", "a question of 4000 characters"), ("狗有没有", "问题有 4000 个字")]
)
def test_a_question_that_is_too_long_is_told_so(word: str, expected: str) -> None:
    """In its language."""
    with pytest.raises(NotUnderstoodError, match=expected):
        understood(word * 1_000)


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("Was a dog never seen?", "seen dog"),
        ("Was a dog not seen?", "seen dog"),
        ("Wasn't a dog seen?", "seen dog"),
        ("Was the bank not mentioned at all?", "said bank"),
        ("Was a dog never seen before a cat was seen?", "seen dog | before seen cat"),
        ("从来没有看到狗吗？", "seen 狗"),
        ("狗没有出现吗？", "seen 狗"),
        ("没有狗吗？", "seen 狗"),
        ("看到猫之前从来没有看到狗吗？", "seen 狗 | before seen 猫"),
        ("没人提到银行吗？", "said 银行"),
        ("没有人提到银行吗？", "said 银行"),
        ("没有人出现吗？", "seen 人"),
    ],
)
def test_whether_something_never_was(question: str, wanted: str) -> None:
    """Not and never mean the same there."""
    asked = parse_question(question, STREAMS, NEWEST_NS).asked
    assert (str(asked), asked.negative) == (f"whether | {wanted}", True)


def test_what_was_said_may_have_a_not() -> None:
    """In quotation marks, and in words such as 未来."""
    assert understood('When was "never again" mentioned?') == "when | said never again"
    assert understood("什么时候提到未来？") == "when | said 未来"
    assert not parse_question("有没有看到狗？", STREAMS, NEWEST_NS).asked.negative


def test_a_stream_that_does_not_exist_is_told() -> None:
    """It is not taken for a word."""
    with pytest.raises(UnknownStreamError, match="west"):
        understood("When was a dog seen on camera west?")


@pytest.mark.parametrize(
    ("text", "language", "start_s", "end_s"),
    [
        ("seen at 10:05", "en", 36_300, 36_360),
        ("seen at 10:05:30", "en", 36_330, 36_331),
        ("seen at 9 am", "en", 32_400, 36_000),
        ("between 10:00 and 10:05", "en", 36_000, 36_300),
        ("since 10:00", "en", 36_000, None),
        ("before 10:00", "en", None, 36_000),
        ("5 minutes ago", "en", 37_500, 37_560),
        ("in the last 5 minutes", "en", 37_500, None),
        ("yesterday at 9 pm", "en", -10_800, -7_200),
        ("yesterday", "en", -86_400, 0),
        ("at 11:00", "en", -46_800, -46_740),
        ("on 2026-01-01 at 02:00", "en", 7_200, 7_260),
        ("2026-01-01t02:00:05z", "en", 7_205, 7_206),
        ("10点5分", "zh", 36_300, 36_360),
        ("下午三点半", "zh", -30_600, -30_540),
        ("昨天下午3点", "zh", -32_400, -32_340),
        ("10:00到10:05之间", "zh", 36_000, 36_300),
        ("最近五分钟", "zh", 37_500, None),
        ("十分钟前", "zh", 37_200, 37_260),
        ("10:00之后", "zh", 36_000, None),
        ("1月1日10点", "zh", 36_000, 36_060),
    ],
)
def test_times_are_found(text: str, language: str, start_s: int | None, end_s: int | None) -> None:
    """Clock times are on the day of the newest window, or the day before if that would be later than it."""
    span = find_time(text, language, NEWEST_NS).span  # type: ignore[arg-type]
    assert span is not None
    seconds = [None if time is None else (time - DAY_NS) / NS_PER_S for time in (span.start_ns, span.end_ns)]
    assert seconds == [start_s, end_s]


@pytest.mark.parametrize(
    "text", ["who may have seen the sun", "a second dog", "two dogs", "in the picture", "march of the dogs"]
)
def test_words_that_look_like_times_are_words(text: str) -> None:
    """May, sun, second and march are found as dates by a search for dates."""
    assert find_time(text, "en", NEWEST_NS).span is None


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("in the last 99999999999 hours", "en"),
        ("in the last 300000 days", "en"),
        ("9999999999999999999999 seconds ago", "en"),
        ("on 9999-12-31", "en"),
        ("on 0001-01-01", "en"),
        ("9999999999999小时前", "zh"),
    ],
)
def test_a_time_out_of_all_bounds_is_one_that_an_index_can_compare(text: str, language: str) -> None:
    """Of 64 bits, in nanoseconds."""
    span = find_time(text, language, NEWEST_NS).span  # type: ignore[arg-type]
    assert span is not None
    assert all(time is None or abs(time) < 2**63 for time in (span.start_ns, span.end_ns))


def test_other_names_of_a_thing() -> None:
    """Synonyms, plurals, Chinese, kinds of it, and the names of a file."""
    names = ThingNames.load()
    known = ["sports car", "car", "truck", "dog", "hot dog", "people"]
    assert names.among("automobiles", known) == ("sports car", "car")
    assert names.among("狗", known) == ("dog",)
    assert names.among("women", known) == ("people",)
    assert names.among("lorry", known) == ("truck",)
