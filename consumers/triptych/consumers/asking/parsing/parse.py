"""Parse a question: find its language, streams and time, and apply the rules of the language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from triptych.consumers.asking.parsing.chinese import parse_chinese
from triptych.consumers.asking.parsing.english import parse_english
from triptych.consumers.asking.parsing.question import Clause, Language, NotUnderstoodError, ParsedQuestion
from triptych.consumers.asking.parsing.time_words import find_time
from triptych.consumers.asking.wording import say

_HAN: Final = re.compile(r"[\u4e00-\u9fff]")
_STREAM: Final = re.compile(
    r"\b(?:on|in|from|at) (?:the )?(?:camera|stream|feed|channel) (?P<name>[\w.-]*\w)|"
    r"\b(?:on|in|from|at) (?:the )?(?P<first>[\w.-]+) (?:camera|stream|feed|channel)\b"
)
_STREAM_ZH: Final = re.compile(
    r"在?(?:摄像头|摄像机|频道|视频流|流) ?(?P<name>[A-Za-z0-9._-]+)(?:上|里|中)?的?|"
    r"在?(?P<first>[A-Za-z0-9._-]+) ?(?:摄像头|摄像机|频道|视频流)(?:上|里|中)?的?"
)
_PLAIN: Final = str.maketrans("“”„«»「」『』", '"' * 9) | {
    number: number - 0xFEE0 for number in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
}
"""Quotation marks, and letters and digits of full width, as those of ASCII."""
_QUOTED_STREAM: Final = re.compile(r'\b(camera|stream|feed|channel) "([\w.-]+)"')
_SAID_A_TIME: Final = re.compile(
    r"^who (?:said|says|mentioned) (?:(?:last )?(?:mon|tues|wednes|thurs|fri|satur|sun)day|today|yesterday)\W*$"
)
_QUOTED: Final = re.compile('"[^"]*"')
_MASK: Final = "\ue000\ue001"
"""Characters of private use, between which the number of a text in quotation marks stands."""
_THE_WORD: Final = re.compile(f"\\b(?:the )?(?:words?|phrase) (?={_MASK[0]})")
_MASKED: Final = re.compile(f"{_MASK[0]}(\\d+){_MASK[1]}")
_MAX_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True)
class UnderstoodQuestion:
    """A question that was understood. `is_relative` if its time counts from the newest window."""

    asked: ParsedQuestion
    is_relative: bool = False


class UnknownStreamError(ValueError):
    """The question names a stream that the index does not have. The message is its name."""


def language_of(question: str) -> Language:
    """Return the language of a question: Chinese if it has a Chinese character."""
    return "zh" if _HAN.search(question) else "en"


def parse_question(question: str, streams: Sequence[str], reference_ns: int) -> UnderstoodQuestion:
    """Return what a question asks for.

    Args:
        question: the question, in English or Chinese.
        streams: the streams of the index, which a question may name.
        reference_ns: the event time from which ages and days count back.

    Raises:
        NotUnderstoodError: no rule fits.
        UnknownStreamError: it names a stream that does not exist.
    """
    language = language_of(question[:_MAX_CHARACTERS])
    if len(question) > _MAX_CHARACTERS:
        raise NotUnderstoodError(say("too long", language, number=len(question), most=_MAX_CHARACTERS))
    quotes: list[str] = []

    def masked(quote: re.Match[str]) -> str:
        quotes.append(quote[0][1:-1])
        return f"{_MASK[0]}{len(quotes) - 1}{_MASK[1]}"

    def unmasked(text: str) -> str:
        return _MASKED.sub(lambda found: f" {quotes[int(found[1])]} ", text)

    def spoken(clause: Clause | None) -> Clause | None:
        """Return a clause with what was in quotation marks."""
        if clause is None or _MASK[0] not in clause.term:
            return clause
        return replace(clause, term=" ".join(unmasked(clause.term).split()), is_quoted=True)

    text = _QUOTED_STREAM.sub(r"\1 \2", " ".join(question.translate(_PLAIN).casefold().split()))
    # A stream, a time or a rule's word in quotation marks is something that was said.
    text = _THE_WORD.sub("", _QUOTED.sub(masked, text))
    text, named = _take_streams(text, language, streams)
    time = find_time(text, language, reference_ns)
    try:
        parsed = (parse_chinese if language == "zh" else parse_english)(time.rest)
    except NotUnderstoodError as error:
        reason = unmasked(str(error))
        if time.span is not None:
            reason = say("with a time", language, reason=reason, time=unmasked(time.span.text).strip())
        raise NotUnderstoodError(reason) from error
    if time.span is not None and parsed.about == Clause("said", "") and _SAID_A_TIME.search(text) is not None:
        raise NotUnderstoodError(say("unknown time", language, time=time.span.text))
    about, other, anchor = map(spoken, (parsed.about, parsed.other, parsed.anchor))
    whole = replace(parsed, about=about, other=other, anchor=anchor, streams=named, span=time.span)
    return UnderstoodQuestion(whole, time.is_relative)


def _take_streams(text: str, language: Language, streams: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Take the streams out of a text: those after a word such as camera, and names that are no other words."""
    known = {stream.casefold(): stream for stream in streams}
    pattern = _STREAM_ZH if language == "zh" else _STREAM
    named: list[str] = []
    while (found := pattern.search(text)) is not None:
        name = found["name"] or found["first"]
        if found["name"] is None and name not in known:
            break
        if name not in known:
            raise UnknownStreamError(name)
        named.append(known[name])
        text = f"{text[: found.start()]} {text[found.end() :]}"
    for name, stream in known.items():
        bare = re.compile(
            rf"(?:\b(?:on|in|from|at) |在){re.escape(name)}(?![A-Za-z0-9_.-])(?:上|里|中)?的?|"
            rf"(?<![A-Za-z0-9_.-]){re.escape(name)}(?:上|里|中)的?"
        )
        if (found := bare.search(text)) is not None:
            named.append(stream)
            text = f"{text[: found.start()]} {text[found.end() :]}"
    return text, tuple(dict.fromkeys(named))
