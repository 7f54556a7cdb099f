"""Days of media in minutes: does any resource of the worker grow with time?"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.bounds.feeds import SECOND, SyntheticFeed, SyntheticFeedSpec, image, send
from benchmarks.bounds.servers import BenchmarkServers, open_servers
from benchmarks.bounds.watch import Sample, Watch, slope

HOUR_NS: Final = 3_600 * SECOND
MAX_GROWTH_MB: Final = 1.0
_WINDOW_NS: Final = 4 * SECOND
_STEP_NS: Final = 24 * SECOND
_LAG_S: Final = 2.0
_SAMPLE_INTERVAL_S: Final = 2.0
_TIMEOUT_S: Final = 600.0
_SETTLED: Final = 0.15
"""Share of the run that is warm-up."""


@dataclass(frozen=True, slots=True)
class SoakResult:
    """The result of a soak."""

    hours: float
    streams: int
    records: int
    took_s: float
    samples: list[Sample]

    @property
    def settled(self) -> list[Sample]:
        """The samples after the warm-up."""
        return [sample for sample in self.samples if sample.progress >= _SETTLED * self.hours]

    @property
    def growth_mb(self) -> float:
        """Growth of resident memory per hour of media after the warm-up, in MB."""
        return slope(self.settled, "rss_mb")


def soak(
    hours: float, streams: int, model: str, write_line: Callable[[str], None], *, minutes: float | None = None
) -> SoakResult:
    """Play `hours` hours of `streams` streams as fast as the worker can process them, and sample its resources.

    The feeds are small: two frames and 0.2 s of audio per window of four seconds, and a cue in every other window.
    Event time starts in the past and ends at about the current time. The run ends after `minutes`, if given.
    """
    with (
        open_servers(model, {"TRIPTYCH_WINDOW_SIZE_MS": str(_WINDOW_NS // 1_000_000)}) as servers,
        servers.worker() as (_, watch),
        servers.publisher() as publisher,
    ):
        start_ns = (time.time_ns() - round(hours * HOUR_NS)) // _WINDOW_NS * _WINDOW_NS
        spec = SyntheticFeedSpec(
            image=image(0), frame_every_ns=_WINDOW_NS // 2, chunk_ns=SECOND // 5, chunk_every_ns=_WINDOW_NS,
            cue_every_ns=2 * _WINDOW_NS,
        )  # fmt: skip
        feeds = [SyntheticFeed(f"camera-{number}", spec, start_ns=start_ns) for number in range(streams)]
        started_s = time.monotonic()
        records, at_ns = 0, 0
        watcher = _Watcher(watch, write_line)
        until_s = math.inf if minutes is None else started_s + minutes * 60
        while at_ns < round(hours * HOUR_NS) and time.monotonic() < until_s:
            at_ns += _STEP_NS
            for feed in feeds:
                records += send(publisher, feed.play(at_ns))[0]
            publisher.flush(_TIMEOUT_S)
            watcher.keep_up(at_ns / HOUR_NS)
        for feed in feeds:
            send(publisher, feed.ends())
        publisher.flush(_TIMEOUT_S)
        hours = at_ns / HOUR_NS
        expected = at_ns // _WINDOW_NS * streams
        watch.wait("results", expected, progress=hours, limit_s=_TIMEOUT_S, every_s=_SAMPLE_INTERVAL_S)
        return SoakResult(hours, streams, records, time.monotonic() - started_s, watch.samples)


class _Watcher:
    """Takes a sample every two seconds, and waits while the worker is behind."""

    def __init__(self, watch: Watch, write_line: Callable[[str], None]) -> None:
        self._watch = watch
        self._write_line = write_line
        self._next_sample_s = self._next_line_s = 0.0

    def keep_up(self, progress: float) -> None:
        while time.monotonic() >= self._next_sample_s:  # repeatedly, while the worker is behind
            sample = self._watch.sample(progress)
            now_s = time.monotonic()
            self._next_sample_s = now_s + _SAMPLE_INTERVAL_S
            if now_s >= self._next_line_s:
                self._write_line(_line(sample))
                self._next_line_s = now_s + 30
            if sample.lag_s > _LAG_S:
                time.sleep(_SAMPLE_INTERVAL_S)


def _line(sample: Sample) -> str:
    return (
        f"{sample.progress:.2f} h  {sample.at_s:.0f} s  RSS {sample.rss_mb:.1f} MB  held {sample.held_mb:.1f} MB  "
        f"lag {sample.lag_s:.1f} s  {sample.results} results"
    )


def check(result: SoakResult) -> list[str]:
    """Return the problems."""
    settled = result.settled
    problems = []
    if result.growth_mb > MAX_GROWTH_MB:
        problems.append(f"memory grows by {result.growth_mb:.2f} MB per hour of media")
    if max(sample.threads for sample in settled) > settled[0].threads:
        problems.append("threads grow")
    if max(sample.files for sample in settled) > settled[0].files + 2:
        problems.append("open files grow")
    if settled[-1].late:
        problems.append(f"{settled[-1].late} records were late")
    return problems


__all__ = ["BenchmarkServers", "SoakResult", "check", "soak"]
