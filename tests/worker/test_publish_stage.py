"""The publish stage in a whole worker: no batch waits for the acknowledgement of an earlier one; the order stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Event, Timer

import pytest

from tests.worker.world import Feed, World
from triptych.schemas.names import results_topic
from triptych.service.health import Health
from triptych.settings.loading import load
from triptych.transport.protocols import Publisher
from triptych.transport.records import Delivered, Message
from triptych.worker.observability.events import StageCompleted
from triptych.worker.observability.readiness import ReadinessHook
from triptych.worker.publishing import retry
from triptych.worker.publishing.stores.errors import StoreRefusedError, StoreUnavailableError
from triptych.worker.publishing.stores.memory import MemoryStore
from triptych.worker.publishing.stores.protocol import StoredResult
from triptych.worker.run import WholeLog
from triptych.worker.wiring import Dependencies, open_pipeline

WINDOWS = 32
BATCH = 4
STREAMS = ("a", "b")
LIMIT_S = 60.0


class GatedPublisher:
    """Acknowledges the first results only when several batches are inferred. Keeps what was acknowledged."""

    def __init__(self, inner: Publisher, topic: str, is_full: Callable[[], bool]) -> None:
        self._inner = inner
        self._topic = topic
        self._is_full = is_full
        self._sent: list[Message] = []
        self.flushed: list[int] = []
        self.is_flushing_again = Event()
        self.acknowledged: set[bytes] = set()

    def send(self, message: Message) -> Future[Delivered]:
        """Send."""
        self._sent.append(message)
        return self._inner.send(message)

    def flush(self, timeout_s: float) -> None:
        """Flush."""
        if self.flushed:
            self.is_flushing_again.set()
        else:
            wait_until(self._is_full)
        self._inner.flush(timeout_s)
        results = [message.value for message in self._sent if message.topic == self._topic]
        self.acknowledged.update(results)
        self.flushed.append(len(results))
        self._sent.clear()

    def close(self, timeout_s: float) -> None:
        """Close."""
        self._inner.close(timeout_s)


class GatedStore(MemoryStore):
    """Takes the first results only while Kafka is given the next ones. Notes those that Kafka does not have yet."""

    def __init__(self) -> None:
        super().__init__()
        self.publisher: GatedPublisher | None = None
        self.too_early: list[str] = []

    def write(self, batch: Sequence[StoredResult]) -> tuple[bool, ...]:
        """Write."""
        assert self.publisher is not None
        assert self.publisher.is_flushing_again.wait(LIMIT_S), "Kafka was not given the next results meanwhile"
        self.too_early += [stored.result.id for stored in batch if stored.document not in self.publisher.acknowledged]
        return super().write(batch)


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.001)


def test_small_batches_are_published_together_and_in_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No batch waits for the one before. Kafka has each result before the store has it, in the order of windows."""
    make, store = world.transport.publisher, GatedStore()
    for stream in STREAMS:
        world.send(Feed(stream).play(WINDOWS * 2))
    world.settings = load(
        overrides={"model.name": "null", "batch.max_delay_ms": 0, "batch.max_windows": BATCH}, environ={}
    )
    world.store = store
    inferred = world.seen

    def is_full() -> bool:
        return sum(1 for event in inferred(StageCompleted) if event.stage == "infer") >= 3

    def open_publisher() -> GatedPublisher:
        store.publisher = GatedPublisher(make(), results_topic("triptych"), is_full)
        return store.publisher

    monkeypatch.setattr(world.transport, "publisher", open_publisher)
    world.work()
    assert store.publisher is not None
    assert len(store.publisher.flushed) < len([e for e in inferred(StageCompleted) if e.stage == "infer"])
    assert store.too_early == []
    for stream in STREAMS:
        starts = [result.start_ns for result in world.results() if result.stream == stream]
        assert starts == sorted(starts)
        assert len(starts) == WINDOWS
        assert len(store.results(stream)) == WINDOWS


class AnsweringStore(MemoryStore):
    """Rejects everything while it has an error, as a Redis does that is busy or read-only."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__()
        self.error = error

    def ping(self) -> None:
        """Answer."""
        if self.error is not None:
            raise self.error


def test_a_store_that_is_away_at_start_is_told_before_the_first_result(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And forgotten once it accepts writes, although nothing was written yet."""
    monkeypatch.setattr(retry, "_FIRST_DELAY_S", 0.001)
    store, health = AnsweringStore(StoreUnavailableError("BUSY Redis is busy running a script")), Health()
    dependencies = Dependencies(world.transport, store, [ReadinessHook(health)], health)
    deadline_s = time.monotonic() + LIMIT_S
    world.send([Feed("city").frame(0)])
    with open_pipeline(world.settings, dependencies, WholeLog.of(world.settings)) as pipeline:
        while "redis" not in health.readiness().missing:
            pipeline.step()
            assert time.monotonic() < deadline_s
        assert "BUSY" in health.readiness().missing["redis"]
        store.error = None
        while "redis" in health.readiness().missing:
            pipeline.step()
            assert time.monotonic() < deadline_s


def test_a_store_that_refuses_the_worker_ends_it_at_start(world: World) -> None:
    """Not only with the first result, which may come days later."""
    store, health = AnsweringStore(StoreRefusedError("Redis refused the user or password of redis.url")), Health()
    dependencies = Dependencies(world.transport, store, [], health)
    world.send([Feed("city").frame(0)])
    with open_pipeline(world.settings, dependencies, WholeLog.of(world.settings)) as pipeline:
        stop = Event()
        guard = Timer(LIMIT_S, stop.set)
        guard.start()
        with pytest.raises(StoreRefusedError):
            pipeline.run(stop)
        guard.cancel()
