"""Thousands of short-lived feeds: does the worker release everything of feeds that have ended?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.bounds.feeds import SECOND, SyntheticFeed, SyntheticFeedSpec, image, send
from benchmarks.bounds.servers import open_servers
from benchmarks.bounds.watch import Sample
from triptych.schemas.names import MODALITIES, Modality
from triptych.transport.protocols import Publisher

MAX_GROWTH_MB: Final = 1.0
WINDOWS: Final = 3
_DURATION_NS: Final = WINDOWS * 2 * SECOND
_CONCURRENT: Final = 100
_FRAME: Final = image(0)
_KINDS: Final[Sequence[tuple[Modality, ...]]] = (
    *([MODALITIES] * 6), ("video", "subtitles"), ("video",), ("audio",), ("subtitles",),
)  # fmt: skip
"""Tracks of the feeds, in turn: one in ten has only audio, three in ten have none."""


@dataclass(frozen=True, slots=True)
class ChurnResult:
    """The result of a run. `rounds` has one sample per round, taken when all of its feeds are forgotten."""

    feeds: int
    windows: int
    took_s: float
    rounds: list[Sample]
    samples: list[Sample]

    @property
    def growth_mb(self) -> float:
        """Growth of resident memory per round after the first, in MB."""
        return (self.rounds[-1].rss_mb - self.rounds[0].rss_mb) / max(1, len(self.rounds) - 1)


def churn(feeds: int, rounds: int, model: str, write_line: Callable[[str], None]) -> ChurnResult:
    """Start and end `feeds` feeds, `rounds` times, each with a new name."""
    settings = {
        "TRIPTYCH_ALIGN_STREAM_TTL_MS": "15000",
        "TRIPTYCH_REDIS_KEY_TTL_S": "60",
        "TRIPTYCH_REDIS_LATEST_TTL_S": "10",
    }
    samples_by_round: list[Sample] = []
    started_s = time.monotonic()
    with open_servers(model, settings) as servers, servers.worker() as (_, watch), servers.publisher() as publisher:
        for number in range(1, rounds + 1):
            for first in range(0, feeds, _CONCURRENT):
                names = range(first, min(first + _CONCURRENT, feeds))
                _send_feeds([f"round-{number}-feed-{name}" for name in names], publisher)
            publisher.flush(600)
            watch.wait("results", feeds * WINDOWS * number, progress=number, limit_s=1_200)
            deadline = time.monotonic() + 120
            while watch.sample(number).streams:
                if time.monotonic() > deadline:
                    raise TimeoutError("streams that ended are not forgotten")
                time.sleep(0.5)
            samples_by_round.append(watch.sample(number))
            sample = samples_by_round[-1]
            write_line(f"round {number}: RSS {sample.rss_mb:.1f} MB, {sample.threads} threads, {sample.files} files")
        return ChurnResult(
            feeds, samples_by_round[-1].results, time.monotonic() - started_s, samples_by_round, watch.samples
        )


def _send_feeds(names: Sequence[str], publisher: Publisher) -> None:
    """Send feeds of all kinds concurrently, and end them."""
    start_ns = time.time_ns() // (2 * SECOND) * (2 * SECOND)
    specs = [SyntheticFeedSpec(tracks=kind, image=_FRAME, frame_every_ns=SECOND // 2) for kind in _KINDS]
    feeds = [SyntheticFeed(name, specs[number % len(specs)], start_ns=start_ns) for number, name in enumerate(names)]
    for at_ns in range(SECOND, _DURATION_NS + SECOND, SECOND):
        for feed in feeds:
            send(publisher, feed.play(at_ns))
    for feed in feeds:
        send(publisher, feed.ends())


def check(done: ChurnResult) -> list[str]:
    """Return the problems."""
    first, last = done.rounds[0], done.rounds[-1]
    problems = []
    if done.growth_mb >= MAX_GROWTH_MB:
        problems.append(f"memory grows by {done.growth_mb:.2f} MB per round")
    if last.threads > first.threads:
        problems.append(f"threads grow: {first.threads} to {last.threads}")
    if last.files > first.files:
        problems.append(f"open files grow: {first.files} to {last.files}")
    if last.late:
        problems.append(f"{last.late} records were late")
    return problems
