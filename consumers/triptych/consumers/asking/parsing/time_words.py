"""Find the time that a question names: a clock time, a day, an age, or an interval of them. All are in UTC.

Ages and days count back from a reference: the newest window of the index, since a feed may have ended long ago.
dateparser reads days and ages; clock times are combined with them here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from triptych.consumers.asking.parsing.question import Language, NotUnderstoodError, TimeSpan
from triptych.consumers.asking.wording import say
from triptych.units import NS_PER_S

_CLOCK: Final = (
    r"(?:\d{1,2}:\d\d(?::\d\d)?(?: ?[ap]\.?m\b\.?)?|\d{1,2} ?[ap]\.?m\b\.?|\d{1,2} o['’]clock|"  # noqa: RUF001 - as people write
    r"\b(?:noon|midnight)\b)"
)
_MONTHS: Final = (
    "(?:january|february|march|april|may|june|july|august|september|october|november|december|"
    "jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)"
)
_MONTH_WITH_DOT: Final = re.compile(r"\b(jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\. ?(?=\d)")
_WEEKDAY: Final = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day\b"
_DAY: Final = (
    rf"(?:(?:{_WEEKDAY},? (?:the )?)?(?:\d{{4}}-\d\d-\d\d|\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTHS}(?:,? \d{{4}})?|"
    rf"{_MONTHS} \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?)|"
    rf"today|(?:the )?day before yesterday|yesterday|(?:last )?{_WEEKDAY})"
)
_NUMBER: Final = r"(?:\d+|an?|one|two|three|four|five|ten|fifteen|twenty|thirty|half an)"
_UNIT: Final = r"(?:second|minute|hour|day|week|month|year)s?"
_POINT: Final = (
    rf"(?:{_DAY}(?:t|,? at |,? )?{_CLOCK}z?|{_CLOCK}(?: utc)?,?(?: on)? {_DAY}|"
    rf"{_NUMBER} (?:day|week)s? ago,?(?: at)? {_CLOCK}|{_NUMBER} {_UNIT} ago|"
    rf"{_CLOCK}(?: utc)?|{_DAY})"
)
_LAST: Final = rf"\b(?:(?:in|during|over|within) )?the (?:last|past) (?P<last>{_NUMBER} {_UNIT}|{_UNIT})\b"
_PATTERNS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?:on )?(?P<day>{_DAY}),? (?:from|between) (?P<from>{_CLOCK}) (?:to|until|till|and) (?P<to>{_CLOCK})",
        rf"\b(?:on )?(?P<day>{_DAY}),? (?P<edge>before|after|until|since|from) (?P<clock>{_CLOCK})",
        rf"\b(?:between (?P<from>{_POINT}) and|from (?P<from2>{_POINT}) (?:to|until|till)) (?P<to>{_POINT})",
        _LAST,
        r"\b(?:in |during )?(?<!the )(?P<period>(?:this|last|the previous) (?:week|month|year))\b",
        rf"\b(?:in|during) (?P<period>{_MONTHS}(?:,? (?:of )?(?:19|20)\d\d)?|(?:19|20)\d\d)\b(?![ -]?\d)",
        rf"\b(?:since|from) (?P<since>{_POINT})(?: on(?:wards)?)?",
        rf"\bafter (?P<after>{_POINT})",
        rf"(?<!\bday )\bbefore (?P<before>{_POINT})",
        rf"\b(?:until|till|by) (?P<until>{_POINT})",
        rf"\b(?:(?:at|on|around|in) )?(?P<at>{_POINT})",
    )
)
_ZH_WEEKDAY: Final = r"(?<![一两每])上?个?(?:周|星期|礼拜)[一二三四五六日天]"
_ZH_DAY: Final = rf"(?:\d{{4}}-\d\d-\d\d|(?:\d{{4}}年)?\d{{1,2}}月\d{{1,2}}[日号]|今天|昨天|(?<!大)前天|{_ZH_WEEKDAY})"
_ZH_PERIOD: Final = (
    r"(?:(?<!上)(?:本|这个?|上个?)(?:周|星期|礼拜)(?![一二三四五六日天])|(?:本|这个|上个)月|今年|去年|"
    r"(?:(?:19|20)\d\d年)?\d{1,2}月(?![\d底初末])|(?:19|20)\d\d年(?!\d))"
)
_ZH_MONTH_DAY: Final = re.compile(r"(\d{1,2})月(\d{1,2})[日号]")
_ZH_CLOCK: Final = r"\d{1,2}:\d\d(?::\d\d)?"
_ZH_POINT: Final = rf"(?:{_ZH_DAY}的? ?{_ZH_CLOCK}|{_ZH_CLOCK}|{_ZH_DAY}|\d+ ?(?:秒钟?|分钟|小时|天)(?:之前|以前|前))"
_ZH_PATTERNS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"在?(?:从)?(?P<from>{_ZH_POINT}) ?(?:到|至|和) ?(?P<to>{_ZH_POINT})(?:之间|期间)?的?",
        r"在?(?:最近|过去)的?(?P<last>\d+ ?(?:秒钟?|分钟|小时|天))(?:里|内|中)?的?",
        rf"在?(?P<period>{_ZH_PERIOD})(?:里|中|期间)?的?",
        rf"(?:自从?|从)(?P<since>{_ZH_POINT})(?:以后|之后|以来|起|后|开始)",
        rf"(?P<since>{_ZH_POINT})(?:以来|起|开始)",
        rf"(?P<after>{_ZH_POINT})(?:以后|之后|后)",
        rf"在?(?P<before>{_ZH_POINT})(?:以前|之前|前)",
        rf"在?(?P<at>{_ZH_POINT})(?:的时候|时)?",
    )
)
_ZH_SAID_CLOCK: Final = re.compile(
    r"(?P<half>凌晨|早上|上午|中午|下午|晚上)?(?P<hour>\d{1,2}|[一二两三四五六七八九十]{1,3})(?:点|时)(?!候)钟?"
    r"(?:零?(?P<minute>\d{1,2}|[一二三四五六七八九十]{1,3})分|(?P<halfpast>半)|(?P<quarter>[一三])刻|(?P<minute2>\d{2})|"
    r"零(?P<minute3>[一二三四五六七八九]))?(?:(?P<second>\d{1,2})秒)?"
)
_ZH_NUMBER: Final = re.compile(r"[一二两三四五六七八九十]{1,3}(?=(?:个)?(?:秒|分钟|小时|天))")
_ZH_MONTH: Final = re.compile(r"[一二三四五六七八九十]{1,2}(?=月(?!亮|饼))")
_ZH_DIGITS: Final = {
    character: number for number, character in enumerate("零一二三四五六七八九")
} | {"两": 2}  # fmt: skip
_UNIT_SECONDS: Final = {
    "second": 1, "秒": 1, "minute": 60, "分": 60, "hour": 3_600, "小": 3_600, "day": 86_400, "天": 86_400,
    "week": 604_800, "month": 30 * 86_400, "year": 365 * 86_400,
}  # fmt: skip
_SECONDS_OF_DAY: Final = 86_400
_NOON: Final = 12
_LATEST_NOON: Final = 3
"""中午 is said of the hours before this one too."""
_SIXTY: Final = 60
_MONTHS_OF_YEAR: Final = 12
_DAYS_OF_YEAR: Final = 365
_MONTH_NAMES: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = (
    ("mon", "一"), ("tues", "二"), ("wednes", "三"), ("thurs", "四"), ("fri", "五"), ("satur", "六"), ("sun", "日天"),
)  # fmt: skip
_UNKNOWN: Final = re.compile(
    r"\b(?:this|last|next|past|previous|coming|every|each) "
    r"(?:second|minute|hour|day|week|weekend|month|quarter|year|decade|spring|summer|autumn|fall|winter|morning|"
    r"afternoon|evening|night|(?:mon|tues|wednes|thurs|fri|satur|sun)day)s?\b|"
    r"\b(?:in|during|at|by|until|since) (?:the )?(?:early |late )?"
    r"(?:morning|afternoon|evening|night|weekend|dawn|dusk)\b|"
    r"\b(?:tomorrow|tonight|recently|lately|nowadays|currently|(?<!right )now|within)\b|"
    r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b|\b(?:between|from) \d+ (?:and|to)\b|"
    r"\b\d+ (?:second|minute|hour|day|week)s? (?:before|after|of)\b|\b\d+(?:\.\d\d|h\d\d)\b|"
    r"\d{1,2}:\d\d|\b\d{1,4}[./-]\d{1,2}[./-]\d{1,4}\b|\d o['’]clock|"  # noqa: RUF001 - as people write
    r"[+-]\d\d:?\d\d\b|\b(?:cet|cest|est|edt|cst|cdt|mst|mdt|pst|pdt|bst|gmt)\b|"
    r"\b(?:in|on|at|from|to|since|until|till|before|after|by|around) "
    r"(?:\d+(?:st|nd|rd|th)?(?=\s*$|[,?]| (?:on|in|and|to)\b)|"
    rf"(?:19|20)\d\d[-\d]*\b|{_MONTHS}\b(?:(?=\s*$|[,?])| \d+))|"
    rf"\bon the \d+(?:st|nd|rd|th)\b|\b{_MONTHS} \d|\d (?:of )?{_MONTHS}\b"
)
"""Times that are left when the known ones are taken out."""
_UNKNOWN_ZH: Final = re.compile(
    "最近几|前几[天周个]|这几[天周个]|上上|现在|目前|凌晨|早上|早晨|清晨|上午|中午|下午|傍晚|晚上|夜里|半夜|周末|明天|后天|前天|明年|前年|下个?(?:周|星期|礼拜|月)|"
    r"刚才|刚刚|月底|月初|年初|年底|\d+[点时月日号]|\d{4}年|\d{1,2}:\d\d|北京时间|"
    "(?:周|星期|礼拜)[一二三四五六日天]"
)
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
    """A time, and how precise it is: `10:05` is a minute long.

    Attributes:
        start: its begin.
        seconds: its length.
        has_day: whether its day was named; a clock time alone is one of any day.
        repeats_days: after how many days it comes again: a Friday after 7, a date without a year after a year.
    """

    start: datetime
    seconds: float
    has_day: bool = True
    repeats_days: int = 0

    @property
    def end(self) -> datetime:
        """Where an interval ends that goes to this point: at a clock time, or with a day."""
        return _later(self.start, _SECONDS_OF_DAY) if self.seconds >= _SECONDS_OF_DAY else self.start

    def moved(self, days: int) -> _Point:
        """Return the same time so many days later."""
        return replace(self, start=_later(self.start, days * _SECONDS_OF_DAY))

    def on_day_of(self, other: _Point) -> _Point:
        """Return the same clock time on another day."""
        day = other.start
        return replace(self, start=self.start.replace(year=day.year, month=day.month, day=day.day))


def find_time(text: str, language: Language, reference_ns: int) -> FoundTime:
    """Find the time in a question.

    Args:
        text: the question, in lower case.
        language: its language.
        reference_ns: the event time from which ages and days count back.

    Raises:
        NotUnderstoodError: the text names a time that no rule knows, or an interval that ends before it begins.
    """
    reference = datetime.fromtimestamp(reference_ns / NS_PER_S, UTC)
    text = _MONTH_WITH_DOT.sub(r"\1 ", text)
    text = _with_digits(text) if language == "zh" else text
    for pattern in _ZH_PATTERNS if language == "zh" else _PATTERNS:
        found = pattern.search(text)
        if found is None:
            continue
        named = {name.rstrip("2"): value for name, value in found.groupdict().items() if value}
        span = _span(named, found[0].strip(), language, reference)
        if span is not None:
            is_relative = not all(re.search(r"\d{4}-\d\d-\d\d", value) for value in named.values())
            return FoundTime(_checked(f"{text[: found.start()]} {text[found.end() :]}", language), span, is_relative)
    return FoundTime(_checked(text, language), None)


def _checked(rest: str, language: Language) -> str:
    """Return what is left of a question. A time that no rule knows would be taken for words, and not be found."""
    unknown = (_UNKNOWN_ZH if language == "zh" else _UNKNOWN).search(rest)
    if unknown is not None:
        raise NotUnderstoodError(say("unknown time", language, time=unknown[0].strip()))
    return rest


def _span(named: dict[str, str], words: str, language: Language, reference: datetime) -> TimeSpan | None:
    if "last" in named:
        start = _later(reference, -_length_s(named["last"]))
        return TimeSpan(_ns(start), None, words)
    if "edge" in named:
        return _part_of_day(named, words, language, reference)
    if "day" in named:
        named = {name: f"{named['day']} {named[name]}" for name in ("from", "to")}
    if "period" in named:
        return _period(named["period"], words, reference)
    points: dict[str, _Point] = {}
    for name, value in named.items():
        # What ends at a clock time ends on the day of the newest window, though that may end earlier.
        point = _point(value, language, reference, may_be_later=name in {"before", "until"})
        if point is None:
            return None
        points[name] = point
    if "from" in points:
        return _between(points["from"], points["to"], words, language)
    ((name, point),) = points.items()
    start_ns, end_ns = {
        "since": (_ns(point.start), None),
        "after": (_ns(point.end), None),
        "before": (None, _ns(point.start)),
        "until": (None, _ns(point.end)),
        "at": (_ns(point.start), _ns(point.start, point.seconds)),
    }[name]
    return TimeSpan(start_ns, end_ns, words)


def _part_of_day(named: dict[str, str], words: str, language: Language, reference: datetime) -> TimeSpan | None:
    """Return what of a day is before or after a clock time."""
    day = _point(named["day"], language, reference)
    clock = _point(f"{named['day']} {named['clock']}", language, reference)
    if day is None or clock is None:
        return None
    if named["edge"] in {"before", "until"}:
        return TimeSpan(_ns(day.start), _ns(clock.start), words)
    return TimeSpan(_ns(clock.start), _ns(day.end), words)


def _between(first: _Point, last: _Point, words: str, language: Language) -> TimeSpan:
    """Return the interval from one time to another. A clock time without a day is on the day of the other one.

    Raises:
        NotUnderstoodError: it ends before it begins.
    """
    if not last.has_day:
        last = last.on_day_of(first)
        last = last.moved(1) if last.start <= first.start else last
    elif not first.has_day:
        first = first.on_day_of(last)
        first = first.moved(-1) if first.start >= last.end else first
    if last.end <= first.start and first.repeats_days:
        first = first.moved(-first.repeats_days)
    if last.end <= first.start:
        raise NotUnderstoodError(say("reversed time", language, time=words))
    return TimeSpan(_ns(first.start), _ns(last.end), words)


def _period(text: str, words: str, reference: datetime) -> TimeSpan:
    """Return a week, month or year of the calendar: this or the last one, or the newest month of a name."""
    today = reference.replace(hour=0, minute=0, second=0, microsecond=0)
    years = re.search(r"(?:19|20)\d\d", text)
    month = next((number for number, name in enumerate(_MONTH_NAMES, 1) if text.startswith(name)), 0)
    month = month or next((int(found[1]) for found in re.finditer(r"(\d{1,2})月", text)), 0)
    is_last = text.startswith(("last", "the previous", "上", "去"))
    if re.search("week|周|星期|礼拜", text):
        start = today - timedelta(days=today.weekday() + 7 * is_last)
        end = start + timedelta(days=7)
    elif month and month <= _MONTHS_OF_YEAR:
        year = int(years[0]) if years else today.year - (month > today.month)
        start, end = _month(year, month)
    elif re.search("month|月", text):
        first = today.replace(day=1)
        start, end = _month(*((first - timedelta(days=1)).timetuple()[:2] if is_last else (first.year, first.month)))
    else:
        year = int(years[0]) if years else today.year - is_last
        start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    return TimeSpan(_ns(start), _ns(end), words)


def _month(year: int, month: int) -> tuple[datetime, datetime]:
    start = datetime(year, month, 1, tzinfo=UTC)
    return start, datetime(year + month // _MONTHS_OF_YEAR, month % _MONTHS_OF_YEAR + 1, 1, tzinfo=UTC)


def _point(text: str, language: Language, reference: datetime, *, may_be_later: bool = False) -> _Point | None:
    clock = re.search(_ZH_CLOCK if language == "zh" else _CLOCK, text)
    if clock is None:
        return _day_or_age(text.strip(), language, reference)
    rest = f"{text[: clock.start()]} {text[clock.end() :]}"
    rest = re.sub(r"\b(?:at|on|utc)\b|(?<=\d)t(?= )", " ", rest).strip(" ,z的")
    time = _clock_seconds(clock[0])
    if time is None:
        return None
    seconds, precision = time
    day = _day_or_age(rest, language, reference) if rest else None
    if rest and day is None:
        return None
    start = (reference if day is None else day.start).replace(hour=0, minute=0, second=0, microsecond=0)
    found = start + timedelta(seconds=seconds)
    if day is None and found > reference and not may_be_later:
        found -= timedelta(days=1)
    return _Point(found, precision, day is not None, 0 if day is None else day.repeats_days)


def _clock_seconds(text: str) -> tuple[int, float] | None:
    """Return the seconds since midnight, and how many of them the text means."""
    if text in {"noon", "midnight"}:
        return (_NOON * 3_600 if text == "noon" else 0), 3_600.0
    text = re.sub(r" o['’]clock$", "", text)  # noqa: RUF001 - as people write
    parts = re.fullmatch(r"(\d{1,2})(?::(\d\d))?(?::(\d\d))? ?(?:([ap])\.?m\.?)?", text)
    if parts is None or int(parts[2] or 0) >= _SIXTY or int(parts[3] or 0) >= _SIXTY:
        return None
    hour, minute, second = (int(part or 0) for part in parts.groups()[:3])
    if parts[4]:
        hour = hour % _NOON + (_NOON if parts[4] == "p" else 0)
    seconds = hour * 3_600 + minute * 60 + second
    precision = 1.0 if parts[3] else 60.0 if parts[2] else 3_600.0
    return (seconds, precision) if seconds < _SECONDS_OF_DAY or text == "24:00" else None


def _day_or_age(text: str, language: Language, reference: datetime) -> _Point | None:
    import dateparser  # noqa: PLC0415 - takes half a second, and most questions name no day

    if (age := re.search(r"ago$|前$", text)) is not None:
        length_s = _length_s(text[: age.start()])
        unit_s = next((seconds for unit, seconds in _UNIT_SECONDS.items() if unit in text), 1)
        return _Point(_later(reference, -length_s), min(unit_s, 3_600))
    if text.removeprefix("the ") == "day before yesterday":
        return _Point(_later(_midnight(reference), -2 * _SECONDS_OF_DAY), _SECONDS_OF_DAY)
    text = re.sub(rf"^{_WEEKDAY},? (?:the )?(?=\S)", "", text)
    if (weekday := _weekday(text)) is not None:
        back = (reference.weekday() - weekday) % 7
        if text.startswith("last "):
            back = back or 7
        elif text.startswith("上"):  # that of the week before, whatever day is today
            back = reference.weekday() + 7 - weekday
        day = _later(_midnight(reference), -back * _SECONDS_OF_DAY)
        return _Point(day, _SECONDS_OF_DAY, repeats_days=7)
    repeats_days = 0 if re.search(r"\d{4}|day$|天$", text) else _DAYS_OF_YEAR
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
    start = parsed.replace(hour=0, minute=0, second=0, microsecond=0)
    return _Point(start, _SECONDS_OF_DAY, repeats_days=repeats_days)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _weekday(text: str) -> int | None:
    """Return the number of a day of the week, Monday as 0; None if the text is none."""
    for number, (english, chinese) in enumerate(_WEEKDAYS):
        if text.removeprefix("last ").startswith(english) and text.endswith("day"):
            return number
        if re.fullmatch(rf"上?个?(?:周|星期|礼拜)[{chinese}]", text):
            return number
    return None


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
    text = _ZH_MONTH.sub(lambda found: str(_number(found[0])), text)
    return _ZH_SAID_CLOCK.sub(_clock_text, text)


def _clock_text(found: re.Match[str]) -> str:
    hour = _number(found["hour"])
    half = found["half"]
    if hour < _NOON and (half in {"下午", "晚上"} or (half == "中午" and hour < _LATEST_NOON)):
        hour += _NOON
    elif hour == _NOON and half in {"晚上", "凌晨"}:  # midnight, at the end or at the beginning of a day
        hour = 24 if half == "晚上" else 0
    if found["halfpast"] or found["quarter"]:
        minute = 30 if found["halfpast"] else 15 * _number(found["quarter"])
    else:
        minute = _number(found["minute"] or found["minute2"] or found["minute3"] or "0")
    second = f":{int(found['second']):02}" if found["second"] else ""
    return f"{hour:02}:{minute:02}{second}"


def _number(text: str) -> int:
    if text.isdigit():
        return int(text)
    tens, _, units = text.rpartition("十") if "十" in text else ("", "", text)
    value = (_ZH_DIGITS.get(tens, 1) if "十" in text else 0) * _TEN
    return value + _ZH_DIGITS.get(units, 0)


def _later(moment: datetime, seconds: float) -> datetime:
    """Return a moment so many seconds later, within the years that Python knows."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if seconds > 0 else datetime.min.replace(tzinfo=UTC)


def _ns(moment: datetime, more_s: float = 0.0) -> int:
    """Return the time of a moment, and some seconds more, within what an index can compare: 1677 to 2262."""
    return max(-_LATEST_NS, min(_LATEST_NS, round((moment.timestamp() + more_s) * NS_PER_S)))
