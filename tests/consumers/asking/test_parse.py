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
        "Was no bus seen?",
        "When was nobody on screen?",
        "What was said while there was no music?",
        "Did anyone not mention the bank?",
        "有人没提到银行吗？",
        "有没有人没提到银行？",
    ],
)
def test_what_was_not_so_is_refused(question: str) -> None:
    """Rather than answered as if it had no `not`: an index says what was, not when something was not."""
    with pytest.raises(NotUnderstoodError):
        understood(question)


@pytest.mark.parametrize(
    "question",
    [
        "Was the bank or the bridge mentioned?",
        "Was there music or speech?",
        "Was the bank mentioned? Was the bridge mentioned?",
        "Was the bank mentioned and a bus seen?",
        "有没有人提到银行或者大桥？",
        "银行被提到了几次？大桥被提到了几次？",
        "Were there two people?",
        "Were there more than 2 people?",
        "How many people mentioned the bank?",
        "Who spoke last?",
        "What was said first?",
        "What was the first thing said?",
        "谁最后说话？",
        "谁最先提到银行？",
        "谁先说话？",
        "有多少人提到银行？",
        "有两个人吗？",
        "有没有不是人的东西？",
        "Was the bank mentioned except on north?",
        "Was the bank mentioned less often than the bridge?",
        "Who said Friday?",
    ],
)
def test_what_would_be_taken_for_words_is_refused(question: str) -> None:
    """Two questions, numbers, and an order of what has none: an answer would say that there is no such thing."""
    with pytest.raises(NotUnderstoodError):
        understood(question)


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("有没有人提到银行？", "whether | said 银行"),
        ("有没有人出现？", "whether | seen 人"),
        ("安娜提到银行了吗？", "whether | said 安娜 银行"),
        ("李雷有没有提到大桥？", "whether | said 李雷 大桥"),
        ("什么时候提到了银行？画面上有什么？", "when | said 银行 | also what was seen"),
        ("When was the bank mentioned? And what was on screen?", "when | said bank | also what was seen"),
        ("What was the first thing said after a bus appeared?", "what was said | after seen bus"),
        ('Did anyone say "yes or no"?', "whether | said yes or no"),
        ("Was Mr. Smith mentioned?", "whether | said mr smith"),
        ("Was the night train mentioned?", "whether | said night train"),
        ('Who said "last Friday"?', "who | said last friday"),
        ('Was "today" ever mentioned?', "whether | said today"),
        ('When did ANNA say "last Friday" on camera north?', "when | said anna last friday | on north"),
        ('Was the word "not" said?', "whether | said not"),
        ('Was the bank mentioned on stream "north"?', "whether | said bank | on north"),
        ("north上有没有提到银行？", "whether | said 银行 | on north"),
        ("Was the bank mentioned by ANNA?", "whether | said bank anna"),
        ("Could you tell me when the bank was mentioned?", "when | said bank"),
        ("I want to know how many dogs were seen.", "how many | seen dogs"),
        ("有没有提到ＢＡＮＫ？", "whether | said bank"),
        ("有没有提到“星期五”？", "whether | said 星期五"),
    ],
)
def test_what_looks_like_that_and_is_not(question: str, wanted: str) -> None:
    """Somebody, speakers, names, and what is in quotation marks."""
    assert understood(question) == wanted


@pytest.mark.parametrize(
    "question",
    [
        "What was said in the morning?",
        "Was the bank mentioned tomorrow?",
        "What was said at 25:99?",
        "What was said on February 30?",
        "What was said on 2026-13-45?",
        "What was said on 11/27/2026?",
        "What was said at 10:00 CET?",
        "What was said at 11:00+01:00?",
        "What was said at 10?",
        "How many people were there on the 27th?",
        "今天早上说了什么？",
        "周末有没有音乐？",
        "Was the bank mentioned within 5 days?",
        "Was the bank mentioned in 2025-11?",
        "Was the bank mentioned between 10 and 11 on Friday?",
        "Was there music at 4.58?",
        "What was said 5 minutes before the bank was mentioned?",
        "Is there any person now?",
        "最近几天有没有提到银行？",
        "11月底有没有提到银行？",
        "上上周有没有提到银行？",
        "现在有没有人？",
        "What was said between 2026-01-01 and 2025-12-31?",
    ],
)
def test_a_time_that_no_rule_knows_is_refused(question: str) -> None:
    """It is not a word of what is looked for, which would be found nowhere."""
    with pytest.raises(NotUnderstoodError, match=r"time that I know|不认识时间|ends before it begins"):
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
        ("between 2025-12-31 09:00 and 09:30", "en", -54_000, -52_200),
        ("2025年12月31日9点到9点半", "zh", -54_000, -52_200),
        ("between 10:00 and 11:00", "en", 36_000, 39_600),
        ("between 10:00 and 11:00 on 2025-12-31", "en", -50_400, -46_800),
        ("before 11:00", "en", None, 39_600),
        ("from monday to wednesday", "en", -3 * 86_400, 0),
        ("from wednesday to monday", "en", -8 * 86_400, -2 * 86_400),
        ("between december 30 and january 1", "en", -2 * 86_400, 86_400),
        ("until wednesday", "en", None, 0),
        ("after wednesday", "en", 0, None),
        ("since wednesday", "en", -86_400, None),
        ("on thursday", "en", 0, 86_400),
        ("last thursday", "en", -7 * 86_400, -6 * 86_400),
        ("周三", "zh", -86_400, 0),
        ("上周三", "zh", -8 * 86_400, -7 * 86_400),
        ("周三之后", "zh", 0, None),
        ("从周三开始", "zh", -86_400, None),
        ("this week", "en", -3 * 86_400, 4 * 86_400),
        ("last week", "en", -10 * 86_400, -3 * 86_400),
        ("上周", "zh", -10 * 86_400, -3 * 86_400),
        ("last month", "en", -31 * 86_400, 0),
        ("这个月", "zh", 0, 31 * 86_400),
        ("in december", "en", -31 * 86_400, 0),
        ("12月", "zh", -31 * 86_400, 0),
        ("in 2025", "en", -365 * 86_400, 0),
        ("去年", "zh", -365 * 86_400, 0),
        ("at noon", "en", -43_200, -39_600),
        ("at 9 o'clock", "en", 32_400, 36_000),
        ("two days ago at 10:00", "en", -136_800, -136_740),
        ("on wednesday from 9 am to 11 am", "en", -54_000, -46_800),
        ("on wednesday before 11:00", "en", -86_400, -46_800),
        ("today between 09:00 and 10:00", "en", 32_400, 36_000),
        ("yesterday after 11:00", "en", -46_800, 0),
        ("2026-01-01 10:00 到 10:01", "zh", 36_000, 36_060),
        ("on wednesday after 11:00", "en", -46_800, 0),
        ("the day before yesterday", "en", -2 * 86_400, -86_400),
        ("on dec. 31", "en", -86_400, 0),
        ("on wednesday 31 december 2025", "en", -86_400, 0),
        ("on wednesday, december 31", "en", -86_400, 0),
        ("on wednesday 2025-12-31 at 10:00", "en", -50_400, -50_340),
        ("in the last year", "en", 37_800 - 365 * 86_400, None),
        ("十二月", "zh", -31 * 86_400, 0),
        ("昨天晚上12点", "zh", 0, 60),
        ("中午1点", "zh", -39_600, -39_540),
        ("晚上12点", "zh", 0, 60),
        ("十点零五分", "zh", 36_300, 36_360),
        ("十点一刻", "zh", 36_900, 36_960),
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
