"""Lines of subtitles in English and Chinese, from templates that are disjoint between splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from triptych.training.data.pools.cache import POOL_SPLITS

_CHINESE_SHARE: Final = 0.25

_DIGITS: Final = (
    ("zero", "零"), ("one", "一"), ("two", "二"), ("three", "三"), ("four", "四"),
    ("five", "五"), ("six", "六"), ("seven", "七"), ("eight", "八"), ("nine", "九"),
)  # fmt: skip

_MOOD_WORDS: Final[Mapping[str, tuple[Sequence[str], Sequence[str]]]] = {
    "negative": (
        ("terrible", "awful", "horrible", "dreadful", "disappointing", "disgusting", "miserable", "bad"),
        ("糟糕", "可怕", "难受", "失望", "讨厌", "差劲"),
    ),
    "neutral": (
        ("ordinary", "average", "usual", "typical", "standard", "common", "normal", "regular"),
        ("普通", "一般", "平常", "寻常", "常见", "正常"),
    ),
    "positive": (
        ("wonderful", "great", "excellent", "delightful", "fantastic", "lovely", "brilliant", "good"),
        ("精彩", "美好", "优秀", "出色", "开心", "完美"),
    ),
}
_OPERATION_WORDS: Final = (
    (("report", "say", "name", "read out"), ("报出", "说出", "读出")),
    (("plus one", "one more", "add one", "increase by one"), ("加一", "多一个", "增加一")),
    (("minus one", "one less", "subtract one", "decrease by one"), ("减一", "少一个", "减少一")),
)

_TEMPLATES: Final[Mapping[str, tuple[Sequence[str], Sequence[str]]]] = {
    "mood": (
        (
            "the food was {}", "what a {} day", "it looks {} to me", "a {} film", "that was a {} idea",
            "the service is {}", "everything felt {}", "I call it {}", "this place is {}", "their work was {}",
        ),
        ("这部电影很{}", "今天真{}", "我觉得{}", "这里的服务很{}", "一切都很{}", "他们的工作很{}"),
    ),
    "digit": (
        (
            "the number is {}", "it says {}", "we counted {}", "number {} please", "{} is what I see",
            "platform {}", "the answer: {}", "take bus {}", "channel {}", "room {}",
        ),
        ("数字是{}", "这是{}", "我看到{}", "答案是{}", "第{}站台", "请按{}"),
    ),
    "operation": (
        (
            "{}", "please {}", "{} now", "then {}", "{} for me", "first {}", "just {}", "and {}", "you should {}",
            "kindly {}",
        ),
        ("{}", "请{}", "现在{}", "然后{}", "你来{}", "只要{}"),
    ),
}  # fmt: skip
_FILLERS: Final = (
    (
        "nothing to report", "please stay on the line", "the weather is changing", "music is playing", "one moment",
        "we will be right back", "thanks for waiting", "the doors are open", "stay tuned", "as I said before",
    ),
    ("请稍等", "音乐正在播放", "天气在变化", "谢谢收看", "马上回来", "门已经打开"),
)  # fmt: skip


def mood_line(split: str, mood: str, rng: Random) -> str:
    """Return a line that expresses a mood."""
    return _fill_template(split, "mood", _MOOD_WORDS[mood], rng)


def digit_line(split: str, value: int, rng: Random) -> str:
    """Return a line that names a digit, as a word or a numeral."""
    english, chinese = _DIGITS[value]
    return _fill_template(split, "digit", ((english, str(value)), (chinese, str(value))), rng)


def operation_line(split: str, value: int, rng: Random) -> str:
    """Return a line that names an operation on a digit."""
    return _fill_template(split, "operation", _OPERATION_WORDS[value], rng)


def filler_line(split: str, rng: Random) -> str:
    """Return a line without information."""
    return rng.choice(_lines_of_split(split, _FILLERS[_language(rng)]))


def _fill_template(split: str, kind: str, words: Sequence[Sequence[str]], rng: Random) -> str:
    language = _language(rng)
    template = rng.choice(_lines_of_split(split, _TEMPLATES[kind][language]))
    return template.format(rng.choice(words[language]))


def _language(rng: Random) -> int:
    return int(rng.random() < _CHINESE_SHARE)


def _lines_of_split(split: str, lines: Sequence[str]) -> Sequence[str]:
    """Return the lines of a split: of every five lines, one is for validation and one for the test."""
    place = POOL_SPLITS.index(split)
    return [line for number, line in enumerate(lines) if {0: 1, 1: 2}.get(number % 5, 0) == place]
