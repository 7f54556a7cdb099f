"""A backlog of gigabytes, its tracks far apart in event time: is what is held bounded while it is caught up with?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.bounds.feeds import SECOND, Make, SyntheticFeed, picture, send
from benchmarks.bounds.place import IDLE_TIMEOUT_MS, BenchmarkServers
from benchmarks.bounds.watch import Sample

MIB: Final = 1 << 20
GB: Final = 1_000_000_000
PARTITIONS: Final = 6
MOST_OF_BOUND: Final = 1.5
WINDOW_NS: Final = 2 * SECOND
_AHEAD_NS: Final = {"audio": 20 * SECOND, "subtitles": 60 * SECOND}
_CUE_EVERY_NS: Final = 4 * SECOND
_STEP_NS: Final = 4 * SECOND
_WARM_UP_NS: Final = 60 * SECOND
_START_NS: Final = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z


@dataclass(frozen=True, slots=True)
class Wish:
    """How large a backlog, and how much may be held of it."""

    gigabytes: float
    streams: int
    partition_mib: int
    model: str
    limit_s: float
    picture_bytes: int = 40_000


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """What came of it."""

    wish: Wish
    records: int
    bytes: int
    windows: int
    took_s: float
    warm: Sample
    samples: list[Sample]

    @property
    def bound_mb(self) -> float:
        """What may be held of undecoded media: the bound of one partition number, times the numbers."""
        return self.wish.partition_mib * MIB * PARTITIONS / 1e6

    @property
    def more_mb(self) -> float:
        """Peak resident memory, less that of a warm worker at work: what a batch takes is no part of the backlog."""
        return self.samples[-1].peak_mb - self.warm.peak_mb


def settings_of(wish: Wish) -> dict[str, str]:
    """Return the settings of the worker that replays."""
    return {
        "TRIPTYCH_ALIGN_IDLE_TIMEOUT_MS": str(IDLE_TIMEOUT_MS),
        "TRIPTYCH_ALIGN_STREAM_MAX_BYTES": str(wish.partition_mib * MIB // 2),
        "TRIPTYCH_ALIGN_PARTITION_MAX_BYTES": str(wish.partition_mib * MIB),
    }


def catch_up(wish: Wish, place: BenchmarkServers, say: Callable[[str], None]) -> CaughtUp:
    """Write the backlog, then let a worker replay it.

    How much a warm worker takes, another one says: the most while it does a minute of one such feed.
    """
    make = Make(
        picture=picture(wish.picture_bytes),
        frame_every_ns=SECOND // 8,
        cue_every_ns=_CUE_EVERY_NS,
        ahead_ns=dict(_AHEAD_NS),
    )
    warm = _warm(place, make)
    say(f"a warm worker takes {warm.peak_mb:.1f} MB at work")
    feeds = [SyntheticFeed(f"camera-{number}", make, start_ns=_START_NS) for number in range(wish.streams)]
    records, size, seconds = _write(place, feeds, round(wish.gigabytes * GB), say)
    windows = _windows(seconds) * wish.streams
    began_s = time.monotonic()
    with place.worker() as (_, watch):
        watch.wait("results", windows, limit_s=wish.limit_s)
        took_s = time.monotonic() - began_s
        return CaughtUp(wish, records, size, windows, took_s, warm, watch.samples)


def _warm(place: BenchmarkServers, make: Make) -> Sample:
    """Let a worker do a minute of one feed, and return a look at it then."""
    feed = SyntheticFeed("warm-up", make, start_ns=_START_NS)
    windows = _windows(_WARM_UP_NS // SECOND)
    with place.worker() as (program, watch), place.publisher() as publisher:
        send(publisher, feed.play(_WARM_UP_NS))
        send(publisher, feed.ends())
        publisher.flush(60)
        sample = watch.wait("results", windows, limit_s=120)
        program.stop()
    return sample


def _write(
    place: BenchmarkServers, feeds: list[SyntheticFeed], size: int, say: Callable[[str], None]
) -> tuple[int, int, int]:
    """Send so many bytes; return how many records and bytes that were, and how many seconds of each feed's pictures."""
    records = sent = at_ns = 0
    say_at = size // 10
    with place.publisher() as publisher:
        while sent < size:
            at_ns += _STEP_NS
            for feed in feeds:
                more, more_bytes = send(publisher, feed.play(at_ns))
                records, sent = records + more, sent + more_bytes
            publisher.flush(600)  # else what waits in the producer, video above all, would come still later
            if sent >= say_at:
                say(f"{sent / GB:.2f} GB written")
                say_at += size // 10
        for feed in feeds:
            records += send(publisher, feed.ends())[0]
    return records, sent, at_ns // SECOND


def _windows(seconds: int) -> int:
    """Return the windows from the first record to the end of the last cue: they run ahead of the pictures."""
    last_cue_ends_ns = seconds * SECOND + _AHEAD_NS["subtitles"] - _CUE_EVERY_NS // 2
    return last_cue_ends_ns // WINDOW_NS


def check(done: CaughtUp) -> list[str]:
    """Return what is not as it should be."""
    last = done.samples[-1]
    troubles = []
    if done.more_mb > MOST_OF_BOUND * done.bound_mb:
        troubles.append(f"{done.more_mb:.0f} MB more than warm, the bound is {done.bound_mb:.0f} MB")
    if last.late:
        troubles.append(f"{last.late} records were late")
    if last.bound:
        troubles.append(f"{last.bound} windows closed at a bound")
    return troubles
