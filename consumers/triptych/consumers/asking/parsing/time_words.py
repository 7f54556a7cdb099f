"""Find the time that a question names: a clock time, a day, an age, or an interval of them. All are in UTC.

Ages and days count back from a reference: the newest window of the index, since a feed may have ended long ago.
dateparser reads days and ages; clock times are combined with them here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from triptych.consumers.asking.parsing.question import Language, TimeSpan
from triptych.units import NS_PER_S

_CLOCK: Final = r"(?:\d{1,2}:\d\d(?::\d\d)?(?: ?[ap]\.?m\b\.?)?|\d{1,2} ?[ap]\.?m\b\.?)"
_MONTHS: Final = (
    "(?:january|february|march|april|may|june|july|august|september|october|november|december|"
    "jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)"
)
_DAY: Final = (
    r"(?:\d{4}-\d\d-\d\d|today|yesterday|(?:last )?(?:mon|tues|wednes|thurs|fri|satur|sun)day|"
    rf"\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTHS}(?:,? \d{{4}})?|{_MONTHS} \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?)"
)
_NUMBER: Final = r"(?:\d+|an?|one|two|three|four|five|ten|fifteen|twenty|thirty|half an)"
_UNIT: Final = r"(?:second|minute|hour|day|week)s?"
_POINT: Final = (
    rf"(?:{_DAY}(?:t|,? at |,? )?{_CLOCK}z?|{_CLOCK}(?: utc)?,?(?: on)? {_DAY}|{_NUMBER} {_UNIT} ago|"
    rf"{_CLOCK}(?: utc)?|{_DAY})"
)
_LAST: Final = rf"\b(?:(?:in|during|over|within) )?the (?:last|past) (?P<last>{_NUMBER} {_UNIT}|{_UNIT})\b"
_PATTERNS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?:between (?P<from>{_POINT}) and|from (?P<from2>{_POINT}) (?:to|until|till)) (?P<to>{_POINT})",
        _LAST,
        rf"\b(?:since|from|after) (?P<since>{_POINT})(?: on(?:wards)?)?",
        rf"\b(?:before|until|till|by) (?P<until>{_POINT})",
        rf"\b(?:(?:at|on|around|in) )?(?P<at>{_POINT})",
    )
)
_ZH_DAY: Final = r"(?:\d{4}-\d\d-\d\d|(?:\d{4}年)?\d{1,2}月\d{1,2}[日号]|今天|昨天|前天)"
_ZH_MONTH_DAY: Final = re.compile(r"(\d{1,2})月(\d{1,2})[日号]")
_ZH_CLOCK: Final = r"\d{1,2}:\d\d(?::\d\d)?"
_ZH_POINT: Final = rf"(?:{_ZH_DAY}的? ?{_ZH_CLOCK}|{_ZH_CLOCK}|{_ZH_DAY}|\d+ ?(?:秒钟?|分钟|小时|天)(?:之前|以前|前))"
_ZH_PATTERNS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"在?(?:从)?(?P<from>{_ZH_POINT})(?:到|至|和)(?P<to>{_ZH_POINT})(?:之间|期间)?的?",
        r"在?(?:最近|过去)的?(?P<last>\d+ ?(?:秒钟?|分钟|小时|天))(?:里|内|中)?的?",
        rf"(?:自从?|从)?(?P<since>{_ZH_POINT})(?:以后|之后|以来|起|后)",
        rf"在?(?P<until>{_ZH_POINT})(?:以前|之前|前)",
        rf"在?(?P<at>{_ZH_POINT})(?:的时候|时)?",
    )
)
_ZH_SAID_CLOCK: Final = re.compile(
    r"(?P<half>凌晨|早上|上午|中午|下午|晚上)?(?P<hour>\d{1,2}|[一二两三四五六七八九十]{1,3})(?:点|时)(?!候)钟?"
    r"(?:(?P<minute>\d{1,2}|[一二三四五六七八九十]{1,3})分|(?P<halfpast>半)|(?P<minute2>\d{2}))?(?:(?P<second>\d{1,2})秒)?"
)
_ZH_NUMBER: Final = re.compile(r"[一二两三四五六七八九十]{1,3}(?=(?:个)?(?:秒|分钟|小时|天))")
_ZH_DIGITS: Final = {
    character: number for number, character in enumerate("零一二三四五六七八九")
} | {"两": 2}  # fmt: skip
_UNIT_SECONDS: Final = {
    "second": 1, "秒": 1, "minute": 60, "分": 60, "hour": 3_600, "小": 3_600, "day": 86_400, "天": 86_400,
    "week": 604_800,
}  # fmt: skip
_SECONDS_OF_DAY: Final = 86_400
_NOON: Final = 12
_TEN: Final = 10
_LATEST_NS: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class FoundTime:
    """The text without its time, and the time. `is_relative` if it counts from the reference."""

    rest: str
    span: TimeSpan | None
    is_relative: bool = False


@dataclass(frozen=True, slots=True)
class _Point:
    """A time, and how precise it is: `10:05` is a minute long."""

    start: datetime
    seconds: float


def find_time(text: str, language: Language, reference_ns: int) -> FoundTime:
    """Find the time in a question.

    Args:
        text: the question, in lower case.
        language: its language.
        reference_ns: the event time from which ages and days count back.
    """
    reference = datetime.fromtimestamp(reference_ns / NS_PER_S, UTC)
    text = _with_digits(text) if language == "zh" else text
    for pattern in _ZH_PATTERNS if language == "zh" else _PATTERNS:
        found = pattern.search(text)
        if found is None:
            continue
        named = {name.rstrip("2"): value for name, value in found.groupdict().items() if value}
        span = _span(named, found[0].strip(), language, reference)
        if span is not None:
            is_relative = not all(re.search(r"\d{4}-\d\d-\d\d", value) for value in named.values())
            return FoundTime(f"{text[: found.start()]} {text[found.end() :]}", span, is_relative)
    return FoundTime(text, None)


def _span(named: dict[str, str], words: str, language: Language, reference: datetime) -> TimeSpan | None:
    if "last" in named:
        start = _earlier(reference, _length_s(named["last"]))
        return TimeSpan(_ns(start), None, words)
    points = {name: _point(value, language, reference) for name, value in named.items()}
    if any(point is None for point in points.values()):
        return None
    first, last = points.get("from"), points.get("to")
    if first is not None and last is not None:
        return TimeSpan(_ns(first.start), _ns(last.start), words)
    if (since := points.get("since")) is not None:
        return TimeSpan(_ns(since.start), None, words)
    if (until := points.get("until")) is not None:
        return TimeSpan(None, _ns(until.start), words)
    at = points["at"]
    return None if at is None else TimeSpan(_ns(at.start), _ns(at.start, at.seconds), words)


def _point(text: str, language: Language, reference: datetime) -> _Point | None:
    clock = re.search(_ZH_CLOCK if language == "zh" else _CLOCK, text)
    if clock is None:
        return _day_or_age(text.strip(), language, reference)
    rest = f"{text[: clock.start()]} {text[clock.end() :]}"
    rest = re.sub(r"\b(?:at|on|utc)\b", " ", rest).strip(" ,tz的")
    time = _clock_seconds(clock[0])
    if time is None:
        return None
    seconds, precision = time
    day = _day_or_age(rest, language, reference) if rest else None
    if rest and day is None:
        return None
    start = (reference if day is None else day.start).replace(hour=0, minute=0, second=0, microsecond=0)
    found = start + timedelta(seconds=seconds)
    if day is None and found > reference:
        found -= timedelta(days=1)
    return _Point(found, precision)


def _clock_seconds(text: str) -> tuple[int, float] | None:
    """Return the seconds since midnight, and how many of them the text means."""
    parts = re.fullmatch(r"(\d{1,2})(?::(\d\d))?(?::(\d\d))? ?(?:([ap])\.?m\.?)?", text)
    if parts is None:
        return None
    hour, minute, second = (int(part or 0) for part in parts.groups()[:3])
    if parts[4]:
        hour = hour % _NOON + (_NOON if parts[4] == "p" else 0)
    seconds = hour * 3_600 + minute * 60 + second
    precision = 1.0 if parts[3] else 60.0 if parts[2] else 3_600.0
    return (seconds, precision) if seconds < _SECONDS_OF_DAY else None


def _day_or_age(text: str, language: Language, reference: datetime) -> _Point | None:
    import dateparser  # noqa: PLC0415 - takes half a second, and most questions name no day

    if (age := re.search(r"ago$|前$", text)) is not None:
        length_s = _length_s(text[: age.start()])
        unit_s = next((seconds for unit, seconds in _UNIT_SECONDS.items() if unit in text), 1)
        return _Point(_earlier(reference, length_s), min(unit_s, 3_600))
    if (date := _ZH_MONTH_DAY.fullmatch(text)) is not None:  # which dateparser reads with a year only
        year = reference.year - ((int(date[1]), int(date[2])) > (reference.month, reference.day))
        text = f"{year}年{date[1]}月{date[2]}日"
    parsed = dateparser.parse(
        text.replace("号", "日"),
        languages=["zh" if language == "zh" else "en"],
        settings={
            "RELATIVE_BASE": reference.replace(tzinfo=None),
            "TIMEZONE": "UTC",
            "TO_TIMEZONE": "UTC",
            "RETURN_AS_TIMEZONE_AWARE": True,
            "PREFER_DATES_FROM": "past",
        },
    )
    if parsed is None:
        return None
    return _Point(parsed.replace(hour=0, minute=0, second=0, microsecond=0), _SECONDS_OF_DAY)


def _length_s(text: str) -> float:
    words = {
        "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "ten": 10, "fifteen": 15, "twenty": 20,
        "thirty": 30, "half": 0.5,
    }  # fmt: skip
    first = re.match(r"\s*(\d+|[a-z]+)", text)
    number = 1.0 if first is None else float(first[1]) if first[1].isdigit() else float(words.get(first[1], 1))
    return number * next((seconds for unit, seconds in _UNIT_SECONDS.items() if unit in text), 1)


def _with_digits(text: str) -> str:
    """Return a Chinese text with its clock times as 15:05, and its numbers of minutes and the like in digits."""
    text = _ZH_NUMBER.sub(lambda found: str(_number(found[0])), text)
    return _ZH_SAID_CLOCK.sub(_clock_text, text)


def _clock_text(found: re.Match[str]) -> str:
    hour = _number(found["hour"])
    if found["half"] in {"下午", "晚上"} and hour < _NOON:
        hour += _NOON
    minute = 30 if found["halfpast"] else _number(found["minute"] or found["minute2"] or "0")
    second = f":{int(found['second']):02}" if found["second"] else ""
    return f"{hour:02}:{minute:02}{second}"


def _number(text: str) -> int:
    if text.isdigit():
        return int(text)
    tens, _, units = text.rpartition("十") if "十" in text else ("", "", text)
    value = (_ZH_DIGITS.get(tens, 1) if "十" in text else 0) * _TEN
    return value + _ZH_DIGITS.get(units, 0)


def _earlier(moment: datetime, seconds: float) -> datetime:
    """Return a moment so many seconds earlier, but none before the first year."""
    try:
        return moment - timedelta(seconds=seconds)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _ns(moment: datetime, more_s: float = 0.0) -> int:
    """Return the time of a moment, and some seconds more, within what an index can compare: 1677 to 2262."""
    return max(-_LATEST_NS, min(_LATEST_NS, round((moment.timestamp() + more_s) * NS_PER_S)))
