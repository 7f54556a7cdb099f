"""Feeds that come, say a little and go, thousands of them: is anything kept of those that have gone?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.bounds.feeds import SECOND, Make, SyntheticFeed, picture, send
from benchmarks.bounds.place import open_place
from benchmarks.bounds.watch import Sample
from triptych.schemas.names import MODALITIES, Modality
from triptych.transport.protocols import Publisher

MOST_GROWTH_MB: Final = 1.0
WINDOWS: Final = 3
_SPEAKS_NS: Final = WINDOWS * 2 * SECOND
_TOGETHER: Final = 100
_PICTURE: Final = picture(0)
_KINDS: Final[Sequence[tuple[Modality, ...]]] = (
    *([MODALITIES] * 6), ("video", "subtitles"), ("video",), ("audio",), ("subtitles",),
)  # fmt: skip
"""What feeds announce, in turn: one in ten has nothing but sound, three in ten have none."""


@dataclass(frozen=True, slots=True)
class Churned:
    """What came of it: `rounds` has one look after each, when all feeds of it are forgotten."""

    feeds: int
    windows: int
    took_s: float
    rounds: list[Sample]
    samples: list[Sample]

    @property
    def growth_mb(self) -> float:
        """Growth of resident memory a round, after the first; one round alone tells of none."""
        return (self.rounds[-1].rss_mb - self.rounds[0].rss_mb) / max(1, len(self.rounds) - 1)


def churn(feeds: int, rounds: int, model: str, say: Callable[[str], None]) -> Churned:
    """Let so many feeds come and go, so many times, each under a name that was never heard before."""
    settings = {
        "TRIPTYCH_ALIGN_STREAM_TTL_MS": "15000",
        "TRIPTYCH_REDIS_KEY_TTL_S": "60",
        "TRIPTYCH_REDIS_LATEST_TTL_S": "10",
    }
    looks: list[Sample] = []
    began_s = time.monotonic()
    with open_place(model, settings) as place, place.worker() as (_, watch), place.publisher() as publisher:
        for number in range(1, rounds + 1):
            for first in range(0, feeds, _TOGETHER):
                names = range(first, min(first + _TOGETHER, feeds))
                _speak([f"round-{number}-feed-{name}" for name in names], publisher)
            publisher.flush(600)
            watch.wait("results", feeds * WINDOWS * number, progress=number, limit_s=1_200)
            deadline = time.monotonic() + 120
            while watch.look(number).streams:
                if time.monotonic() > deadline:
                    raise TimeoutError("streams that ended are not forgotten")
                time.sleep(0.5)
            looks.append(watch.look(number))
            look = looks[-1]
            say(f"round {number}: RSS {look.rss_mb:.1f} MB, {look.threads} threads, {look.files} files")
        return Churned(feeds, looks[-1].results, time.monotonic() - began_s, looks, watch.samples)


def _speak(names: Sequence[str], publisher: Publisher) -> None:
    """Let feeds of all kinds speak at the same time, and end."""
    start_ns = time.time_ns() // (2 * SECOND) * (2 * SECOND)
    makes = [Make(tracks=kind, picture=_PICTURE, frame_every_ns=SECOND // 2) for kind in _KINDS]
    feeds = [SyntheticFeed(name, makes[number % len(makes)], start_ns=start_ns) for number, name in enumerate(names)]
    for at_ns in range(SECOND, _SPEAKS_NS + SECOND, SECOND):
        for feed in feeds:
            send(publisher, feed.play(at_ns))
    for feed in feeds:
        send(publisher, feed.ends())


def check(done: Churned) -> list[str]:
    """Return what is not as it should be."""
    first, last = done.rounds[0], done.rounds[-1]
    troubles = []
    if done.growth_mb >= MOST_GROWTH_MB:
        troubles.append(f"memory grows by {done.growth_mb:.2f} MB a round")
    if last.threads > first.threads:
        troubles.append(f"threads grow: {first.threads} to {last.threads}")
    if last.files > first.files:
        troubles.append(f"open files grow: {first.files} to {last.files}")
    if last.late:
        troubles.append(f"{last.late} records were late")
    return troubles
