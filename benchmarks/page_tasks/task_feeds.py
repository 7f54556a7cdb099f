"""A real server of the page, with made-up results in which the answer of each task is known."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.page_load.clip_pictures import CLIPS, clip_media
from benchmarks.page_load.synthetic_feeds import PIPELINE, PROMPT_NAMES, WINDOW_NS, FeedPublisher, SyntheticFeed
from triptych.consumers.doctor.look import Surveyor
from triptych.consumers.page.access_rules import access_rules
from triptych.consumers.page.options import AccessOptions, ListenOptions, MemoryOptions
from triptych.consumers.page.program import PageServer, PageSetup
from triptych.consumers.page.reading.moment_finder import MomentFinder
from triptych.consumers.page.reading.pipeline_look import NoResultIndex
from triptych.consumers.searching.indexing import IndexLoop, Retention
from triptych.consumers.searching.window_index import index_writer
from triptych.schemas.names import INPUT_TOPICS, consumer_group
from triptych.schemas.perception.matches import Match
from triptych.schemas.results import Observations, Words
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Commit
from triptych.units import NS_PER_MS, NS_PER_S

FEEDS: Final = ("harbour-gate", "news-24", "lobby.west", "warehouse-3", "studio_b", "canal-2", "platform-4", "yard")
WINDOWS: Final = 64
"""How many windows each feed has: two minutes."""
SAID_WORD: Final = "locksmith"
SAID_FEED: Final = "studio_b"
SAID_WINDOW: Final = 41
DARK_FEED: Final = "canal-2"
_DARK_WINDOWS: Final = 40
"""Nothing has come for 80 seconds: the doctor's patience is 60."""
REVIEWED: Final = 20
PROMPT: Final = PROMPT_NAMES[0]
_BETWEEN: Final = 3
"""From one event of a feed to the next, in windows."""


@dataclass(frozen=True, slots=True)
class TaskFeeds:
    """What the feeds show.

    Attributes:
        names: the feeds.
        dark: the feed from which nothing comes any more; empty if there is none.
        changes: fields of results that are replaced, by feed and number of the window.
        is_indexed: whether the page has an index to search.
    """

    names: Sequence[str] = FEEDS
    dark: str = ""
    changes: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    is_indexed: bool = False


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A server that runs. `first_ns` is when the first window begins."""

    url: str
    transport: MemoryTransport
    first_ns: int

    def start_ms(self, window: int) -> int:
        """Return when a window begins."""
        return (self.first_ns + window * WINDOW_NS) // NS_PER_MS


def said_feeds() -> TaskFeeds:
    """Return feeds in one of which one word is said once."""
    words = Words(text=f"Then ask for the {SAID_WORD} at the second door.", start_ns=0, end_ns=1)
    observed = Observations(words=(words,), speech_share=0.9, language="en")
    return TaskFeeds(changes={(SAID_FEED, SAID_WINDOW): {"observations": observed}}, is_indexed=True)


def dark_feeds() -> TaskFeeds:
    """Return feeds of which one has fallen dark without an end."""
    return TaskFeeds(dark=DARK_FEED)


def events_of_many_feeds() -> TaskFeeds:
    """Return feeds with one event each."""
    names = tuple(f"camera-{number:02}" for number in range(REVIEWED))
    return TaskFeeds(names, changes=_matches(names, {name: {number + 2} for number, name in enumerate(names)}))


def events_of_one_feed() -> TaskFeeds:
    """Return a feed that has all events, and others without any."""
    return TaskFeeds(changes=_matches(FEEDS, {FEEDS[0]: {number * _BETWEEN for number in range(REVIEWED)}}))


def _matches(names: Sequence[str], matching: dict[str, set[int]]) -> dict[tuple[str, int], dict[str, Any]]:
    return {
        (name, window): {"matches": {PROMPT: Match(score=0.9 * (window in matching.get(name, ())), log_odds=0.0)}}
        for name in names
        for window in range(WINDOWS)
    }


@contextmanager
def task_page(feeds: TaskFeeds, folder: Path) -> Iterator[TaskPage]:
    """Serve the page with these feeds until the end of the block. `folder` is for the index; it must be empty."""
    first_ns = time.time_ns() // WINDOW_NS * WINDOW_NS - WINDOWS * WINDOW_NS
    arrival_ns = [first_ns]
    transport = MemoryTransport(partitions=1, max_bytes=1 << 30, clock_ns=lambda: arrival_ns[0])
    clips = [clip_media(name, width=480) for name in CLIPS]
    synthetic = [SyntheticFeed(name, number, clips[number % len(clips)]) for number, name in enumerate(feeds.names)]
    lit = FeedPublisher(transport, [feed for feed in synthetic if feed.name != feeds.dark])
    dark = FeedPublisher(transport, [feed for feed in synthetic if feed.name == feeds.dark])
    lit.changes = _at_their_times(feeds.changes, first_ns)
    lit.create_topics()
    for window in range(WINDOWS):
        start_ns = first_ns + window * WINDOW_NS
        arrival_ns[0] = start_ns + WINDOW_NS
        lit.publish(window, start_ns)
        if window < WINDOWS - _DARK_WINDOWS:
            dark.publish(window, start_ns)
    arrival_ns[0] = time.time_ns()
    if feeds.is_indexed:
        with index_writer(folder, PIPELINE) as writer:
            IndexLoop(writer, Retention()).run(transport, threading.Event(), until_end=True)
    listen = ListenOptions(port=0)
    setup = PageSetup(
        transport,
        NoResultIndex(),
        Surveyor(PIPELINE, max_record_bytes=4 << 20, idle_ns=30 * NS_PER_S),
        access_rules(listen, AccessOptions(allow="review")),
        has_index=False,
        memory=MemoryOptions(since="beginning"),
        finder=MomentFinder(folder, PIPELINE) if feeds.is_indexed else None,
    )
    with _worker(transport), PageServer(setup, listen) as server:
        yield TaskPage(server.url, transport, first_ns)


@contextmanager
def _worker(transport: MemoryTransport) -> Iterator[None]:
    """Stand in for a worker that has done everything: a member of the group which has committed all records."""
    with closing(transport.group_consumer(INPUT_TOPICS, consumer_group(PIPELINE))) as member:
        while not member.assignment():
            member.poll(0.1)
        ends = member.end_offsets(member.assignment())
        member.commit({tp: Commit(offset) for tp, offset in ends.items()})
        yield


def _at_their_times(changes: dict[tuple[str, int], dict[str, Any]], first_ns: int) -> dict[tuple[str, int], Any]:
    """Give words the time of their window."""
    timed = {}
    for (name, window), fields in changes.items():
        start_ns = first_ns + window * WINDOW_NS
        observed = fields.get("observations")
        if observed is not None:
            words = tuple(
                each.model_copy(update={"start_ns": start_ns, "end_ns": start_ns + WINDOW_NS})
                for each in observed.words
            )
            timed[name, window] = fields | {"observations": observed.model_copy(update={"words": words})}
        else:
            timed[name, window] = fields
    return timed
