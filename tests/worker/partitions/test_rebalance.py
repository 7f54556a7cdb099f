"""Rebalances between workers in memory: nothing is lost or published twice, and slow work delays no other worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from tests.worker.world import Feed, World
from triptych.models.null import NullModel
from triptych.models.prediction import WindowPrediction
from triptych.models.window import PreparedWindow
from triptych.schemas.results import Result
from triptych.settings.loading import load
from triptych.transport.memory.group_consumer import MemoryGroupConsumer
from triptych.worker.observability.events import (
    CommitRefused,
    PartitionRestored,
    PartitionsAssigned,
    PartitionsHandedOver,
    PartitionsRevoked,
)
from triptych.worker.pipeline import Pipeline

MakeFeed = Callable[..., Feed]
VARYING = {"published_ns", "arrival_ms", "stage_ms"}
STREAMS = ("city", "port", "hall", "yard", "road", "lake", "dome", "pier")
LIMIT_S = 60.0
SECONDS = 12


def contents(results: Sequence[Result]) -> list[dict[str, object]]:
    """Return the contents of results, without the fields that differ from run to run."""
    return sorted((result.model_dump(exclude=VARYING) for result in results), key=lambda document: str(document["id"]))


def step_until(pipelines: Sequence[Pipeline], holds: Callable[[], bool]) -> None:
    """Run iterations of all loops, one after the other, until the condition holds."""
    deadline_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline_s, "the condition never held"
        for pipeline in pipelines:
            pipeline.step()


@pytest.mark.parametrize("steps", [1, 2, 5, 13])
def test_workers_that_join_and_leave_publish_the_results_of_an_undisturbed_one(
    world: World, feed: MakeFeed, steps: int
) -> None:
    """With one, two, three, then one worker: every window once, with equal contents, and no rejected commit."""
    feeds = [feed(name) for name in STREAMS]
    parts = [list(feed.play(SECONDS)) for feed in feeds]
    third = max(map(len, parts)) // 3

    def send(first: int, last: int | None) -> None:
        for records in parts:
            world.send(records[first:last])

    with ExitStack() as first, ExitStack() as others:
        send(0, third)
        pipelines = [first.enter_context(world.open())]
        for _ in range(2):
            pipelines.append(others.enter_context(world.open()))
            for _ in range(steps):
                for pipeline in pipelines:
                    pipeline.step()
        send(third, 2 * third)
        step_until(
            pipelines, lambda: [len(event.numbers) for event in world.seen(PartitionsAssigned)[-3:]] == [2, 2, 2]
        )
        stopped = threading.Event()
        stopped.set()
        for pipeline in pipelines[1:]:
            pipeline.run(stopped)
        others.close()
        send(2 * third, None)
        pipelines[0].run(threading.Event(), until_end=lambda: True)

    results = world.results()
    assert sum(len(world.store.results(name)) for name in STREAMS) == len(results)
    assert len(results) == len({result.id for result in results})
    world.settings = world.settings.model_copy(update={"pipeline": "undisturbed"})
    world.work()
    assert contents(results) == contents(world.results())
    assert world.seen(CommitRefused) == []
    assert [event for event in world.seen(PartitionsHandedOver) if event.left] == []


class _BlockedModel(NullModel):
    """Blocks until the test releases it, and reports that it was called."""

    called = threading.Event()
    released = threading.Event()

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        self.called.set()
        assert self.released.wait(LIMIT_S)
        return super().predict(windows)


@pytest.fixture
def blocked(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_BlockedModel]]:
    """Return the class of a model that blocks until the test releases it."""
    _BlockedModel.called.clear()
    _BlockedModel.released.clear()
    monkeypatch.setattr("triptych.worker.wiring.model_from", lambda _: _BlockedModel(world.spec))
    yield _BlockedModel
    _BlockedModel.released.set()


def test_a_rebalance_waits_for_results_in_flight(world: World, feed: MakeFeed, blocked: type[_BlockedModel]) -> None:
    """The partitions move only after their results are published and committed."""
    world.send(feed("city").play(4))
    with world.open() as first, ExitStack() as others:
        step_until([first], lambda: blocked.called.is_set() and len(world.seen(PartitionRestored)) == 6)
        second = others.enter_context(world.open())
        for _ in range(10):
            first.step()
            second.step()
        assert world.seen(PartitionsRevoked) == []
        assert world.results() == []

        blocked.released.set()
        step_until([first, second], lambda: bool(world.seen(PartitionsRevoked)))

        (revocation,) = world.seen(PartitionsHandedOver)
        assert (revocation.left, len(revocation.numbers)) == (0, 6)
        assert len(world.results()) == 2
        step_until([first, second], lambda: len(world.seen(PartitionsRevoked)) > 0)
    world.work()
    assert len({result.id for result in world.results()}) == len(world.results()) == 2


def test_results_that_take_longer_than_the_limit_are_left_to_the_next_owner(
    world: World, feed: MakeFeed, blocked: type[_BlockedModel]
) -> None:
    """The next owner publishes them, and the former owner does not."""
    world.settings = load(
        overrides={"model.name": "null", "batch.max_delay_ms": 0, "kafka.hand_over_limit_ms": 50}, environ={}
    )
    world.send(feed("city").play(4))
    with world.open() as first, ExitStack() as others:
        step_until([first], blocked.called.is_set)
        second = others.enter_context(world.open())
        step_until([first, second], lambda: bool(world.seen(PartitionsRevoked)))
        (revocation,) = world.seen(PartitionsHandedOver)
        assert revocation.left > 0
        assert world.results() == []

        blocked.released.set()
        step_until([first, second], lambda: len(world.results()) == 2)

    world.work()
    assert len({result.id for result in world.results()}) == len(world.results()) == 2


def test_nothing_of_lost_partitions_is_published_or_committed(
    world: World, feed: MakeFeed, blocked: type[_BlockedModel]
) -> None:
    """A removed member leaves everything to the next owner, even windows that its model has just processed."""
    world.send(feed("city").play(4))
    with world.open() as first:
        step_until([first], blocked.called.is_set)
        world.evict_members()
        first.step()
        (revoked,) = world.seen(PartitionsRevoked)
        assert revoked.lost

        blocked.released.set()
        step_until([first], lambda: len(world.results()) == 2)

    assert len({result.id for result in world.results()}) == 2
    assert world.seen(CommitRefused) == []


def test_a_suspended_worker_publishes_nothing_before_the_group_confirms_it(
    world: World, feed: MakeFeed, blocked: type[_BlockedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was removed and does not know it yet. Its results wait, and are then left to the next owner."""
    checks = threading.Semaphore(0)
    confirmed = MemoryGroupConsumer.is_confirmed

    def counted(consumer: MemoryGroupConsumer) -> bool:
        answer = confirmed(consumer)
        checks.release()
        return answer

    monkeypatch.setattr(MemoryGroupConsumer, "is_confirmed", counted)
    world.send(feed("city").play(4))
    with world.open() as first:
        step_until([first], blocked.called.is_set)
        world.evict_members()
        blocked.released.set()
        assert all(checks.acquire(timeout=LIMIT_S) for _ in range(3))
        assert world.results() == []
        assert not world.store.results("city")

        step_until([first], lambda: len(world.results()) == 2)

    assert len({result.id for result in world.results()}) == 2
    assert [event.lost for event in world.seen(PartitionsRevoked)] == [True]
