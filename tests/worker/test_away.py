"""Servers that are away, full or slow: what is in flight stays bounded, reading stops, and all goes on by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from tests.worker.world import Feed, World
from triptych.service.health import Health
from triptych.settings.loading import load
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.memory.group_consumer import MemoryGroupConsumer
from triptych.transport.protocols import Publisher, Transport
from triptych.transport.records import Delivered, Message
from triptych.worker import wiring
from triptych.worker.observability.events import RecordsRead, RetryScheduled
from triptych.worker.observability.readiness import ReadinessHook
from triptych.worker.partitions.restore import RestorePlan, Tail
from triptych.worker.pipeline import Pipeline
from triptych.worker.publishing import publisher as publication
from triptych.worker.publishing.stores.errors import StoreUnavailableError
from triptych.worker.publishing.stores.memory import MemoryStore
from triptych.worker.publishing.stores.protocol import StoredResult
from triptych.worker.wiring import Dependencies, open_pipeline

MIB = 1 << 20
SECONDS = 60
FULL = "OOM command not allowed when used memory > 'maxmemory'."
SETTINGS = {
    "model.name": "null",
    "batch.max_delay_ms": 0,
    "batch.max_windows": 1,
    "align.partition_max_bytes": MIB,
    "align.stream_max_bytes": 64 * MIB,
}
MOST_IN_FLIGHT = 4
PATIENCE_S = 30.0
STILL_TURNS = 20


class Gate:
    """Whether a server does what it is asked."""

    def __init__(self) -> None:
        self.open = False


class FullStore(MemoryStore):
    """Has no room while its gate is shut."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    def write(self, batch: Sequence[StoredResult]) -> tuple[bool, ...]:
        """Write where there is room."""
        if not self._gate.open:
            raise StoreUnavailableError(f"Redis did not take the results: {FULL}")
        return super().write(batch)


class SlowStore(MemoryStore):
    """Takes its time."""

    def write(self, batch: Sequence[StoredResult]) -> tuple[bool, ...]:
        """Write after a while."""
        time.sleep(0.02)
        return super().write(batch)


class AwayPublisher:
    """Reaches no broker while its gate is shut."""

    def __init__(self, inner: Publisher, gate: Gate) -> None:
        self._inner = inner
        self._gate = gate

    def send(self, message: Message) -> Future[Delivered]:
        """Send where there is somebody."""
        if not self._gate.open:
            raise BrokerUnavailableError("no broker answered")
        return self._inner.send(message)

    def flush(self, timeout_s: float) -> None:
        """Flush."""
        self._inner.flush(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Close."""
        self._inner.close(timeout_s)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pauses between attempts be short."""
    monkeypatch.setattr(publication, "_FIRST_DELAY_S", 0.001)
    monkeypatch.setattr(publication, "_LONGEST_DELAY_S", 0.01)


@pytest.fixture
def backlog(world: World) -> World:
    """A log of some twenty times what a worker may hold."""
    picture = large_picture()
    feed = Feed("city", tracks=("video",))
    world.send([*(feed.frame(at / 4, picture) for at in range(4 * SECONDS)), feed.end("video", SECONDS)])
    world.settings = load(overrides=SETTINGS, environ={})
    return world


def large_picture() -> bytes:
    """Return a picture of some 90 kB."""
    import cv2

    noise = np.random.default_rng(7).integers(0, 255, (320, 240, 3), np.uint8)
    return bytes(cv2.imencode(".jpg", noise)[1].tobytes())


@contextmanager
def working(world: World, store: MemoryStore, health: Health) -> Iterator[Pipeline]:
    """Open a worker whose readiness follows its retries."""
    with ExitStack() as stack:
        around = Dependencies(world.transport, store, [ReadinessHook(health), world.events.append], health)
        yield stack.enter_context(open_pipeline(world.settings, around))


def turn_until(pipeline: Pipeline, true: Callable[[], bool]) -> None:
    """Turn the wheel until the condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        pipeline.step()


def read_bytes(world: World) -> int:
    """Return how much was read so far."""
    return sum(event.bytes for event in world.seen(RecordsRead))


def assert_stands_still_within_its_bounds(world: World, pipeline: Pipeline) -> None:
    """Nothing more is read, little is held, and not much is on its way."""
    turn_until(pipeline, lambda: bool(pipeline._paused))  # noqa: SLF001 - what is paused shows nowhere else
    before = read_bytes(world)
    for _ in range(STILL_TURNS):
        pipeline.step()
    assert read_bytes(world) == before
    assert before < SECONDS * 4 * len(large_picture()) / 2
    assert pipeline._flow.in_flight <= MOST_IN_FLIGHT + 1  # noqa: SLF001 - one letter or replay may come on top


@pytest.mark.parametrize("what", ["redis", "kafka"])
def test_a_server_that_is_away_or_full_stops_the_reading_and_nothing_else(
    backlog: World, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker says why it is not ready, tries again, and goes on by itself where it was."""
    gate, health = Gate(), Health()
    store = FullStore(gate) if what == "redis" else MemoryStore()
    if what == "kafka":
        publisher = backlog.transport.publisher
        monkeypatch.setattr(backlog.transport, "publisher", lambda: AwayPublisher(publisher(), gate))
    with working(backlog, store, health) as pipeline:
        turn_until(pipeline, lambda: what in health.readiness().missing)
        assert_stands_still_within_its_bounds(backlog, pipeline)
        assert (FULL if what == "redis" else "no broker answered") in health.readiness().missing[what]
        turn_until(pipeline, lambda: len(backlog.seen(RetryScheduled)) >= 3)
        assert [event.attempt for event in backlog.seen(RetryScheduled)][:3] == [1, 2, 3]

        gate.open = True
        pipeline.run(threading.Event(), until_end=lambda: True)
        assert health.readiness().ok

    assert [result.closed_by for result in backlog.results()] == ["progress"] * (SECONDS // 2)
    assert {result.modalities.video.items for result in backlog.results()} == {8}
    assert len(store.results("city")) == SECONDS // 2


def test_a_slow_store_slows_the_reading_and_loses_nothing(backlog: World) -> None:
    """It answers, so the worker stays ready; what it is slow for waits where it lies, in Kafka."""
    health, store = Health(), SlowStore()
    most = 0
    with working(backlog, store, health) as pipeline:

        def is_done() -> bool:
            nonlocal most
            most = max(most, pipeline._flow.in_flight)  # noqa: SLF001 - as above
            return len(store.results("city")) == SECONDS // 2 - 1

        turn_until(pipeline, is_done)
        assert health.readiness().ok
    assert most <= MOST_IN_FLIGHT + 1


def test_a_broker_that_is_away_is_asked_to_commit_once_a_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt may take its whole time limit: one for each partition number would hold up the loop for a minute."""
    calls = 0

    def away(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise BrokerUnavailableError("no broker answered")

    world.send(record for stream in "abcdef" for record in Feed(stream).play(4))
    world.settings = load(overrides={"model.name": "null", "worker.commit_interval_ms": 1}, environ={})
    monkeypatch.setattr(MemoryGroupConsumer, "commit", away)
    with world.open() as pipeline:
        turn_until(pipeline, lambda: len(world.results()) == 12 and not pipeline._flow.in_flight)  # noqa: SLF001 - one turn
        assert len([work for work in pipeline._works.values() if work.committable()]) > 1  # noqa: SLF001 - of many

        calls = 0
        pipeline._commit(now=True)  # noqa: SLF001 - is looked at here

        assert calls == 1


def test_a_broker_that_is_away_is_asked_for_ends_once_a_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither deciding nor observing asks again at once what was just asked in vain."""
    calls = 0

    def away(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise BrokerUnavailableError("no broker answered")

    world.send(Feed("city").play(4, ended=False))
    world.settings = load(overrides={"model.name": "null"}, environ={})
    with world.open() as pipeline:
        turn_until(pipeline, lambda: len(world.results()) == 2)
        monkeypatch.setattr(MemoryGroupConsumer, "end_offsets", away)
        pipeline._observe_at_ns = 0  # noqa: SLF001 - both are due in the next turn
        pipeline._ask_again_ns = 0  # noqa: SLF001 - as above
        world.send([Feed("city").progress("video", 4, 4.5)])
        turn_until(pipeline, lambda: calls > 0)

        assert calls == 1


def test_a_partition_number_that_cannot_be_restored_holds_up_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker of one may be away for long; the others go on, and it follows when that is back."""
    gate = Gate()
    streams = {stream: world.results_partition(stream) for stream in "abcdefghij"}
    first = min(streams.values())
    read_tail = wiring.read_tail

    def read_where_possible(transport: Transport, plan: RestorePlan, *, wall_ns: int) -> Tail:
        if plan.number == first and not gate.open:
            raise BrokerUnavailableError("no broker answered")
        return read_tail(transport, plan, wall_ns=wall_ns)

    monkeypatch.setattr(wiring, "read_tail", read_where_possible)
    away = {stream for stream, number in streams.items() if number == first}
    world.send(record for stream in streams for record in Feed(stream).play(2))
    world.settings = load(overrides={"model.name": "null"}, environ={})
    health = Health()
    with working(world, MemoryStore(), health) as pipeline:
        turn_until(pipeline, lambda: len(world.results()) == len(streams) - len(away))
        assert "partitions_assigned" in health.readiness().missing
        assert not away & {result.stream for result in world.results()}

        gate.open = True
        turn_until(pipeline, lambda: len(world.results()) == len(streams))
