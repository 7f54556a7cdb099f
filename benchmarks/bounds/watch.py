"""Samples of a running worker: memory, threads and files from the kernel, the rest from its metrics. Linux only."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final, Self
from urllib.request import urlopen

import redis
from prometheus_client.parser import text_string_to_metric_families

MB: Final = 1_000_000
_KIB: Final = 1_024
_FORGET_PEAK: Final = "5"  # proc_pid_clear_refs(5): resets the peak to the current value
_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample.

    Attributes:
        at_s: time since the start of the watch.
        progress: progress of the run in its own unit: hours of media, rounds, seconds.
        rss_mb: resident memory in megabytes (10^6 bytes).
        peak_mb: peak resident memory since the start of the watch.
        threads: threads of the process.
        files: open file descriptors.
        redis_keys: number of keys in Redis.
        redis_mb: memory of the Redis server.
        lag_s: `triptych_lag_seconds`.
        held_mb: `triptych_held_bytes`, in megabytes.
        streams: `triptych_streams`.
        results: `triptych_results_total`.
        late: `triptych_late_total` of all modalities.
        bound: windows closed at a byte limit.
    """

    at_s: float
    progress: float
    rss_mb: float
    peak_mb: float
    threads: int
    files: int
    redis_keys: int
    redis_mb: float
    lag_s: float
    held_mb: float
    streams: int
    results: int
    late: int
    bound: int


class Watch:
    """Takes samples of one worker."""

    def __init__(self, pid: int, http_port: int, redis_url: str) -> None:
        """Watch the process `pid`, which serves its metrics at `http_port`. Reset its peak memory."""
        self._pid = pid
        Path(f"/proc/{pid}/clear_refs").write_text(_FORGET_PEAK, encoding="ascii")
        self._port = http_port
        self._redis = redis.Redis.from_url(redis_url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
        self._started_s = time.monotonic()
        self.samples: list[Sample] = []

    def __enter__(self) -> Self:
        """Return the watch."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection to Redis."""
        self._redis.close()

    def sample(self, progress: float | None = None) -> Sample:
        """Take and store a sample. The default progress is the time in seconds."""
        at_s = time.monotonic() - self._started_s
        status = _read_status(self._pid)
        values = self._metrics()
        sample = Sample(
            at_s=round(at_s, 2),
            progress=round(at_s if progress is None else progress, 4),
            rss_mb=status["VmRSS"] * _KIB / MB,
            peak_mb=status["VmHWM"] * _KIB / MB,
            threads=status["Threads"],
            files=len(list(Path(f"/proc/{self._pid}/fd").iterdir())),
            redis_keys=int(self._redis.dbsize()),
            redis_mb=int(self._redis.info("memory")["used_memory"]) / MB,
            lag_s=values.get("triptych_lag_seconds", 0.0),
            held_mb=values.get("triptych_held_bytes", 0.0) / MB,
            streams=int(values.get("triptych_streams", 0)),
            results=int(values.get("triptych_results_total", 0)),
            late=int(values.get("triptych_late_total", 0)),
            bound=int(values.get("triptych_windows_total:bound", 0)),
        )
        self.samples.append(sample)
        return sample

    def wait(
        self, reached: str, until: int, *, progress: float | None = None, limit_s: float, every_s: float = 0.5
    ) -> Sample:
        """Take samples until the field `reached` is at least `until`. Return the last one.

        Raises:
            TimeoutError: the time limit is over.
        """
        deadline = time.monotonic() + limit_s
        while True:
            sample = self.sample(progress)
            if getattr(sample, reached) >= until:
                return sample
            if time.monotonic() > deadline:
                raise TimeoutError(f"{reached}: waited {limit_s:g} s for {until}, got {getattr(sample, reached)}")
            time.sleep(every_s)

    def _metrics(self) -> dict[str, float]:
        """Return the worker's metrics, each summed over its series, and the windows by `closed_by`."""
        with urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=_TIMEOUT_S) as answer:
            text = answer.read().decode()
        sums: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for each in family.samples:
                sums[each.name] = sums.get(each.name, 0.0) + each.value
                if "closed_by" in each.labels:
                    sums[f"{each.name}:{each.labels['closed_by']}"] = each.value
        return sums


def slope(samples: Sequence[Sample], field: str) -> float:
    """Return the growth of a field per unit of progress, by least squares."""
    xs = [sample.progress for sample in samples]
    ys = [float(getattr(sample, field)) for sample in samples]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread if spread else 0.0


def write_csv(path: Path, samples: Sequence[Sample]) -> None:
    """Write samples as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Sample)])
        writer.writeheader()
        for sample in samples:
            writer.writerow({name: round(value, 3) for name, value in asdict(sample).items()})


def _read_status(pid: int) -> Mapping[str, int]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name: int(value.split()[0]) for name, _, value in pairs if name in {"VmRSS", "VmHWM", "Threads"}}
