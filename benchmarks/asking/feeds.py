"""Feeds whose content is known: what is seen, heard and said in each window, and an index of them.

The index is written by the program's own indexer from results, as a worker publishes them.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from triptych.consumers.searching.indexing import IndexLoop
from triptych.consumers.searching.window_index import index_writer
from triptych.schemas.codec import encode_result
from triptych.schemas.names import result_id, results_topic
from triptych.schemas.perception.objects import ObjectCount
from triptych.schemas.results import (
    LabelScore,
    Modalities,
    ModalityReport,
    ModelReference,
    Observations,
    Result,
    Words,
)
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings

PIPELINE: Final = "triptych"
STREAMS: Final = ("north", "south", "harbour")
START_NS: Final = 1_767_261_600_000_000_000
"""2026-01-01T10:00:00Z."""
WINDOW_NS: Final = 2_000_000_000
WINDOWS: Final = 600
THINGS: Final = {"dog": "狗", "car": "汽车", "bicycle": "自行车", "bus": "公交车", "bird": "鸟", "umbrella": "雨伞"}
PLURALS: Final = {
    "dog": "dogs",
    "car": "cars",
    "bicycle": "bicycles",
    "bus": "buses",
    "bird": "birds",
    "umbrella": "umbrellas",
}
WORDS: Final = {
    "en": ("bank", "bridge", "harvest", "lantern", "museum", "harbour tax", "election"),
    "zh": ("银行", "大桥", "月亮", "茶叶", "博物馆", "选举"),
}
_SPEAKERS: Final = {"en": ("ANNA", "BEN", "CARLA"), "zh": ("王芳", "李雷")}
_SENTENCES: Final = {
    "en": (
        "We went to the {word} this morning.",
        "Nobody knows much about the {word}.",
        "The {word} is what they wanted.",
    ),
    "zh": ("我们今天早上去看{word}。", "他们都不了解{word}。", "大家都想要{word}。"),
}


@dataclass(frozen=True, slots=True)
class Cue:
    """A cue of a feed: what it says about which word, and who says it."""

    stream: str
    start_ns: int
    end_ns: int
    word: str
    speaker: str
    text: str


@dataclass(slots=True)
class KnownFeeds:
    """What the feeds contain.

    Attributes:
        things: how many of a thing a window shows, by stream, thing and number of the window.
        people: how many people a window shows, by stream and number.
        music: the windows with music, by stream.
        cues: all cues, in order.
    """

    things: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)
    people: dict[str, dict[int, int]] = field(default_factory=dict)
    music: dict[str, set[int]] = field(default_factory=dict)
    cues: list[Cue] = field(default_factory=list)


def known_feeds(seed: int, windows: int = WINDOWS) -> KnownFeeds:
    """Draw feeds. Equal seeds give equal feeds."""
    rng = random.Random(seed)  # noqa: S311 - draws examples
    feeds = KnownFeeds()
    for stream in STREAMS:
        for thing in THINGS:
            feeds.things[stream, thing] = _spans(rng, windows, rng.choice((0, 1, 2, 3)), 4)
        feeds.people[stream] = _spans(rng, windows, 6, 7)
        feeds.music[stream] = set(_spans(rng, windows, 8, 1))
        feeds.cues += _cues(rng, stream, windows)
    feeds.cues.sort(key=lambda cue: (cue.start_ns, cue.stream))
    return feeds


def _spans(rng: random.Random, windows: int, number: int, most: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for _ in range(number):
        first = rng.randrange(windows - 20)
        found.update((window, rng.randint(1, most)) for window in range(first, first + rng.randint(3, 18)))
    return found


def _cues(rng: random.Random, stream: str, windows: int) -> Iterator[Cue]:
    """Yield cues without overlaps, of every length and place: some overlap two windows."""
    at_ns = START_NS + rng.randrange(WINDOW_NS)
    while True:
        at_ns += rng.randrange(4 * WINDOW_NS, 16 * WINDOW_NS) // 1_000_000 * 1_000_000
        end_ns = at_ns + rng.randrange(1_000, 3_500) * 1_000_000
        if end_ns > START_NS + (windows - 1) * WINDOW_NS:
            return
        language = rng.choice(("en", "zh"))
        # Some words are said in some streams only, and each less often than the one before.
        word = WORDS[language][min(int(rng.expovariate(0.5)), len(WORDS[language]) - 1)]
        speaker = rng.choice(_SPEAKERS[language])
        sentence = rng.choice(_SENTENCES[language]).format(word=word)
        text = f"{speaker}: {sentence}" if language == "en" else f"{speaker}：{sentence}"  # noqa: RUF001 - Chinese
        yield Cue(stream, at_ns, end_ns, word, speaker, text)
        at_ns = end_ns


def window_span(number: int) -> tuple[int, int]:
    """Return the interval of a window."""
    return START_NS + number * WINDOW_NS, START_NS + (number + 1) * WINDOW_NS


def window_result_id(stream: str, number: int) -> str:
    """Return the id of a window's result."""
    return result_id(stream, *window_span(number), 0)


def results_of(feeds: KnownFeeds, windows: int = WINDOWS) -> Iterator[Result]:
    """Yield the results of all windows, as a worker would publish them."""
    cues: dict[tuple[str, int], list[Cue]] = {}
    for cue in feeds.cues:
        for number in range((cue.start_ns - START_NS) // WINDOW_NS, (cue.end_ns - 1 - START_NS) // WINDOW_NS + 1):
            cues.setdefault((cue.stream, number), []).append(cue)
    present = ModalityReport(state="present", items=1, used=1)
    for number in range(windows):
        for stream in STREAMS:
            start_ns, end_ns = window_span(number)
            counts = {
                thing: found[number] for (of, thing), found in feeds.things.items() if of == stream and number in found
            }
            if number in feeds.people[stream]:
                counts["people"] = feeds.people[stream][number]
            said = cues.get((stream, number), [])
            yield Result(
                id=window_result_id(stream, number),
                stream=stream,
                start_ns=start_ns,
                end_ns=end_ns,
                closed_by="progress",
                published_ns=end_ns,
                modalities=Modalities(video=present, audio=present, subtitles=present),
                model=ModelReference(name="generated", version="1", sha256="0" * 64),
                observations=Observations(
                    sound=(LabelScore(label="music", score=0.9),) if number in feeds.music[stream] else (),
                    words=tuple(Words(text=cue.text, start_ns=cue.start_ns, end_ns=cue.end_ns) for cue in said),
                ),
                counts={name: ObjectCount(median=count, largest=count) for name, count in counts.items()},
            )


def write_index(folder: Path, feeds: KnownFeeds, windows: int = WINDOWS) -> None:
    """Index the results of the feeds."""
    index_results(folder, results_of(feeds, windows))


def index_results(folder: Path, results: Iterable[Result]) -> None:
    """Publish results in memory, and index them as `triptych index` does."""
    transport = MemoryTransport()
    admin = transport.admin()
    admin.create([TopicSettings(results_topic(PIPELINE), partitions=2, replication=1)])
    admin.close()
    with closing(transport), closing(_Publishing(transport)) as publishing:
        for result in results:
            publishing.send(result)
        publishing.flush()
        with index_writer(folder, PIPELINE) as writer:
            IndexLoop(writer).run(transport, threading.Event(), until_end=True)


class _Publishing:
    """Publishes results."""

    def __init__(self, transport: MemoryTransport) -> None:
        self._publisher = transport.publisher()

    def send(self, result: Result) -> None:
        key, value, headers = encode_result(result, pipeline=PIPELINE)
        self._publisher.send(Message(results_topic(PIPELINE), key, value, headers))

    def flush(self) -> None:
        self._publisher.flush(20)

    def close(self) -> None:
        self._publisher.close(20)
