"""Workers join and leave while streams play: each window once, equal to an undisturbed run, with short pauses.

Afterwards another pipeline, with one undisturbed worker, processes the same records.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from tests.e2e.films import write_film
from tests.e2e.programs import Installation, Program, assert_equal_results, wait_until
from triptych.schemas.names import consumer_group

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.schemas.results import Result

Install = Callable[..., Installation]
START = "2026-01-01T00:00:00Z"
STREAMS = 12
PARTITIONS = frozenset(range(6))
SESSION_MS = 6_000
SETTINGS = {
    "TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS": str(SESSION_MS),
    "TRIPTYCH_WINDOW_SIZE_MS": "500",
    "TRIPTYCH_WORKER_COMMIT_INTERVAL_MS": "200",
}
CHANGES = ("partitions_assigned", "partitions_revoked", "partitions_lost", "restored", "partitions_handed_over")

_log = logging.getLogger(__name__)


@contextmanager
def playing(here: Installation, folder: Path) -> Iterator[Program]:
    """Play twelve streams in real time, in a loop."""
    films = [
        str(write_film(folder / f"feed{number:02}.mkv", seconds=8, tone_hz=300 + 40 * number))
        for number in range(STREAMS)
    ]
    with here.running("produce", *films, "--realtime", "--loop", "0", "--start-at", START) as producer:
        yield producer


def owned(worker: Program) -> frozenset[int]:
    """Return the partitions that a worker owns, according to its log."""
    has: frozenset[int] = frozenset()
    for line in changes(worker):
        numbers = frozenset(line.get("numbers", ()))
        match line["event"]:
            case "partitions_assigned":
                has |= numbers
            case "partitions_revoked" | "partitions_lost":
                has -= numbers
    return has if worker.is_running else frozenset()


def changes(worker: Program) -> list[dict[str, object]]:
    """Return a worker's events about partitions, in order."""
    return sorted((line for name in CHANGES for line in worker.events(name)), key=lambda line: str(line["timestamp"]))


def moves(worker: Program) -> list[dict[str, object]]:
    """Return a worker's events about assigned and revoked partitions, without those about restoring."""
    return [line for line in changes(worker) if line["event"] != "restored"]


def are_shared(workers: list[Program]) -> bool:
    """Return whether these workers share all partitions evenly, each partition once."""
    shares = [owned(worker) for worker in workers]
    return (
        frozenset().union(*shares) == PARTITIONS
        and sum(map(len, shares)) == len(PARTITIONS)
        and max(map(len, shares)) - min(map(len, shares)) <= 1
    )


def assert_numbers_stay_together(here: Installation) -> None:
    """Check that one worker owns the three partitions of each number, according to the broker."""
    holders: dict[int, set[str]] = {}
    for member, partitions in here.assignments(consumer_group(here.pipeline)).items():
        for tp in partitions:
            holders.setdefault(tp.partition, set()).add(member)
    assert holders.keys() == PARTITIONS
    assert {number: members for number, members in holders.items() if len(members) != 1} == {}


def settle(here: Installation, workers: list[Program]) -> None:
    """Wait until the workers share the partitions and publish again."""
    wait_until(lambda: are_shared(workers), f"{len(workers)} workers to share the partitions")
    assert_numbers_stay_together(here)
    before = here.count_results()
    wait_until(lambda: here.count_results() > before + STREAMS, "results after a rebalance")


def pause_s(workers: list[Program], since: str) -> float:
    """Return the longest time without an owner in the rebalances since a time, according to the logs."""
    lines = [line for worker in workers for line in changes(worker) if str(line["timestamp"]) > since]
    gone = [log_time_s(line) for line in lines if line["event"] == "partitions_revoked"]
    back = [log_time_s(line) for line in lines if line["event"] in {"partitions_assigned", "restored"}]
    return max(back) - min(gone) if gone and back else 0.0


def log_time_s(line: dict[str, object]) -> float:
    """Return when a line was logged."""
    return datetime.fromisoformat(str(line["timestamp"])).timestamp()


def now(workers: list[Program]) -> str:
    """Return the time of the last change so far."""
    return max((str(line["timestamp"]) for worker in workers for line in changes(worker)), default="")


def assert_equal_to_undisturbed(here: Installation, *, frozen_ns: int = 0) -> int:
    """Compare topic and store with the results of a single worker; return the number of windows.

    A worker may have built results before it was frozen that its client only sends when it is resumed: others have
    published these by then (docs/delivery.md).
    """
    undisturbed = here.other_pipeline(f"{here.pipeline}-undisturbed")
    undisturbed.run("work", "--until-end").succeeded()
    expected = undisturbed.in_topic()
    assert len({result.stream for result in expected}) == STREAMS
    assert_equal_results(without_buffered_copies(here.in_topic(), frozen_ns), expected)
    assert_equal_results(here.in_redis(), expected)
    return len(expected)


def without_buffered_copies(results: Sequence[Result], frozen_ns: int) -> list[Result]:
    """Return results without those built by `frozen_ns` of which there is another copy, built after that."""
    built_later = {result.id for result in results if result.published_ns > frozen_ns}
    return [result for result in results if result.published_ns > frozen_ns or result.id not in built_later]


@pytest.mark.timeout(400)
def test_changing_numbers_of_workers_have_the_results_of_an_undisturbed_one(install: Install, tmp_path: Path) -> None:
    """Two join, one is killed, one is stopped, while twelve streams play. No loss, no duplicates."""
    here = install(**SETTINGS)
    pauses: dict[str, float] = {}
    with ExitStack() as stack:
        producer = stack.enter_context(playing(here, tmp_path))
        workers = [stack.enter_context(here.running("work"))]
        settle(here, workers)
        for name in ("second joins", "third joins"):
            since = now(workers)
            workers.append(stack.enter_context(here.running("work")))
            settle(here, workers)
            pauses[name] = pause_s(workers, since)
        since = now(workers)
        workers[0].kill()
        settle(here, workers[1:])
        pauses[f"first is killed, seen after {SESSION_MS / 1000:g} s"] = pause_s(workers[1:], since)
        since = now(workers[1:])
        stopped = workers[1].stop().succeeded()
        settle(here, workers[2:])
        pauses["second is told to stop"] = pause_s(workers[2:], since)
        producer.stop().succeeded()
        workers[2].stop().succeeded()
    here.run("work", "--until-end").succeeded()

    windows = assert_equal_to_undisturbed(here)
    handed = [line for worker in workers for line in worker.events("partitions_handed_over")]
    took = sorted(float(line["took_ms"]) for line in handed)
    said = "; ".join(f"{name}: {pause:.2f} s" for name, pause in pauses.items())
    _log.info("%d windows; rebalance pauses: %s; hand-overs took %s ms", windows, said, took)
    assert stopped.events("stopped")
    assert handed
    assert [line for line in handed if line["left"]] == []
    assert [line for worker in workers for line in worker.events("partitions_lost")] == []


def test_a_static_worker_comes_back_without_a_rebalance_and_a_dynamic_one_is_refused(
    install: Install, tmp_path: Path
) -> None:
    """The other worker keeps its partitions. A dynamic worker ends with one line that says what to do."""
    here = install(**{**SETTINGS, "TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS": "30000"})
    with ExitStack() as stack:
        producer = stack.enter_context(playing(here, tmp_path))
        first = stack.enter_context(here.running("work", TRIPTYCH_KAFKA_GROUP_INSTANCE_ID="a"))
        settle(here, [first])
        second = stack.enter_context(here.running("work", TRIPTYCH_KAFKA_GROUP_INSTANCE_ID="b"))
        settle(here, [first, second])
        kept, had = moves(first), owned(second)

        refused = here.run("work")
        second.stop().succeeded()
        again = stack.enter_context(here.running("work", TRIPTYCH_KAFKA_GROUP_INSTANCE_ID="b"))
        wait_until(lambda: owned(again) == had, "the same partitions again")
        settle(here, [first, again])

        assert moves(first) == kept
        assert refused.exit_code == 2
        assert "found a, b" in refused.err
        assert "Traceback" not in refused.err
        producer.stop().succeeded()
        for worker in (first, again):
            worker.stop().succeeded()
    here.run("work", "--until-end", TRIPTYCH_KAFKA_GROUP_INSTANCE_ID="a", TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS="6000")

    assert_equal_to_undisturbed(here)


def test_a_frozen_worker_publishes_nothing_for_lost_partitions(install: Install, tmp_path: Path) -> None:
    """Others take its partitions. When resumed, it notices the loss before it publishes, and gets a new share."""
    here = install(**SETTINGS)
    with ExitStack() as stack:
        producer = stack.enter_context(playing(here, tmp_path))
        frozen, other = (stack.enter_context(here.running("work")) for _ in range(2))
        settle(here, [frozen, other])
        # Right after a burst of results: what the client has buffered is sent as soon as it is resumed.
        before = here.count_results()
        wait_until(lambda: here.count_results() > before, "a result")
        frozen.freeze()
        frozen_ns = time.time_ns()
        wait_until(lambda: owned(other) == PARTITIONS, "the other one to take over")
        before = here.count_results()
        wait_until(lambda: here.count_results() > before + STREAMS, "results of the other one")

        frozen.thaw()
        frozen.wait_for("partitions_lost")
        settle(here, [frozen, other])
        producer.stop().succeeded()
        for worker in (frozen, other):
            worker.stop().succeeded()
    here.run("work", "--until-end").succeeded()

    assert_equal_to_undisturbed(here, frozen_ns=frozen_ns)
    assert other.events("partitions_lost") == []


@pytest.mark.timeout(300)
def test_of_two_workers_with_one_instance_id_the_newer_continues(install: Install) -> None:
    """The older one ends with the reason within a heartbeat, also while it is idle."""
    here = install(**SETTINGS, TRIPTYCH_KAFKA_GROUP_INSTANCE_ID="twin")
    with here.running("work") as older:
        wait_until(lambda: owned(older) == PARTITIONS, "all partitions")
        with here.running("work") as newer:
            ended = older.wait()
            wait_until(lambda: owned(newer) == PARTITIONS, "all partitions once more")

            assert ended.exit_code == 2
            assert "Traceback" not in ended.err
            last = ended.err.strip().splitlines()[-1]
            assert last.startswith("triptych: ")
            assert "another worker uses this kafka.group_instance_id" in last
            newer.stop().succeeded()
