"""Word answers in English and Chinese, from templates."""

# ruff: noqa: RUF001 - Chinese has punctuation of its own

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from triptych.consumers.asking.answering import FoundAnswer
from triptych.consumers.asking.lookup import Occurrence
from triptych.consumers.asking.parsing.question import Language, ParsedQuestion, Wanted
from triptych.units import NS_PER_S

SHOWN_MOMENTS: Final = 10
_SHOWN_IN_SHORT: Final = 3
"""The most quotes, or names of streams, in a short answer."""
_SHOWN_CHARACTERS: Final = 200

_TEXTS: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "can": (
            "I can answer when, who (said it), how many, how often, how long, on which stream, first or last, before, "
            "after or while, ever or never, which more often, and what was seen, heard or said."
        ),
        "not understood": "I do not understand: {part}.",
        "with a time": "{reason} (“{time}” is taken as the time; in quotation marks it would be words)",
        "odd words": "“{term}” as the name of something: put it in quotation marks if it was said like that",
        "unknown time": (
            "“{time}” is no time that I know: name it like 10:05, 2026-01-31, yesterday, last week or in May, in UTC; "
            "if it is a word that was said, put it in quotation marks"
        ),
        "reversed time": "“{time}” ends before it begins",
        "about nothing": (
            "“{question}”: there is no earlier answer that it could be about. Say what it is about, as in “When was a "
            "car seen?”"
        ),
        "then nothing": "“{question}”: there is no earlier answer whose time it could be about; name a time",
        "after nothing": "“{question}”: there is no earlier answer that anything could come before or after",
        "too long": "a question of {number} characters, more than {most}",
        "no stream": "Not found: the index has no stream called {term}. It has: {streams}.",
        "no windows": "Not found: the index holds nothing of that time and those streams.",
        "never": "Not found: nothing in the index shows or says “{term}”{where}.",
        "never together": "Not found: “{term}” is in the index, but not at the time that the question names.",
        "nothing then": "Not found: nothing of that kind is in the index at that time.",
        "nothing": "Not found.",
        "not counted": "Not found: “{term}” was seen, but never counted: only detected objects are.",
        "no names": "Not found: no cue says a name then.",
        "no speaker": "Not found: “{term}” was said, but no cue names who said it.",
        "empty": "Not found: the index is empty.",
        "where": " there",
        "clock": "Times are in UTC. Days, ages and clock times count from the newest window: {time}.",
        "cut": "More windows match than are looked at: {most} at one end of the time. Name a stream or a time.",
        "more": "… and {more} more",
        "one moment": "1 moment on {streams}",
        "moments": "{number} moments on {streams}",
        "streams": "{number} streams",
        "no model": "The language model did not answer: {reason}",
        "dropped one": "1 sentence of the language model was dropped: the quotes do not support it.",
        "dropped": "{number} sentences of the language model were dropped: the quotes do not support them.",
    },
    "zh": {
        "can": (
            "我能回答：什么时候、谁说的、多少、几次、多久、哪个视频流、第一次或最后一次、之前、之后或同时、有没有、"
            "哪个更多，以及看到、听到或说了什么。"
        ),
        "not understood": "没有听懂：{part}。",
        "with a time": "{reason}（“{time}”被当作时间；如果是说过的话，请加引号）",
        "odd words": "“{term}”不像是名称；如果是说过的话，请加引号",
        "unknown time": (
            "不认识时间“{time}”：请写成 10:05、2026-01-31、昨天、上周、5月等（UTC）；如果是说过的话，请加引号"
        ),
        "reversed time": "“{time}”的结束早于开始",
        "about nothing": "“{question}”：之前没有回答，不知道问的是什么。请说出来，例如“什么时候看到了汽车？”",
        "then nothing": "“{question}”：之前没有回答，不知道是哪个时间；请说出时间",
        "after nothing": "“{question}”：之前没有回答，不知道是什么的之前或之后",
        "too long": "问题有 {number} 个字，超过 {most} 个",
        "no stream": "没有找到：索引里没有名为 {term} 的视频流，只有：{streams}。",
        "no windows": "没有找到：索引里没有该时间和视频流的内容。",
        "never": "没有找到：索引里没有“{term}”{where}。",
        "never together": "没有找到：索引里有“{term}”，但不在问题所说的时间。",
        "nothing then": "没有找到：那个时间没有这样的内容。",
        "nothing": "没有找到。",
        "not counted": "没有找到：看到了“{term}”，但没有计数：只有检测到的物体才计数。",
        "no names": "没有找到：那时没有提到名字。",
        "no speaker": "没有找到：有人说了“{term}”，但字幕没有写是谁说的。",
        "empty": "没有找到：索引是空的。",
        "where": "（在该时间和视频流中）",
        "clock": "时间为 UTC。日期和钟点从索引里最新的窗口算起：{time}。",
        "cut": "符合的窗口超过 {most} 个，只查看了时间一端的。请指定视频流或时间。",
        "more": "……还有 {more} 处",
        "one moment": "1 处，在 {streams}",
        "moments": "{number} 处，在 {streams}",
        "streams": "{number} 个视频流",
        "no model": "语言模型没有回答：{reason}",
        "dropped one": "语言模型的 1 句话没有依据，已经删除。",
        "dropped": "语言模型的 {number} 句话没有依据，已经删除。",
    },
}
_SENTENCES: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "when": "{places}.",
        "first": "First: {places}.",
        "last": "Last: {places}.",
        "how many": "At most {value} at once ({term}): {places}.",
        "once": "Once ({term}): {places}.",
        "how often": "{value} times ({term}): {places}.",
        "how long": "{value} seconds in all ({term}): {places}.",
        "who": "{value}: {places}.",
        "who was mentioned": "{value}: {places}.",
        "which stream": "{value}: {places}.",
        "what was seen": "Seen: {value} ({places}).",
        "what was heard": "Heard: {value} ({places}).",
        "what was said": "Said: {value} ({places}).",
        "yes": "Yes, it was: “{term}”, {places}.",
        "once at least": "It was: “{term}”, {places}.",
        "no": "No: nothing that fits the question shows or says “{term}”.",
        "never so": "Never: nothing that fits the question shows or says “{term}”.",
        "more": "“{most}” more often: “{term}” {first}, “{other}” {second}.",
        "equal": "Equally often: “{term}” {first}, “{other}” {second}.",
    },
    "zh": {
        "when": "{places}。",
        "first": "第一次：{places}。",
        "last": "最后一次：{places}。",
        "how many": "同时最多 {value} 个（{term}）：{places}。",
        "once": "1 次（{term}）：{places}。",
        "how often": "{value} 次（{term}）：{places}。",
        "how long": "一共 {value} 秒（{term}）：{places}。",
        "who": "{value}：{places}。",
        "who was mentioned": "{value}：{places}。",
        "which stream": "{value}：{places}。",
        "what was seen": "看到：{value}（{places}）。",
        "what was heard": "听到：{value}（{places}）。",
        "what was said": "说了：{value}（{places}）。",
        "yes": "有，“{term}”：{places}。",
        "once at least": "不，有“{term}”：{places}。",
        "no": "没有：索引里没有这样的“{term}”。",
        "never so": "从来没有：索引里没有这样的“{term}”。",
        "more": "“{most}”更多：“{term}” {first} 次，“{other}” {second} 次。",
        "equal": "一样多：“{term}” {first} 次，“{other}” {second} 次。",
    },
}


def say(key: str, language: Language, **values: object) -> str:
    """Return a fixed text."""
    return _TEXTS[language][key].format(**values)


def shown_time(time_ns: int) -> str:
    """Return an event time as people read it, in UTC, to a tenth of a second."""
    moment = datetime.fromtimestamp(time_ns // (NS_PER_S // 10) / 10, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S") + (f".{moment.microsecond // 100_000}" if moment.microsecond else "")


def moment_line(moment: Occurrence) -> str:
    """Return where and when a moment is: `city 2026-01-01 10:00:04-10:00:12`."""
    start, end = shown_time(moment.start_ns), shown_time(moment.end_ns)
    return f"{moment.stream} {start}-{end[11:] if end[:10] == start[:10] else end}"


def worded(asked: ParsedQuestion, finding: FoundAnswer, *, in_short: bool = False) -> str:
    """Return the answer as a sentence, and what it wants to know besides as a second one.

    Where and when each moment is stands in it; in short, how many moments there are, and on which streams.
    """
    text = _sentence(asked, finding, in_short=in_short)
    if asked.also is None:
        return text
    besides = ParsedQuestion(asked.also, asked.language)
    if not finding.also_value:
        return f"{text} {say('nothing then', asked.language)}"
    return f"{text} {_sentence(besides, FoundAnswer(finding.also_value, finding.also), in_short=in_short)}"


def _sentence(asked: ParsedQuestion, finding: FoundAnswer, *, in_short: bool) -> str:
    """Return one sentence. EVER, COMPARE and HOW_OFTEN have one for each outcome, the other kinds one each."""
    key: str = asked.wanted.value
    value = finding.value
    other = "" if asked.other is None else asked.other.term
    values: dict[str, object] = {"value": value, "term": _term(asked), "other": other}
    if asked.wanted is Wanted.EVER:
        keys = ("never so", "once at least") if asked.negative else ("no", "yes")
        key = keys[bool(value)]
    elif asked.wanted is Wanted.COMPARE and isinstance(value, tuple):
        first, second = value
        key = "equal" if first == second else "more"
        values |= {"first": first, "second": second, "most": _term(asked) if int(first) > int(second) else other}
    elif asked.wanted is Wanted.HOW_OFTEN and value == 1:
        key = "once"
    elif isinstance(value, tuple):
        values["value"] = _listed(asked, [str(name) for name in value], in_short=in_short)
    elif isinstance(value, float):
        values["value"] = f"{value:g}"
    is_one = asked.wanted in {Wanted.FIRST, Wanted.LAST}
    places = _places_in_short(finding.moments, asked.language, is_one=is_one) if in_short else None
    values["places"] = _places(finding.moments, asked.language) if places is None else places
    return _SENTENCES[asked.language][key].format(**values)


def _term(asked: ParsedQuestion) -> str:
    return "" if asked.about is None else asked.about.term


def _places(moments: Sequence[Occurrence], language: Language) -> str:
    lines = list(dict.fromkeys(moment_line(moment) for moment in moments))
    text = "; ".join(lines[:SHOWN_MOMENTS])
    return text if len(lines) <= SHOWN_MOMENTS else f"{text} {say('more', language, more=len(lines) - SHOWN_MOMENTS)}"


def _places_in_short(moments: Sequence[Occurrence], language: Language, *, is_one: bool) -> str:
    """Return how many moments there are, and on which streams; of one that is the first or the last, only on which."""
    streams = list(dict.fromkeys(moment.stream for moment in moments))
    text = ", ".join(streams)
    if is_one:
        return text
    if len(streams) > _SHOWN_IN_SHORT:
        text = say("streams", language, number=len(streams))
    return say("one moment" if len(moments) == 1 else "moments", language, number=len(moments), streams=text)


def _listed(asked: ParsedQuestion, names: Sequence[str], *, in_short: bool) -> str:
    """Return names, or what was said between quotation marks. Of many quotes, and of many names in short, only some."""
    is_said = asked.wanted is Wanted.WHAT_SAID
    most = len(names) if not (is_said or in_short) else _SHOWN_IN_SHORT if is_said and in_short else SHOWN_MOMENTS
    shown = [f"“{name[:_SHOWN_CHARACTERS]}”" if is_said else name for name in names[:most]]
    text = (" " if is_said else ", ").join(shown)
    left_out = len(names) - len(shown)
    return f"{text} {say('more', asked.language, more=left_out)}" if in_short and left_out else text
