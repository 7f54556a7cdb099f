"""One run of the chaos test: load and faults, recovery, and comparisons with an undisturbed worker and the truth."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Final

import redis

from tests.chaos.comparison import Fault, Recovery, ResultComparison, compare_results, recoveries
from tests.chaos.dashboards import DashboardRecorder, recorded_dashboards
from tests.chaos.environment import Environment
from tests.chaos.faulty_worker import RULE_BUGS
from tests.chaos.lanes import Faults
from tests.chaos.load import STEADY, Load
from tests.chaos.sent import LoopedClip, read_input_topics
from tests.chaos.servers import IDLE_TIMEOUT_S, SESSION_S, ChaosServers, open_servers
from tests.chaos.subscribers import RecordingSubscriber
from tests.chaos.truth import TruthComparison, compare_with_truth, final_windows
from tests.chaos.workers import UnexpectedExit, WorkerPool, start_worker
from tests.e2e.programs import Finished, Installation
from triptych.consumers.subscription.subscriber import Subscriber
from triptych.schemas.dead_codec import decode_dead, is_mark
from triptych.schemas.names import dead_topic, redis_results_key, results_topic
from triptych.units import NS_PER_MS, NS_PER_S

AT_LEAST_ONCE: Final = "at_least_once"
EXACTLY_ONCE: Final = "exactly_once"
DELIVERIES: Final = (AT_LEAST_ONCE, EXACTLY_ONCE)
WINDOW_NS: Final = NS_PER_S
SETTINGS: Final = {
    "TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS": str(round(SESSION_S * 1_000)),
    "TRIPTYCH_WINDOW_SIZE_MS": f"{WINDOW_NS // NS_PER_MS}",
    "TRIPTYCH_ALIGN_IDLE_TIMEOUT_MS": f"{IDLE_TIMEOUT_S * 1_000:.0f}",
    "TRIPTYCH_ALIGN_PAUSE_MS": "750",  # in the proportion of the defaults; each stream sends every 0.5 s
    "TRIPTYCH_ALIGN_STREAM_TTL_MS": "300000",  # longer than any outage of all brokers, on a busy machine too
    "TRIPTYCH_WORKER_COMMIT_INTERVAL_MS": "200",
    "TRIPTYCH_REDIS_RESULTS_MAXLEN": "1000000",
    "OMP_NUM_THREADS": "1",
}
QUIET_S: Final = 5.0
"""Duration of the load before the first fault and after the last one."""
PROGRESS_INTERVAL_S: Final = 10.0
CATCH_UP_LIMIT_S: Final = 120.0
"""How long the subscribers may receive nothing new before what they lack counts as lost."""
FEEDS: Final = ("clip-0", "clip-1")
"""Streams of real producers with a looped clip. The first one has a link of its own."""
CLIP: Final = str(files("triptych.samples").joinpath("librivox_city_15s.mkv"))
MOST_AWAY_S: Final = 300.0
AWAY_SHARE: Final = 0.25
"""The share of a short run for which all workers are away."""
READING_LIMIT_S: Final = 300.0
"""Limit for the undisturbed worker, in addition to the duration of the load: other workers are catching up too."""

WriteLine = Callable[[str], None]
Position = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class ChaosOptions:
    """The options of a run.

    `away_s` is how long all workers are away; None for a share of the run. `client` is the setting `kafka.client` of
    all programs. With `dashboards`, Prometheus scrapes them, and the dashboards are drawn into that folder.
    """

    minutes: float
    seed: int
    delivery: str = AT_LEAST_ONCE
    bug: str | None = None
    pause: float = 1.0
    away_s: float | None = None
    client: str = "auto"
    dashboards: Path | None = None

    @property
    def workers_away_s(self) -> float:
        """How long an outage of all workers lasts."""
        return min(MOST_AWAY_S, AWAY_SHARE * 60 * self.minutes) if self.away_s is None else self.away_s


@dataclass(frozen=True, slots=True)
class DeadLetterComparison:
    """Dead letters by the positions of their records: expected, found, and the number of duplicates."""

    sent: int
    expected: frozenset[Position]
    found: frozenset[Position]
    repeated: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a run."""

    options: ChaosOptions
    length_s: float
    records: int
    faults: Sequence[Fault]
    expected: int
    comparisons: Sequence[ResultComparison]
    truth: TruthComparison
    dead_letters: DeadLetterComparison
    recoveries: Sequence[Recovery]
    peak_bytes: int
    unexpected_exits: Sequence[UnexpectedExit]
    ended: Sequence[Finished]
    errors: Sequence[BaseException]


def run(folder: Path, options: ChaosOptions, write_line: WriteLine) -> Outcome:
    """Run the chaos test. `write_line` receives lines that show the progress."""
    with ExitStack() as stack:
        write_line(f"seed {options.seed}, {options.delivery}: starting three brokers, Redis and two workers")
        servers = stack.enter_context(
            open_servers(folder, {**SETTINGS, "TRIPTYCH_KAFKA_CLIENT": options.client}, options.seed)
        )
        installation, plain = servers.installation, servers.undisturbed
        flags = () if options.delivery == AT_LEAST_ONCE else ("--delivery", options.delivery)
        recorder = None if options.dashboards is None else stack.enter_context(recorded_dashboards(folder))
        pool = WorkerPool(
            installation, "work", *flags, bug=options.bug, variables=recorder.worker_variables if recorder else dict
        )
        workers = stack.enter_context(pool)
        subscribers = _subscribers(installation)
        load = Load(installation, options.seed)
        for subscriber in subscribers:
            subscriber.start()
        load.start()
        feeds = _feeds(servers, stack, recorder)
        started_s = time.monotonic()
        need_bytes_per_s = servers.link.measured_bytes_per_s(QUIET_S)
        faults = Faults(
            Environment(servers, workers, load, feeds, servers.link, need_bytes_per_s, options.workers_away_s),
            options.seed,
            lambda fault: write_line(_fault_line(fault, started_s)),
            pause=options.pause,
        )
        faults.start()
        _wait(options.minutes * 60, faults, lambda: write_line(_progress_line(started_s, faults, load, subscribers)))
        write_line("no more faults; waiting until everything is repaired")
        faults.finish()
        servers.wait_until_in_sync()
        time.sleep(QUIET_S)
        load.finish()
        if recorder is not None and options.dashboards is not None:
            for line in recorder.draw(options.dashboards, faults.done):
                write_line(line)
        feeds_ended = [feed.stop() for feed in feeds]
        write_line("all records are sent; an undisturbed worker reads them")
        expected = _undisturbed_results(plain, options, READING_LIMIT_S + load.length_s)
        write_line(f"{len(expected)} results are expected; waiting for the workers to publish all of them")
        _wait_for_all(subscribers, expected)
        workers_ended = workers.stop()
        for subscriber in subscribers:
            subscriber.finish()
        found = documents_in_topic(plain)
        comparisons = [
            compare_results("in the results topic", found, expected),
            compare_results("in Redis", documents_in_redis(plain), expected),
            *(
                compare_results(f"received by a subscriber of {one.name}", one.documents, expected)
                for one in subscribers
            ),
        ]
        topics = read_input_topics(plain)
        truth = sum((feed.truth(topics) for feed in feeds), start=load.truth())
        return Outcome(
            options,
            load.length_s,
            load.sent,
            faults.done,
            len(set(map(_id, expected))),
            comparisons,
            compare_with_truth(truth, final_windows(found), topics.items, size_ns=WINDOW_NS),
            _compare_dead_letters(load, plain, _undisturbed(plain)),
            _recoveries(faults.done, plain),
            workers.peak_bytes,
            workers.unexpected_exits,
            [*workers_ended, *feeds_ended],
            faults.errors,
        )


def _feeds(servers: ChaosServers, stack: ExitStack, recorder: DashboardRecorder | None) -> list[LoopedClip]:
    """Start the real producers, the first one behind the link. `stack` ends those that are not stopped."""
    behind_link = replace(servers.installation, bootstrap_servers=servers.link.bootstrap_servers)
    places = (behind_link, *[servers.installation] * (len(FEEDS) - 1))
    variables = recorder.producer_variables if recorder else dict
    feeds = [LoopedClip(place, stream, CLIP, **variables()) for place, stream in zip(places, FEEDS, strict=True)]
    for feed in feeds:
        stack.callback(feed.program.kill)
    for feed in feeds:
        feed.wait_until_played(servers.undisturbed)
    return feeds


def _undisturbed(plain: Installation) -> Installation:
    return plain.other_pipeline(f"{plain.pipeline}-undisturbed")


def _undisturbed_results(plain: Installation, options: ChaosOptions, limit_s: float) -> list[bytes]:
    """Return the results of a worker that is not disturbed. It has the bug only if that is a rule of alignment."""
    undisturbed = _undisturbed(plain)
    bug = options.bug if options.bug in RULE_BUGS else None
    start_worker(undisturbed, "work", "--until-end", bug=bug).wait(limit_s=limit_s).succeeded()
    return documents_in_topic(undisturbed)


def documents_in_topic(installation: Installation) -> list[bytes]:
    """Return all results in the topic as JSON documents, including duplicates."""
    return [record.value for record in installation.records(results_topic(installation.pipeline))]


def documents_in_redis(installation: Installation) -> list[bytes]:
    """Return all results in Redis as JSON documents, including duplicates."""
    with redis.Redis.from_url(installation.redis_url) as client:
        keys = sorted(client.scan_iter(match=redis_results_key(installation.pipeline, "*"), count=1000))
        return [fields[b"result"] for key in keys for _, fields in client.xrange(key)]


def dead_letter_positions(installation: Installation) -> list[Position]:
    """Return the positions of dead-lettered records, including duplicates."""
    records = [
        record for record in installation.records(dead_topic(installation.pipeline)) if not is_mark(record.headers)
    ]
    dead_letters = [decode_dead(record.key, record.value, record.headers) for record in records]
    return [(letter.topic, letter.partition, letter.offset) for letter in dead_letters]


def _subscribers(installation: Installation) -> list[RecordingSubscriber]:
    return [
        RecordingSubscriber(
            "Kafka", lambda: Subscriber.from_kafka(installation.bootstrap_servers, pipeline=installation.pipeline)
        ),
        RecordingSubscriber(
            "Redis", lambda: Subscriber.from_redis(installation.redis_url, pipeline=installation.pipeline)
        ),
    ]


def _wait(length_s: float, faults: Faults, show: Callable[[], None]) -> None:
    """Block for `length_s`, or until a fault could not be caused or repaired."""
    deadline_s, show_at_s = time.monotonic() + length_s, time.monotonic() + PROGRESS_INTERVAL_S
    while time.monotonic() < deadline_s and not faults.errors:
        time.sleep(0.1)
        if time.monotonic() >= show_at_s:
            show_at_s += PROGRESS_INTERVAL_S
            show()


def _wait_for_all(subscribers: Sequence[RecordingSubscriber], expected: Sequence[bytes]) -> None:
    """Block until the subscribers have received all results, or have received nothing new for long."""
    wanted, received, since_s = set(map(_id, expected)), -1, time.monotonic()
    while time.monotonic() < since_s + CATCH_UP_LIMIT_S:
        documents = [tuple(subscriber.documents) for subscriber in subscribers]
        if all(wanted <= set(map(_id, own)) for own in documents):
            return
        if sum(map(len, documents)) != received:
            received, since_s = sum(map(len, documents)), time.monotonic()
        time.sleep(1)


def _id(document: bytes) -> str:
    return str(json.loads(document)["id"])


def _compare_dead_letters(load: Load, installation: Installation, undisturbed: Installation) -> DeadLetterComparison:
    found = Counter(dead_letter_positions(installation))
    expected = load.positions_found_on_reading() | set(dead_letter_positions(undisturbed))
    return DeadLetterComparison(
        load.poisoned.total(), frozenset(expected), frozenset(found), sum(count - 1 for count in found.values())
    )


def _recoveries(faults: Sequence[Fault], installation: Installation) -> list[Recovery]:
    published_ns: dict[str, list[int]] = {stream: [] for stream in STEADY}
    for record in installation.records(results_topic(installation.pipeline)):
        stream = (record.key or b"").decode()
        if stream in published_ns:
            published_ns[stream].append(record.arrival_ns)
    for times in published_ns.values():
        times.sort()
    return recoveries(faults, published_ns)


def _fault_line(fault: Fault, started_s: float) -> str:
    length_s = (fault.to_ns - fault.from_ns) / 1e9
    lasted = f", {length_s:.1f} s" if length_s >= 0.1 else ""
    return f"{time.monotonic() - started_s:6.1f} s  {fault.kind}: {fault.target}{lasted}"


def _progress_line(started_s: float, faults: Faults, load: Load, subscribers: Sequence[RecordingSubscriber]) -> str:
    given = ", ".join(f"{len(subscriber.documents)} by {subscriber.name}" for subscriber in subscribers)
    passed_s = time.monotonic() - started_s
    return f"{passed_s:6.1f} s  {len(faults.done)} faults, {load.sent} records sent, results received: {given}"
