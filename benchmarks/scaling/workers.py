"""Several workers on one broker: `python -m benchmarks.scaling.workers [--workers 1 2 4 8] [--windows 100]`.

For each number of workers it starts a new Kafka and Redis, and measures on them

1. throughput: 24 streams are sent as fast as librdkafka can, to workers that wait for them;
2. the pause when a worker joins, and when one is killed, while the streams play in real time.

It prints a line for each number. The `null` model is used, so the figures are those of the worker and the servers.
All run on this machine: the number of CPUs limits what more workers can give.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.scaling.pauses import Pause, longest_pauses, throughput
from tests.e2e.programs import Installation, Program, wait_until
from tests.worker.world import SECOND, Feed, wav
from tools.devservers import DevKafka, DevRedis
from triptych.schemas.codec import encode
from triptych.schemas.names import TOPIC_OF, results_topic
from triptych.schemas.partition import partition_of
from triptych.schemas.records import InputRecord
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics

PARTITIONS: Final = 24
WINDOW_S: Final = 2
SESSION_MS: Final = 6_000
SETTLE_S: Final = 4.0
"""How long the streams play undisturbed before and after each event."""
_PICTURE: Final = (320, 180)
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class WorkersReport:
    """The figures for one number of workers.

    Attributes:
        workers: how many there were.
        windows: how many windows were processed for the throughput.
        windows_per_s: windows a second of all workers together.
        worker_ms: CPU milliseconds of the workers a window.
        broker_ms: CPU milliseconds of the broker a window.
        redis_ms: CPU milliseconds of Redis a window.
        join: the pause when the last of them joined; None with one worker.
        kill: the pause when one of them was killed; None with one worker. It contains the session timeout for the
            streams of that worker.
    """

    workers: int
    windows: int
    windows_per_s: float
    worker_ms: float
    broker_ms: float
    redis_ms: float
    join: Pause | None
    kill: Pause | None


@dataclass(frozen=True, slots=True)
class ScalingServers:
    """A new broker and Redis, and an installation on them."""

    kafka: DevKafka
    redis: DevRedis
    here: Installation

    def result_times_ns(self) -> dict[str, list[int]]:
        """Return when the results of each stream were appended to the topic."""
        times: dict[str, list[int]] = {}
        for record in self.here.each_record(results_topic(self.here.pipeline)):
            times.setdefault((record.key or b"").decode(), []).append(record.arrival_ns)
        return times


def wait_for_members(programs: Sequence[Program]) -> None:
    """Wait until the workers share all partitions, according to their logs."""

    def are_shared() -> bool:
        shares = [owned_partitions(program) for program in programs]
        together = set().union(*shares)
        return all(shares) and sum(map(len, shares)) == PARTITIONS and together == set(range(PARTITIONS))

    wait_until(are_shared, f"{len(programs)} workers to share {PARTITIONS} partitions")


def owned_partitions(program: Program) -> set[int]:
    """Return the partitions that a worker has, according to its log."""
    lines = [
        line
        for name in ("partitions_assigned", "partitions_revoked", "partitions_lost")
        for line in program.events(name)
    ]
    owned: set[int] = set()
    for line in sorted(lines, key=lambda each: str(each["timestamp"])):
        if line["event"] == "partitions_assigned":
            owned |= set(line["numbers"])
        else:
            owned -= set(line["numbers"])
    return owned


@contextmanager
def scaling_servers() -> Iterator[ScalingServers]:
    """Start the servers, and create the topics."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="triptych-workers-")))
        kafka, redis = stack.enter_context(DevKafka()), stack.enter_context(DevRedis())
        settings = {"TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS": str(SESSION_MS), "TRIPTYCH_MODEL_NAME": "null"}
        here = Installation(kafka.bootstrap_servers, redis.url, "bench-workers", folder, settings)
        with closing(here.transport()) as transport, closing(transport.admin()) as admin:
            create_topics(admin, here.pipeline, TopicSettings("", PARTITIONS, 1, max_record_bytes=8 << 20))
        yield ScalingServers(kafka, redis, here)


def measure(workers: int, windows: int) -> WorkersReport:
    """Measure one number of workers.

    Args:
        workers: how many; 1 or more.
        windows: windows of each of the streams, for the throughput.
    """
    with scaling_servers() as servers, _running(servers, workers) as programs:
        wait_for_members(programs)
        films = [film(Feed(name), windows) for name in stream_names()]
        total = windows * PARTITIONS
        before = _cpu_s(servers, programs)
        _send_all(servers.here.bootstrap_servers, films)
        wait_until(lambda: servers.here.count_results() >= total, f"{total} results", limit_s=600)
        used = {name: seconds - before[name] for name, seconds in _cpu_s(servers, programs).items()}
        speed = throughput([at_ns for times in servers.result_times_ns().values() for at_ns in times])
    join, kill = _measure_pauses(workers) if workers > 1 else (None, None)
    per_window = {name: seconds * 1e3 / total for name, seconds in used.items()}
    return WorkersReport(
        workers, total, speed, per_window["workers"], per_window["broker"], per_window["redis"], join, kill
    )


def stream_names() -> list[str]:
    """Return a name of a stream for each partition, so that every worker has as many streams."""
    names: dict[int, str] = {}
    number = 0
    while len(names) < PARTITIONS:
        names.setdefault(partition_of(f"feed-{number}".encode(), PARTITIONS), f"feed-{number}")
        number += 1
    return [names[partition] for partition in range(PARTITIONS)]


def film(feed: Feed, windows: int) -> list[InputRecord]:
    """Return the records of a stream: in each window two pictures of 320x180, four chunks of sound, and a cue."""
    records: list[InputRecord] = []
    image, sound = _image(), wav(0.5)
    for begin in range(0, windows * WINDOW_S, WINDOW_S):
        records.append(feed.cue(begin, begin + 1, f"words at {begin}", begin + WINDOW_S))
        for at_s in (begin, begin + 1):
            next_ns = feed.start_ns + (at_s + 1) * SECOND
            records.append(feed.frame(at_s, image).model_copy(update={"next_ns": next_ns}))
            records += [feed.chunk(at_s, sound), feed.chunk(at_s + 0.5, sound)]
    return [*records, *(feed.end(modality, windows * WINDOW_S) for modality in feed.tracks)]


def _image() -> bytes:
    block = np.random.default_rng(7).integers(0, 255, (18, 32, 3), np.uint8)
    return cv2.imencode(".jpg", cv2.resize(block, _PICTURE, interpolation=cv2.INTER_CUBIC))[1].tobytes()


def _send_all(bootstrap_servers: str, films: Sequence[Sequence[InputRecord]]) -> None:
    """Send films as fast as the broker takes them, the streams in turn."""
    from confluent_kafka import Producer  # noqa: PLC0415 - optional: kafka-python would be slower than the workers

    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "partitioner": "murmur2_random",  # as in Java
            "linger.ms": 20,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 1 << 20,
        }
    )
    for turn in zip(*films, strict=True):
        for record in turn:
            wire = encode(record)
            producer.produce(TOPIC_OF[record.modality], key=wire.key, value=wire.value, headers=list(wire.headers))
        producer.poll(0)
    if unsent := producer.flush(120):
        raise RuntimeError(f"{bootstrap_servers}: {unsent} records were not acknowledged within 120 s")


@contextmanager
def _running(servers: ScalingServers, workers: int) -> Iterator[list[Program]]:
    with ExitStack() as stack:
        programs = [stack.enter_context(servers.here.running("work")) for _ in range(workers)]
        yield programs


def _cpu_s(servers: ScalingServers, workers: Sequence[Program]) -> Mapping[str, float]:
    """Return the CPU seconds of all threads of the workers and the servers so far."""
    return {
        "workers": sum(process_cpu_s(program.process.pid) for program in workers),
        "broker": process_cpu_s(servers.kafka.process.pid),
        "redis": process_cpu_s(servers.redis.process.pid),
    }


def process_cpu_s(pid: int) -> float:
    """Return the CPU seconds of a running process, user and system."""
    # The name of the program, in parentheses, may contain spaces: proc_pid_stat(5).
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _measure_pauses(workers: int) -> tuple[Pause, Pause]:
    """Return the pauses of streams that play in real time, when the last worker joins and when the first is killed."""
    with scaling_servers() as servers, ExitStack() as stack:
        programs = [stack.enter_context(servers.here.running("work")) for _ in range(workers - 1)]
        wait_for_members(programs)
        stack.enter_context(_playing(servers.here))
        _wait_for_results(servers.here)
        time.sleep(SETTLE_S)
        joined_ns = time.time_ns()
        programs.append(stack.enter_context(servers.here.running("work")))
        wait_for_members(programs)
        _wait_for_results(servers.here)
        settled_ns = time.time_ns()
        time.sleep(SETTLE_S)
        killed_ns = time.time_ns()
        programs[0].kill()
        wait_for_members(programs[1:])
        _wait_for_results(servers.here)
        time.sleep(SETTLE_S)
        end_ns = time.time_ns()
        times = servers.result_times_ns()
    return longest_pauses(times, joined_ns, settled_ns), longest_pauses(times, killed_ns, end_ns)


def _wait_for_results(here: Installation) -> None:
    before = here.count_results()
    wait_until(lambda: here.count_results() > before + 2 * PARTITIONS, "results of all streams")


@contextmanager
def _playing(here: Installation) -> Iterator[None]:
    """Play the streams in real time until the block ends, each at its own offset within a window."""
    stop = threading.Event()
    begin_ns = time.time_ns()
    feeds = [
        Feed(name, start_ns=begin_ns + number * WINDOW_S * SECOND // PARTITIONS)
        for number, name in enumerate(stream_names())
    ]
    due = sorted(
        ((getattr(record, "end_ns", record.start_ns), record) for feed in feeds for record in film(feed, 300)),
        key=lambda each: each[0],
    )

    def play() -> None:
        from confluent_kafka import Producer  # noqa: PLC0415 - as above

        producer = Producer({"bootstrap.servers": here.bootstrap_servers, "partitioner": "murmur2_random"})
        for at_ns, record in due:
            if stop.wait(max(0, at_ns - time.time_ns()) / SECOND):
                break
            wire = encode(record)
            producer.produce(TOPIC_OF[record.modality], key=wire.key, value=wire.value, headers=list(wire.headers))
            producer.poll(0)
        producer.flush(10)

    player = threading.Thread(target=play, name="player")
    player.start()
    try:
        yield
    finally:
        stop.set()
        player.join()


HEAD: Final = (
    "| workers | windows a second | of each worker | CPU of a window: workers | broker | Redis "
    "| pause at a join: all, a stream, worst | pause at a kill: all, a stream, worst |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def row(report: WorkersReport) -> str:
    """Return a line of the table."""
    return (
        f"| {report.workers} | {report.windows_per_s:.0f} | {report.windows_per_s / report.workers:.0f} "
        f"| {report.worker_ms:.2f} ms | {report.broker_ms:.2f} ms | {report.redis_ms:.2f} ms "
        f"| {_seconds(report.join)} | {_seconds(report.kill)} |"
    )


def _seconds(pause: Pause | None) -> str:
    return "" if pause is None else f"{pause.all_s:.1f}, {pause.stream_s:.1f}, {pause.worst_stream_s:.1f} s"


def main(args: Sequence[str]) -> None:
    """Measure each number of workers, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling.workers", description="Scale out workers.")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8], help="numbers of workers")
    parser.add_argument("--windows", type=int, default=100, help="windows of each of the 24 streams")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append the figures, one line for each number")
    given = parser.parse_args(args)
    if min(given.workers) < 1 or max(given.workers) > PARTITIONS:
        parser.error(f"--workers: expected numbers from 1 to {PARTITIONS}, got {given.workers}")
    sys.stdout.write(f"{HEAD}\n")
    for workers in given.workers:
        report = measure(workers, given.windows)
        sys.stdout.write(f"{row(report)}\n")
        sys.stdout.flush()
        if given.json is not None:
            with given.json.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(asdict(report))}\n")
    sys.stdout.write(
        f"{len(os.sched_getaffinity(0))} CPUs for workers, broker, Redis and sender; load {os.getloadavg()}\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
