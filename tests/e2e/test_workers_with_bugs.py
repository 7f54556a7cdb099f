"""Workers with a deliberate bug fail the chaos checks: two short schedules."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from tests.chaos.comparison import ResultComparison, compare_results
from tests.chaos.experiment import documents_in_topic
from tests.chaos.sent import item_of, read_input_topics
from tests.chaos.truth import Truth, TruthComparison, compare_with_truth, final_windows
from tests.chaos.workers import start_worker
from tests.e2e.programs import Installation, Program, wait_until
from tests.worker.world import Feed
from triptych.schemas.names import INPUT_TOPICS, TOPIC_OF, consumer_group
from triptych.schemas.partition import partition_of
from triptych.transport.records import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from triptych.schemas.records import InputRecord

KILLED: tuple[str | None, ...] = (None, "commit_before_publish", "skip_the_tail")
"""Bugs that appear when a worker is killed, and none for comparison."""
LATE = "take_without_asking"
"""A bug that appears when a log is read whose partitions do not fit into one response of the broker."""
IDLE_MS = {"killed": 60_000, "late": 1_000}
SETTINGS = {
    "TRIPTYCH_WINDOW_SIZE_MS": "1000",
    "TRIPTYCH_WORKER_COMMIT_INTERVAL_MS": "100",
    "TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS": "6000",
}
FAST, SLOW = (
    "fast",
    next(f"slow-{n}" for n in count() if partition_of(f"slow-{n}".encode(), 6) == partition_of(b"fast", 6)),
)
"""On the same partition, so that one stream holds back the commits of the other."""
HALF_WAY_S = 4.5


def large_picture() -> bytes:
    """Return an image of about 250 kB: nine of them exceed a partition's share of one response."""
    noise = np.random.default_rng(7).integers(0, 255, (480, 480, 3), np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


def first_half(fast: Feed, slow: Feed) -> Iterable[InputRecord]:
    """The slow stream only sends progress; the fast one stops in the middle of a window."""
    yield slow.frame(0)
    yield from _played(fast, 0, HALF_WAY_S)


def second_half(fast: Feed, slow: Feed) -> Iterable[InputRecord]:
    """Both streams continue to their ends."""
    yield from _played(fast, HALF_WAY_S, 7)
    yield slow.chunk(0)
    yield from (feed.end(modality, 7) for feed in (fast, slow) for modality in feed.tracks)


def _played(feed: Feed, from_s: float, to_s: float) -> Iterable[InputRecord]:
    picture = large_picture()
    for at_s in np.arange(from_s, to_s, 0.5).tolist():
        yield feed.frame(at_s, picture)
        yield feed.chunk(at_s)
        yield feed.frame(at_s + 0.25, picture)


def is_half_done(here: Installation) -> bool:
    """Return whether all windows of the first half are published, and offsets were committed afterwards."""
    tps = [TopicPartition(topic, partition_of(FAST.encode(), 6)) for topic in INPUT_TOPICS]
    with closing(here.transport()) as transport:
        consumer = transport.group_consumer(INPUT_TOPICS, consumer_group(here.pipeline))
        audio = consumer.committed(tps)[TopicPartition(TOPIC_OF["audio"], tps[0].partition)]
    return here.count_results() >= int(HALF_WAY_S) and audio is not None and audio.offset >= 2 * int(HALF_WAY_S)


def undisturbed(here: Installation, kind: str) -> list[bytes]:
    """Return the results of a worker that is not killed."""
    other = replace(here, settings=SETTINGS | {"TRIPTYCH_ALIGN_IDLE_TIMEOUT_MS": str(IDLE_MS[kind])}).other_pipeline(
        f"{here.pipeline}-{kind}-undisturbed"
    )
    other.run("work", "--until-end").succeeded()
    return documents_in_topic(other)


class Suspects:
    """Workers with and without bugs, each on its own pipeline over the same records."""

    def __init__(self, here: Installation, stack: ExitStack) -> None:
        self._stack = stack
        self._idle = {bug: IDLE_MS["late" if bug == LATE else "killed"] for bug in (*KILLED, LATE)}
        self.pipelines = {bug: here.other_pipeline(f"{here.pipeline}-{bug}") for bug in (*KILLED, LATE)}

    def start(self, bug: str | None, *flags: str) -> Program:
        """Start a worker. As a static member it need not wait for the eviction of its previous instance."""
        own = {"TRIPTYCH_ALIGN_IDLE_TIMEOUT_MS": str(self._idle[bug]), "TRIPTYCH_KAFKA_GROUP_INSTANCE_ID": "one"}
        here = replace(self.pipelines[bug], settings={**self.pipelines[bug].settings, **own})
        program = start_worker(here, "work", *flags, bug=bug)
        self._stack.callback(program.kill)
        return program

    def comparison(self, bug: str | None, expected: Sequence[bytes]) -> ResultComparison:
        """Judge what one of them published."""
        return compare_results("in the results topic", documents_in_topic(self.pipelines[bug]), expected)


@pytest.mark.timeout(300)
def test_each_bug_is_found_and_a_worker_without_one_passes(install: Callable[..., Installation]) -> None:
    """A premature commit loses windows, a missing restore changes results, a missing query makes records late."""
    here = install(**SETTINGS)
    fast, slow = Feed(FAST, tracks=("video", "audio")), Feed(SLOW, tracks=("video", "audio"))
    with ExitStack() as stack:
        suspects = Suspects(here, stack)
        first = {bug: suspects.start(bug) for bug in KILLED}
        for worker in first.values():
            worker.wait_for("partitions_assigned")
        here.send(first_half(fast, slow), one_by_one=True)
        for bug, worker in first.items():
            wait_until(lambda bug=bug: is_half_done(suspects.pipelines[bug]), f"{bug} to be half way", limit_s=180)
            worker.kill()
        here.send(second_half(fast, slow), one_by_one=True)
        again = [suspects.start(bug, "--until-end") for bug in (*KILLED, LATE)]
        for worker in again:
            worker.wait().succeeded()
        expected = {kind: undisturbed(here, kind) for kind in IDLE_MS}

        healthy, early, amnesiac = (suspects.comparison(bug, expected["killed"]) for bug in KILLED)
        hasty = suspects.comparison(LATE, expected["late"])
    assert healthy.is_correct
    assert healthy.windows >= 7
    assert healthy.duplicated == []
    assert early.lost or early.differing
    assert amnesiac.differing
    assert hasty.lost or hasty.differing


AWAY_S = 5.0
AWAY_SETTINGS = {
    **SETTINGS,
    "TRIPTYCH_ALIGN_IDLE_TIMEOUT_MS": "4000",
    "TRIPTYCH_ALIGN_PAUSE_MS": "1000",
}
"""The stream is silent for longer than the idle timeout; afterwards a track has three seconds to catch up."""


def _of(records: Iterable[InputRecord], modality: str) -> list[InputRecord]:
    return [record for record in records if record.modality == modality]


def _true_to_what_was_sent(here: Installation, records: Sequence[InputRecord], bug: str | None) -> TruthComparison:
    """Return what a worker with this bug makes of the log, compared with what was sent."""
    own = here.other_pipeline(f"{here.pipeline}-{bug}")
    worker = start_worker(own, "work", "--until-end", bug=bug)
    try:
        worker.wait().succeeded()
    finally:
        worker.kill()
    items = [item for item in map(item_of, records) if item is not None]
    windows = final_windows(documents_in_topic(own))
    return compare_with_truth(Truth(items), windows, read_input_topics(here).items, size_ns=10**9)


@pytest.mark.timeout(300)
def test_the_old_idle_rule_makes_hollow_windows(install: Callable[..., Installation]) -> None:
    """After an outage of a stream, the backlog of one topic comes first. A replay cannot show that sound is missing."""
    here = install(**AWAY_SETTINGS)
    feed = Feed("away", tracks=("video", "audio"))
    before, kept = list(_played(feed, 0, HALF_WAY_S)), list(_played(feed, HALF_WAY_S, 9))
    here.send(before, one_by_one=True)
    time.sleep(AWAY_S)  # the log gets the time of the broker
    here.send(_of(kept, "video"), one_by_one=True)
    here.send([*_of(kept, "audio"), *(feed.end(modality, 9) for modality in feed.tracks)], one_by_one=True)

    healthy = _true_to_what_was_sent(here, [*before, *kept], None)
    assert (healthy.is_true, healthy.windows) == (True, 9), healthy
    old = _true_to_what_was_sent(here, [*before, *kept], "idle_by_arrival")
    assert old.count("hollow") >= 4
    assert old.count("lost") == old.count("wrong") == 0
