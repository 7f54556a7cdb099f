"""Days of media in minutes: does anything of the worker grow with time?"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.bounds.feeds import SECOND, Make, SyntheticFeed, picture, send
from benchmarks.bounds.place import BenchmarkServers, open_place
from benchmarks.bounds.watch import Sample, Watch, slope

HOUR_NS: Final = 3_600 * SECOND
MOST_GROWTH_MB: Final = 1.0
_WINDOW_NS: Final = 4 * SECOND
_STEP_NS: Final = 24 * SECOND
_LAG_S: Final = 2.0
_LOOK_S: Final = 2.0
_PATIENCE_S: Final = 600.0
_SETTLED: Final = 0.15
"""Of the run: what comes before is warm-up."""


@dataclass(frozen=True, slots=True)
class Soaked:
    """What a soak found."""

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
        """Growth of resident memory for an hour of media, after the warm-up."""
        return slope(self.settled, "rss_mb")


def soak(hours: float, streams: int, model: str, say: Callable[[str], None], *, minutes: float | None = None) -> Soaked:
    """Play so many hours of so many streams as fast as the worker follows, and look at it all the while.

    The feeds are small on purpose: for each window of four seconds two frames and a fifth of a second of sound, for
    every other one a cue. Event time begins so long ago that it ends about now. After so many minutes it ends where
    it has come to.
    """
    with (
        open_place(model, {"TRIPTYCH_WINDOW_SIZE_MS": str(_WINDOW_NS // 1_000_000)}) as place,
        place.worker() as (_, watch),
        place.publisher() as publisher,
    ):
        start_ns = (time.time_ns() - round(hours * HOUR_NS)) // _WINDOW_NS * _WINDOW_NS
        make = Make(
            picture=picture(0), frame_every_ns=_WINDOW_NS // 2, chunk_ns=SECOND // 5, chunk_every_ns=_WINDOW_NS,
            cue_every_ns=2 * _WINDOW_NS,
        )  # fmt: skip
        feeds = [SyntheticFeed(f"camera-{number}", make, start_ns=start_ns) for number in range(streams)]
        began_s = time.monotonic()
        records, at_ns = 0, 0
        watcher = _Watcher(watch, say)
        until_s = math.inf if minutes is None else began_s + minutes * 60
        while at_ns < round(hours * HOUR_NS) and time.monotonic() < until_s:
            at_ns += _STEP_NS
            for feed in feeds:
                records += send(publisher, feed.play(at_ns))[0]
            publisher.flush(_PATIENCE_S)
            watcher.keep_up(at_ns / HOUR_NS)
        for feed in feeds:
            send(publisher, feed.ends())
        publisher.flush(_PATIENCE_S)
        hours = at_ns / HOUR_NS
        expected = at_ns // _WINDOW_NS * streams
        watch.wait("results", expected, progress=hours, limit_s=_PATIENCE_S, every_s=_LOOK_S)
        return Soaked(hours, streams, records, time.monotonic() - began_s, watch.samples)


class _Watcher:
    """Looks every two seconds, and waits where the worker lags behind."""

    def __init__(self, watch: Watch, say: Callable[[str], None]) -> None:
        self._watch = watch
        self._say = say
        self._look_at_s = self._say_at_s = 0.0

    def keep_up(self, progress: float) -> None:
        while time.monotonic() >= self._look_at_s:  # again and again, while it lags behind
            sample = self._watch.look(progress)
            now_s = time.monotonic()
            self._look_at_s = now_s + _LOOK_S
            if now_s >= self._say_at_s:
                self._say(_line(sample))
                self._say_at_s = now_s + 30
            if sample.lag_s > _LAG_S:
                time.sleep(_LOOK_S)


def _line(sample: Sample) -> str:
    return (
        f"{sample.progress:.2f} h  {sample.at_s:.0f} s  RSS {sample.rss_mb:.1f} MB  held {sample.held_mb:.1f} MB  "
        f"lag {sample.lag_s:.1f} s  {sample.results} results"
    )


def check(soaked: Soaked) -> list[str]:
    """Return what is not as it should be."""
    settled = soaked.settled
    troubles = []
    if soaked.growth_mb > MOST_GROWTH_MB:
        troubles.append(f"memory grows by {soaked.growth_mb:.2f} MB an hour of media")
    if max(sample.threads for sample in settled) > settled[0].threads:
        troubles.append("threads grow")
    if max(sample.files for sample in settled) > settled[0].files + 2:
        troubles.append("open files grow")
    if settled[-1].late:
        troubles.append(f"{settled[-1].late} records were late")
    return troubles


__all__ = ["BenchmarkServers", "Soaked", "check", "soak"]
