"""Partitions that move between workers: nothing is lost, nothing twice, and slow work holds nobody up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from tests.worker.world import Feed, World
from triptych.models.null import NullModel
from triptych.models.prediction import WindowPrediction
from triptych.models.window import PreparedWindow
from triptych.schemas.results import Result
from triptych.settings.loading import load
from triptych.transport.memory.reader import MemoryGroupConsumer
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
PATIENCE = 20_000
SECONDS = 12


def told(results: Sequence[Result]) -> list[dict[str, object]]:
    """Return what results say, without what differs from run to run."""
    return sorted((result.model_dump(exclude=VARYING) for result in results), key=lambda document: str(document["id"]))


def turn_until(pipelines: Sequence[Pipeline], true: Callable[[], bool]) -> None:
    """Turn all wheels, one after the other, until the condition holds."""
    for _ in range(PATIENCE):
        if true():
            return
        for pipeline in pipelines:
            pipeline.step()
    pytest.fail("it never came")


@pytest.mark.parametrize("turns", [1, 2, 5, 13])
def test_workers_that_come_and_go_leave_the_undisturbed_results(world: World, feed: MakeFeed, turns: int) -> None:
    """One, two, three, one: every window once, equal to the undisturbed run, and no commit refused."""
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
            for _ in range(turns):
                for pipeline in pipelines:
                    pipeline.step()
        send(third, 2 * third)
        turn_until(
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
    assert told(results) == told(world.results())
    assert world.seen(CommitRefused) == []
    assert [event for event in world.seen(PartitionsHandedOver) if event.left] == []


class _Slow(NullModel):
    """Answers when it is let, and tells that it was asked."""

    asked = threading.Event()
    let = threading.Event()

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        self.asked.set()
        assert self.let.wait(30)
        return super().predict(windows)


@pytest.fixture
def slow(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Slow]]:
    """A model that the test holds up."""
    _Slow.asked.clear()
    _Slow.let.clear()
    monkeypatch.setattr("triptych.worker.wiring.model_from", lambda _: _Slow(world.spec))
    yield _Slow
    _Slow.let.set()


def test_a_rebalance_waits_for_what_is_in_flight(world: World, feed: MakeFeed, slow: type[_Slow]) -> None:
    """The partition does not move before its results are published and committed."""
    world.send(feed("city").play(4))
    with world.open() as first, ExitStack() as others:
        turn_until([first], lambda: slow.asked.is_set() and len(world.seen(PartitionRestored)) == 6)
        second = others.enter_context(world.open())
        for _ in range(10):
            first.step()
            second.step()
        assert world.seen(PartitionsRevoked) == []
        assert world.results() == []

        slow.let.set()
        turn_until([first, second], lambda: bool(world.seen(PartitionsRevoked)))

        (handed,) = world.seen(PartitionsHandedOver)
        assert (handed.left, len(handed.numbers)) == (0, 6)
        assert len(world.results()) == 2
        turn_until([first, second], lambda: len(world.seen(PartitionsRevoked)) > 0)
    world.work()
    assert len({result.id for result in world.results()}) == len(world.results()) == 2


def test_what_takes_longer_than_the_limit_is_left_to_the_next_owner(
    world: World, feed: MakeFeed, slow: type[_Slow]
) -> None:
    """It is published by that one, and not by the one that let go."""
    world.settings = load(
        overrides={"model.name": "null", "batch.max_delay_ms": 0, "kafka.hand_over_limit_ms": 50}, environ={}
    )
    world.send(feed("city").play(4))
    with world.open() as first, ExitStack() as others:
        turn_until([first], slow.asked.is_set)
        second = others.enter_context(world.open())
        turn_until([first, second], lambda: bool(world.seen(PartitionsRevoked)))
        (handed,) = world.seen(PartitionsHandedOver)
        assert handed.left > 0
        assert world.results() == []

        slow.let.set()
        turn_until([first, second], lambda: len(world.results()) == 2)

    world.work()
    assert len({result.id for result in world.results()}) == len(world.results()) == 2


def test_of_lost_partitions_nothing_is_published_or_committed(world: World, feed: MakeFeed, slow: type[_Slow]) -> None:
    """Whoever was thrown out leaves everything to the next owner, even what its model has just answered."""
    world.send(feed("city").play(4))
    with world.open() as first:
        turn_until([first], slow.asked.is_set)
        world.throw_out_members()
        first.step()
        (revoked,) = world.seen(PartitionsRevoked)
        assert revoked.lost

        slow.let.set()
        turn_until([first], lambda: len(world.results()) == 2)

    assert len({result.id for result in world.results()}) == 2
    assert world.seen(CommitRefused) == []


def test_a_worker_that_stood_still_publishes_nothing_before_the_group_has_answered_it(
    world: World, feed: MakeFeed, slow: type[_Slow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was thrown out and cannot know it yet: what its model answers waits, and is then the next owner's."""
    asked = threading.Semaphore(0)
    confirmed = MemoryGroupConsumer.is_confirmed

    def counted(consumer: MemoryGroupConsumer) -> bool:
        answer = confirmed(consumer)
        asked.release()
        return answer

    monkeypatch.setattr(MemoryGroupConsumer, "is_confirmed", counted)
    world.send(feed("city").play(4))
    with world.open() as first:
        turn_until([first], slow.asked.is_set)
        world.throw_out_members()
        slow.let.set()
        assert all(asked.acquire(timeout=10) for _ in range(3))
        assert world.results() == []
        assert not world.store.results("city")

        turn_until([first], lambda: len(world.results()) == 2)

    assert len({result.id for result in world.results()}) == 2
    assert [event.lost for event in world.seen(PartitionsRevoked)] == [True]
