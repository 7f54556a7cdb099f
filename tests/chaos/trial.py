"""One chaos run: load and workers among faults, then peace, then the same records once more, undisturbed."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from tests.chaos.crew import Crew, Fall
from tests.chaos.faults import Faults, Scene
from tests.chaos.judgement import Fault, Recovery, Verdict, judge, recoveries
from tests.chaos.listening import Listener
from tests.chaos.load import STEADY, Load
from tests.chaos.stage import SESSION_S, open_stage
from tests.e2e.programs import Finished, Installation
from triptych.consumers.subscription.subscriber import Subscriber
from triptych.schemas.dead_codec import decode_dead, is_mark
from triptych.schemas.names import dead_topic, redis_results_key, results_topic

AT_LEAST_ONCE: Final = "at_least_once"
EXACTLY_ONCE: Final = "exactly_once"
DELIVERIES: Final = (AT_LEAST_ONCE, EXACTLY_ONCE)
SETTINGS: Final = {
    "TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS": str(round(SESSION_S * 1_000)),
    "TRIPTYCH_WINDOW_SIZE_MS": "1000",
    "TRIPTYCH_ALIGN_IDLE_TIMEOUT_MS": "3000",  # shorter than many a fault: who is idle must not depend on faults
    "TRIPTYCH_ALIGN_STREAM_TTL_MS": "120000",
    "TRIPTYCH_WORKER_COMMIT_INTERVAL_MS": "200",
    "TRIPTYCH_REDIS_RESULTS_MAXLEN": "1000000",
    "OMP_NUM_THREADS": "1",
}
CALM_S: Final = 5.0
"""How long the load goes on before the first fault and after the last one."""
TOLD_EVERY_S: Final = 10.0
CATCHING_UP_LIMIT_S: Final = 120.0
READING_LIMIT_S: Final = 300.0
"""For the undisturbed worker, and as long again as the run took: it shares the machine with those that catch up."""

Tell = Callable[[str], None]
Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a run should be."""

    minutes: float
    seed: int
    delivery: str = AT_LEAST_ONCE
    bug: str | None = None
    pause: float = 1.0


@dataclass(frozen=True, slots=True)
class Letters:
    """Dead letters by the places of their records: those of an undisturbed run, those found, those found twice."""

    sent: int
    expected: frozenset[Place]
    found: frozenset[Place]
    repeated: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left."""

    wishes: Wishes
    length_s: float
    records: int
    faults: Sequence[Fault]
    expected: int
    verdicts: Sequence[Verdict]
    letters: Letters
    recoveries: Sequence[Recovery]
    peak_bytes: int
    falls: Sequence[Fall]
    ended: Sequence[Finished]
    errors: Sequence[BaseException]


def run(folder: Path, wishes: Wishes, tell: Tell) -> Outcome:
    """Run it; `tell` is given lines that show how far it is."""
    with ExitStack() as stack:
        tell(f"seed {wishes.seed}, {wishes.delivery}: starting three brokers, Redis and two workers")
        stage = stack.enter_context(open_stage(folder, SETTINGS))
        here = stage.installation
        flags = () if wishes.delivery == AT_LEAST_ONCE else ("--delivery", wishes.delivery)
        crew = stack.enter_context(Crew(here, "work", *flags, bug=wishes.bug))
        listeners = _listeners(here)
        load = Load(here, wishes.seed)
        for one in (*listeners, load):
            one.start()
        began_s = time.monotonic()
        scene = Scene(stage, crew, load)
        faults = Faults(scene, wishes.seed, lambda fault: tell(_told(fault, began_s)), pause=wishes.pause)
        time.sleep(CALM_S)
        faults.start()
        _wait(wishes.minutes * 60, faults, lambda: tell(_progress(began_s, faults, load, listeners)))
        tell("no more faults; waiting until all is whole again")
        faults.finish()
        stage.wait_until_in_sync()
        time.sleep(CALM_S)
        load.finish()
        tell("all records are sent; an undisturbed worker reads them again")
        undisturbed = stage.undisturbed.other_pipeline(f"{here.pipeline}-undisturbed")
        undisturbed.run("work", "--until-end", limit_s=READING_LIMIT_S + load.length_s).succeeded()
        expected = documents_in_topic(undisturbed)
        tell(f"{len(expected)} windows are expected; waiting for the workers to publish all of them")
        _wait_for_all(listeners, expected)
        ended = crew.stop()
        for listener in listeners:
            listener.finish()
        plain = stage.undisturbed
        verdicts = [
            judge("in the results topic", documents_in_topic(plain), expected),
            judge("in Redis", documents_in_redis(plain), expected),
            *(judge(f"given to a subscriber of {one.name}", one.documents, expected) for one in listeners),
        ]
        return Outcome(
            wishes,
            load.length_s,
            load.sent,
            faults.done,
            len(set(map(_id, expected))),
            verdicts,
            _letters(load, plain, undisturbed),
            _recoveries(faults.done, plain),
            crew.peak_bytes,
            crew.falls,
            ended,
            faults.errors,
        )


def documents_in_topic(here: Installation) -> list[bytes]:
    """Return every result of the topic as JSON, repeats included."""
    return [record.value for record in here.records(results_topic(here.pipeline))]


def documents_in_redis(here: Installation) -> list[bytes]:
    """Return every result of the Redis streams as JSON, repeats included."""
    with redis.Redis.from_url(here.redis_url) as client:
        keys = sorted(client.scan_iter(match=redis_results_key(here.pipeline, "*"), count=1000))
        return [fields[b"result"] for key in keys for _, fields in client.xrange(key)]


def letter_places(here: Installation) -> list[Place]:
    """Return where the records of the dead letters lie, repeats included."""
    records = [record for record in here.records(dead_topic(here.pipeline)) if not is_mark(record.headers)]
    letters = [decode_dead(record.key, record.value, record.headers) for record in records]
    return [(letter.topic, letter.partition, letter.offset) for letter in letters]


def _listeners(here: Installation) -> list[Listener]:
    return [
        Listener("Kafka", lambda: Subscriber.from_kafka(here.bootstrap_servers, pipeline=here.pipeline)),
        Listener("Redis", lambda: Subscriber.from_redis(here.redis_url, pipeline=here.pipeline)),
    ]


def _wait(length_s: float, faults: Faults, show: Callable[[], None]) -> None:
    """Return when the time is over, or a fault could not be done or undone."""
    deadline_s, show_at_s = time.monotonic() + length_s, time.monotonic() + TOLD_EVERY_S
    while time.monotonic() < deadline_s and not faults.errors:
        time.sleep(0.1)
        if time.monotonic() >= show_at_s:
            show_at_s += TOLD_EVERY_S
            show()


def _wait_for_all(listeners: Sequence[Listener], expected: Sequence[bytes]) -> None:
    """Return when the listeners have everything; what they lack at the limit is lost."""
    wanted = set(map(_id, expected))
    deadline_s = time.monotonic() + CATCHING_UP_LIMIT_S
    while time.monotonic() < deadline_s:
        if all(wanted <= set(map(_id, tuple(listener.documents))) for listener in listeners):
            return
        time.sleep(1)


def _id(document: bytes) -> str:
    return str(json.loads(document)["id"])


def _letters(load: Load, here: Installation, undisturbed: Installation) -> Letters:
    found = Counter(letter_places(here))
    expected = load.places_seen_at_once() | set(letter_places(undisturbed))
    return Letters(
        load.poisoned.total(), frozenset(expected), frozenset(found), sum(count - 1 for count in found.values())
    )


def _recoveries(faults: Sequence[Fault], here: Installation) -> list[Recovery]:
    published_ns: dict[str, list[int]] = {stream: [] for stream in STEADY}
    for record in here.records(results_topic(here.pipeline)):
        stream = (record.key or b"").decode()
        if stream in published_ns:
            published_ns[stream].append(record.arrival_ns)
    for times in published_ns.values():
        times.sort()
    return recoveries(faults, published_ns)


def _told(fault: Fault, began_s: float) -> str:
    length_s = (fault.to_ns - fault.from_ns) / 1e9
    lasted = f", {length_s:.1f} s" if length_s >= 0.1 else ""
    return f"{time.monotonic() - began_s:6.1f} s  {fault.kind}: {fault.target}{lasted}"


def _progress(began_s: float, faults: Faults, load: Load, listeners: Sequence[Listener]) -> str:
    given = ", ".join(f"{len(listener.documents)} by {listener.name}" for listener in listeners)
    passed_s = time.monotonic() - began_s
    return f"{passed_s:6.1f} s  {len(faults.done)} faults, {load.sent} records sent, results given: {given}"
