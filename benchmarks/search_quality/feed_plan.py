"""What each window of the generated feeds shows and says, and whether music plays: drawn, without media. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.search_quality.content import FeedContent, FeedTopic

WINDOW_S: Final = 2
STREAMS: Final = 24
WINDOWS: Final = 150
SHOTS: Final = 6
"""How often each picture is shown, for some windows."""
UTTERANCES: Final = 3
"""How often each sentence of a topic is said."""
MEETINGS: Final = 3
"""How often a pair of a picture and a topic is seen and said at the same time, beside chance."""
MUSIC: Final = 0.2
SPOKEN: Final = 0.5
_USUAL: Final = 0.7
"""Share of the places without a wanted cue that have another one."""
_FIXED: Final = 0.4
"""Share of those cues that are one of a few sentences."""
USUAL_GLYPHS: Final = "🏠🍎📚⌚🪑🛏🚪💻👟🍇✂🎩👓🧦👖🎁💡🔦📺🖨🚽🧹🧲🧭🎺🍒🧀🪣🧤🪥"
USUAL_SENTENCES: Final = {
    "en": (
        "I do not know what you mean.", "See you tomorrow.", "Thank you very much.", "How are you today?",
        "Let us talk about it later.", "The meeting begins at ten.", "That is not what she said.", "Wait a moment.",
        "It is a long story.", "He never told me the truth.", "You can sit here if you like.", "What time is it?",
    ),
    "zh": (
        "我不知道你是什么意思。", "明天见。", "非常感谢。", "你今天好吗？", "我们以后再谈这件事。",  # noqa: RUF001 - Chinese
        "会议十点开始。", "她不是这么说的。", "请等一下。", "这是一个很长的故事。", "他从来没有告诉我真相。",
        "你可以坐在这里。", "现在几点？",  # noqa: RUF001 - Chinese
    ),
}  # fmt: skip
_PATTERNS: Final = {
    "en": (
        "{name} has not called since {day}.", "In {place} there is nothing to do on a {day}.",
        "{name} and I were in {place} for a while.", "They say that {name} works in {place} now.",
        "On {day} the shop in {place} is closed.", "Do you remember the {day} when {name} came to see us?",
        "It was the best {day} that {name} had in years.", "{name} asked whether the letter from {place} has come.",
    ),
    "zh": (
        "{name}从{day}起就没有打过招呼。", "{day}在{place}没什么事可做。", "{name}和我在{place}住过一段时间。",
        "听说{name}现在在{place}工作。", "{place}的商店{day}关门。", "你还记得{name}来看我们的那个{day}吗？",  # noqa: RUF001 - Chinese
    ),
}  # fmt: skip
_SLOTS: Final = {
    "en": {
        "name": ("Anna", "Ben", "Carla", "David", "Emma", "Frank", "Grace", "Henry"),
        "day": ("Monday", "Tuesday", "Wednesday", "Friday", "Sunday"),
        "place": ("Leeds", "Bristol", "Dublin", "Oslo", "Geneva", "Milan", "Boston"),
    },
    "zh": {
        "name": ("王芳", "李雷", "张伟", "刘洋", "陈静"),
        "day": ("星期一", "星期二", "星期五", "星期天"),
        "place": ("上海", "广州", "成都", "西安", "南京"),
    },
}


@dataclass(frozen=True, slots=True)
class PlannedCue:
    """A cue of a stream.

    Attributes:
        start_s: when it starts, in seconds from the start of the stream.
        end_s: when it ends.
        line: id of a sentence of a topic, such as `flood.en0`; empty for other sentences.
        text: the words.
        language: `en` or `zh`.
        is_spoken: whether a voice says it, or it is only written.
    """

    start_s: float
    end_s: float
    line: str
    text: str
    language: str
    is_spoken: bool

    def windows(self) -> range:
        """Return the numbers of the windows that it overlaps."""
        return range(int(self.start_s // WINDOW_S), math.ceil(self.end_s / WINDOW_S))


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What a stream contains.

    Attributes:
        stream: its name.
        shown: id of the picture in each window, or an emoji that no query asks for.
        music: whether music plays, for each window.
        cues: in order.
    """

    stream: str
    shown: tuple[str, ...]
    music: tuple[bool, ...]
    cues: tuple[PlannedCue, ...]


def plan_feeds(
    contents: Sequence[FeedContent], seed: int, *, streams: int = STREAMS, windows: int = WINDOWS
) -> tuple[StreamPlan, ...]:
    """Draw the feeds. Equal seeds give equal feeds."""
    rng = random.Random(seed)  # noqa: S311 - draws examples
    shown = [_shown(rng, contents, stream, streams, windows) for stream in range(streams)]
    topics = {topic.id: topic for content in contents for topic in content.topics}
    wanted = _meeting_lines(rng, contents, topics, shown)
    places = [(stream, window) for stream in range(streams) for window in range(0, windows - 1, 2)]
    free = [place for place in places if place not in wanted and (place[0], place[1] + 1) not in wanted]
    rng.shuffle(free)
    lines = [(topic, line) for topic in topics.values() for line in topic.lines() for _ in range(UTTERANCES)]
    near = [(topic, text) for topic in topics.values() for text in topic.near for _ in range(UTTERANCES)]
    if len(lines) + len(near) > len(free):
        raise ValueError(f"expected places for {len(lines) + len(near)} cues, got {len(free)}; plan more windows")
    for topic, line in lines:
        wanted[free.pop()] = _line(topic, line)
    for _, text in near:
        wanted[free.pop()] = ("", text, "en")
    for place in free:
        if rng.random() < _USUAL:
            wanted[place] = ("", *_usual_sentence(rng))
    plans = []
    for stream in range(streams):
        cues = [_cue(rng, window, *said) for (own, window), said in sorted(wanted.items()) if own == stream]
        music = _music(rng, windows)
        plans.append(StreamPlan(f"camera-{stream:02}", tuple(shown[stream]), tuple(music), tuple(cues)))
    return tuple(plans)


def _shown(rng: random.Random, contents: Sequence[FeedContent], stream: int, streams: int, windows: int) -> list[str]:
    """Return what a stream shows. Each picture has its share of the shots, in streams that are far apart."""
    pictures = [picture.id for content in contents for picture in content.pictures]
    own = [
        one
        for number, one in enumerate(pictures)
        for shot in range(SHOTS)
        if (number * 5 + shot * 7) % streams == stream
    ]
    rng.shuffle(own)
    shots = [*own, *rng.choices(USUAL_GLYPHS, k=max(2, windows // 6 - len(own)))]
    rng.shuffle(shots)
    lengths = [rng.randint(3, 8) for _ in shots]
    shown = [picture for picture, length in zip(shots, lengths, strict=True) for _ in range(length)][:windows]
    return shown + [rng.choice(USUAL_GLYPHS)] * (windows - len(shown))


def _meeting_lines(
    rng: random.Random,
    contents: Sequence[FeedContent],
    topics: Mapping[str, FeedTopic],
    shown: Sequence[Sequence[str]],
) -> dict[tuple[int, int], tuple[str, str, str]]:
    """Return the cues about a topic that fall on windows that show its picture, by stream and window."""
    wanted: dict[tuple[int, int], tuple[str, str, str]] = {}
    for planned in (one for content in contents for one in content.planned if one.picture and one.topic):
        places = [
            (stream, window)
            for stream, windows in enumerate(shown)
            for window in range(0, len(windows) - 1, 2)
            if windows[window] == planned.picture and windows[window + 1] == planned.picture
        ]
        for stream in rng.sample(
            sorted({stream for stream, _ in places}), k=min(MEETINGS, len({s for s, _ in places}))
        ):
            place = rng.choice([one for one in places if one[0] == stream])
            topic = topics[str(planned.topic)]
            wanted[place] = _line(topic, f"{topic.id}.{rng.choice(('en0', 'zh0', 'en0'))}")
    return wanted


def _line(topic: FeedTopic, line: str) -> tuple[str, str, str]:
    language, number = line.rpartition(".")[2][:2], int(line[-1])
    return line, topic.sentences[language][number], language


def _usual_sentence(rng: random.Random) -> tuple[str, str]:
    language = rng.choice(("en", "en", "zh"))
    if rng.random() < _FIXED:
        return rng.choice(USUAL_SENTENCES[language]), language
    slots = {name: rng.choice(values) for name, values in _SLOTS[language].items()}
    return rng.choice(_PATTERNS[language]).format(**slots), language


def _cue(rng: random.Random, window: int, line: str, text: str, language: str) -> PlannedCue:
    start_s = round(window * WINDOW_S + rng.uniform(0.05, 1.2), 3)
    length_s = round(rng.uniform(1.2, 2.4), 3)
    is_usual = not line and not any(text in sentences for sentences in USUAL_SENTENCES.values())
    # Sentences with drawn names are only written: to transcribe each would take long.
    is_spoken = rng.random() < SPOKEN and not (is_usual and language == "en")
    return PlannedCue(start_s, round(start_s + length_s, 3), line, text, language, is_spoken)


def _music(rng: random.Random, windows: int) -> list[bool]:
    music: list[bool] = []
    while len(music) < windows:
        music += [rng.random() < MUSIC] * rng.randint(3, 9)
    return music[:windows]
