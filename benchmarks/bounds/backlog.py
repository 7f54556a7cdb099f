"""Replay of a large backlog whose tracks are far apart in event time: does memory stay bounded?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.bounds.feeds import SECOND, SyntheticFeed, SyntheticFeedSpec, image, send
from benchmarks.bounds.servers import IDLE_TIMEOUT_MS, BenchmarkServers
from benchmarks.bounds.watch import Sample

MIB: Final = 1 << 20
GB: Final = 1_000_000_000
PARTITIONS: Final = 6
MAX_SHARE_OF_BOUND: Final = 1.5
WINDOW_NS: Final = 2 * SECOND
_AHEAD_NS: Final = {"audio": 20 * SECOND, "subtitles": 60 * SECOND}
_CUE_EVERY_NS: Final = 4 * SECOND
_STEP_NS: Final = 4 * SECOND
_WARM_UP_NS: Final = 60 * SECOND
_START_NS: Final = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z


@dataclass(frozen=True, slots=True)
class BacklogOptions:
    """The size of the backlog, and the limits of the worker."""

    gigabytes: float
    streams: int
    partition_mib: int
    model: str
    limit_s: float
    image_bytes: int = 40_000


@dataclass(frozen=True, slots=True)
class BacklogResult:
    """The result of a replay."""

    options: BacklogOptions
    records: int
    bytes: int
    windows: int
    took_s: float
    warm: Sample
    samples: list[Sample]

    @property
    def limit_mb(self) -> float:
        """The limit for encoded media in memory: that of one partition, times the number of partitions."""
        return self.options.partition_mib * MIB * PARTITIONS / 1e6

    @property
    def above_warm_mb(self) -> float:
        """Peak resident memory minus that of a warm worker, which includes the memory of a batch."""
        return self.samples[-1].peak_mb - self.warm.peak_mb


def settings_of(options: BacklogOptions) -> dict[str, str]:
    """Return the settings of the worker that replays the backlog."""
    return {
        "TRIPTYCH_ALIGN_IDLE_TIMEOUT_MS": str(IDLE_TIMEOUT_MS),
        "TRIPTYCH_ALIGN_STREAM_MAX_BYTES": str(options.partition_mib * MIB // 2),
        "TRIPTYCH_ALIGN_PARTITION_MAX_BYTES": str(options.partition_mib * MIB),
    }


def replay_backlog(
    options: BacklogOptions, servers: BenchmarkServers, write_line: Callable[[str], None]
) -> BacklogResult:
    """Write the backlog, then let a worker replay it.

    Another worker processes one minute of one such feed before, to measure the memory of a warm worker.
    """
    spec = SyntheticFeedSpec(
        image=image(options.image_bytes),
        frame_every_ns=SECOND // 8,
        cue_every_ns=_CUE_EVERY_NS,
        ahead_ns=dict(_AHEAD_NS),
    )
    warm = _warm(servers, spec)
    write_line(f"a warm worker needs {warm.peak_mb:.1f} MB")
    feeds = [SyntheticFeed(f"camera-{number}", spec, start_ns=_START_NS) for number in range(options.streams)]
    records, size, seconds = _write(servers, feeds, round(options.gigabytes * GB), write_line)
    windows = _windows(seconds) * options.streams
    started_s = time.monotonic()
    with servers.worker() as (_, watch):
        watch.wait("results", windows, limit_s=options.limit_s)
        took_s = time.monotonic() - started_s
        return BacklogResult(options, records, size, windows, took_s, warm, watch.samples)


def _warm(servers: BenchmarkServers, spec: SyntheticFeedSpec) -> Sample:
    """Let a worker process one minute of one feed. Return the last sample."""
    feed = SyntheticFeed("warm-up", spec, start_ns=_START_NS)
    windows = _windows(_WARM_UP_NS // SECOND)
    with servers.worker() as (program, watch), servers.publisher() as publisher:
        send(publisher, feed.play(_WARM_UP_NS))
        send(publisher, feed.ends())
        publisher.flush(60)
        sample = watch.wait("results", windows, limit_s=120)
        program.stop()
    return sample


def _write(
    servers: BenchmarkServers, feeds: list[SyntheticFeed], size: int, write_line: Callable[[str], None]
) -> tuple[int, int, int]:
    """Send `size` bytes. Return the number of records, of bytes, and the seconds of video of each feed."""
    records = sent = at_ns = 0
    next_line = size // 10
    with servers.publisher() as publisher:
        while sent < size:
            at_ns += _STEP_NS
            for feed in feeds:
                more, more_bytes = send(publisher, feed.play(at_ns))
                records, sent = records + more, sent + more_bytes
            publisher.flush(600)  # messages that wait in the client, mostly video, would delay the track further
            if sent >= next_line:
                write_line(f"{sent / GB:.2f} GB written")
                next_line += size // 10
        for feed in feeds:
            records += send(publisher, feed.ends())[0]
    return records, sent, at_ns // SECOND


def _windows(seconds: int) -> int:
    """Return the number of windows from the first record to the end of the last cue, which is ahead of the video."""
    last_cue_ends_ns = seconds * SECOND + _AHEAD_NS["subtitles"] - _CUE_EVERY_NS // 2
    return last_cue_ends_ns // WINDOW_NS


def check(done: BacklogResult) -> list[str]:
    """Return the problems."""
    last = done.samples[-1]
    problems = []
    if done.above_warm_mb > MAX_SHARE_OF_BOUND * done.limit_mb:
        problems.append(f"{done.above_warm_mb:.0f} MB more than a warm worker; the limit is {done.limit_mb:.0f} MB")
    if last.late:
        problems.append(f"{last.late} records were late")
    if last.bound:
        problems.append(f"{last.bound} windows closed at a byte limit")
    return problems
