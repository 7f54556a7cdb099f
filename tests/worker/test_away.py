"""Unavailable, full or slow servers: work in flight stays bounded, reading stops, and everything recovers by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from tests.worker.world import Feed, World
from triptych.service.health import Health
from triptych.settings.loading import load
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.memory.group_consumer import MemoryGroupConsumer
from triptych.transport.memory.transport import MemoryAdmin
from triptych.transport.protocols import Publisher
from triptych.transport.records import Delivered, Message, TopicPartition
from triptych.worker.observability.events import RecordsRead, RetryScheduled
from triptych.worker.observability.readiness import ReadinessHook
from triptych.worker.partitions import end_offsets
from triptych.worker.pipeline import Pipeline
from triptych.worker.publishing import retry
from triptych.worker.publishing.stores.errors import StoreUnavailableError
from triptych.worker.publishing.stores.memory import MemoryStore
from triptych.worker.publishing.stores.protocol import StoredResult
from triptych.worker.run import WholeLog
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
MAX_IN_FLIGHT = 4
DEADLINE_S = 60.0
IDLE_STEPS = 20


class Gate:
    """Whether a server is available."""

    def __init__(self) -> None:
        self.open = False


class FullStore(MemoryStore):
    """Rejects writes while its gate is closed, as a full Redis does."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    def write(self, batch: Sequence[StoredResult]) -> tuple[bool, ...]:
        """Write if there is room."""
        if not self._gate.open:
            raise StoreUnavailableError(f"Redis did not take the results: {FULL}")
        return super().write(batch)


class SlowStore(MemoryStore):
    """Takes 20 ms for each write."""

    def write(self, batch: Sequence[StoredResult]) -> tuple[bool, ...]:
        """Write after a delay."""
        time.sleep(0.02)
        return super().write(batch)


class UnavailablePublisher:
    """Reaches no broker while its gate is closed."""

    def __init__(self, inner: Publisher, gate: Gate) -> None:
        self._inner = inner
        self._gate = gate

    def send(self, message: Message) -> Future[Delivered]:
        """Send if a broker is available."""
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
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the backoff of retries short."""
    monkeypatch.setattr(retry, "_FIRST_DELAY_S", 0.001)
    monkeypatch.setattr(retry, "_LONGEST_DELAY_S", 0.01)


@pytest.fixture(autouse=True)
def end_offsets_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Request end offsets in each step that needs them.

    The windows wait for the end offsets of the empty partitions. The pause of 5 ms between requests is nothing for a
    network, but a log in memory delivers several megabytes in that time, more or less of them by the machine.
    """
    monkeypatch.setattr(end_offsets, "_MIN_INTERVAL_NS", 0)


@pytest.fixture
def backlog(world: World) -> World:
    """Return a world whose log is about twenty times as large as what a worker may hold."""
    image = large_image()
    feed = Feed("city", tracks=("video",))
    world.send([*(feed.frame(at / 4, image) for at in range(4 * SECONDS)), feed.end("video", SECONDS)])
    world.settings = load(overrides=SETTINGS, environ={})
    return world


def large_image() -> bytes:
    """Return a JPEG of about 90 kB."""
    import cv2

    noise = np.random.default_rng(7).integers(0, 255, (320, 240, 3), np.uint8)
    return bytes(cv2.imencode(".jpg", noise)[1].tobytes())


@contextmanager
def working(world: World, store: MemoryStore, health: Health) -> Iterator[Pipeline]:
    """Open a worker whose readiness depends on its retries."""
    with ExitStack() as stack:
        dependencies = Dependencies(world.transport, store, [ReadinessHook(health), world.events.append], health)
        yield stack.enter_context(open_pipeline(world.settings, dependencies, WholeLog.of(world.settings)))


def step_until(pipeline: Pipeline, holds: Callable[[], bool]) -> None:
    """Run iterations of the loop until the condition holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        pipeline.step()


def read_bytes(world: World) -> int:
    """Return the number of bytes read so far."""
    return sum(event.bytes for event in world.seen(RecordsRead))


def assert_idle_within_bounds(world: World, pipeline: Pipeline) -> None:
    """Check that nothing more is read, and that held and in-flight work are bounded."""
    step_until(pipeline, lambda: bool(pipeline._backpressure.paused))  # noqa: SLF001 - not visible otherwise
    before = read_bytes(world)
    for _ in range(IDLE_STEPS):
        pipeline.step()
    assert read_bytes(world) == before
    assert before < SECONDS * 4 * len(large_image()) / 2
    assert pipeline._stages.in_flight <= MAX_IN_FLIGHT + 1  # noqa: SLF001 - plus one dead letter or replay


@pytest.mark.parametrize("what", ["redis", "kafka"])
def test_an_unavailable_or_full_server_stops_only_the_reading(
    backlog: World, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker reports why it is not ready, retries, and continues by itself."""
    gate, health = Gate(), Health()
    store = FullStore(gate) if what == "redis" else MemoryStore()
    if what == "kafka":
        publisher = backlog.transport.publisher
        monkeypatch.setattr(backlog.transport, "publisher", lambda: UnavailablePublisher(publisher(), gate))
    with working(backlog, store, health) as pipeline:
        step_until(pipeline, lambda: what in health.readiness().missing)
        assert_idle_within_bounds(backlog, pipeline)
        reason = FULL if what == "redis" else "no broker answered"
        # A query of end offsets that Kafka answers meanwhile clears it, until the next attempt to publish.
        step_until(pipeline, lambda: reason in health.readiness().missing.get(what, ""))
        step_until(pipeline, lambda: len(backlog.seen(RetryScheduled)) >= 3)
        assert [event.attempt for event in backlog.seen(RetryScheduled)][:3] == [1, 2, 3]

        gate.open = True
        pipeline.run(threading.Event(), until_end=lambda: True)
        assert health.readiness().ok

    assert [result.closed_by for result in backlog.results()] == ["progress"] * (SECONDS // 2)
    assert {result.modalities.video.items for result in backlog.results()} == {8}
    assert len(store.results("city")) == SECONDS // 2


def test_a_slow_store_slows_the_reading_and_loses_nothing(backlog: World) -> None:
    """The store answers, so the worker stays ready. Unread records wait in Kafka."""
    health, store = Health(), SlowStore()
    peak = 0
    with working(backlog, store, health) as pipeline:

        def is_done() -> bool:
            nonlocal peak
            peak = max(peak, pipeline._stages.in_flight)  # noqa: SLF001 - as above
            return len(store.results("city")) >= SECONDS // 2 - 1

        step_until(pipeline, is_done)
        assert health.readiness().ok
    assert peak <= MAX_IN_FLIGHT + 1


def test_an_unavailable_broker_gets_one_commit_request_per_step(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt may block for a request timeout: one for each partition would block the loop for a minute."""
    calls = 0

    def unavailable(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise BrokerUnavailableError("no broker answered")

    world.send(record for stream in "abcdef" for record in Feed(stream).play(4))
    world.settings = load(overrides={"model.name": "null", "worker.commit_interval_ms": 1}, environ={})
    monkeypatch.setattr(MemoryGroupConsumer, "commit", unavailable)
    with world.open() as pipeline:
        step_until(pipeline, lambda: len(world.results()) == 12 and not pipeline._stages.in_flight)  # noqa: SLF001 - one turn
        assert len([each for each in pipeline._assignment.active if each.committable()]) > 1  # noqa: SLF001 - several

        calls = 0
        pipeline._committer.commit(pipeline._assignment.active)  # noqa: SLF001 - is looked at here

        assert calls == 1


def test_an_unavailable_broker_gets_one_end_offset_request_per_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the aligners nor the lag metric repeat a request that just failed."""
    calls = 0

    def unavailable(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise BrokerUnavailableError("no broker answered")

    world.send(Feed("city").play(4, ended=False))
    world.settings = load(overrides={"model.name": "null"}, environ={})
    with world.open() as pipeline:
        step_until(pipeline, lambda: len(world.results()) == 2)
        monkeypatch.setattr(MemoryGroupConsumer, "end_offsets", unavailable)
        pipeline._observe_at_ns = 0  # noqa: SLF001 - both are due in the next step
        pipeline._end_offsets._not_before_ns = 0  # noqa: SLF001 - as above
        world.send([Feed("city").progress("video", 4, 4.5)])
        step_until(pipeline, lambda: calls > 0)

        assert calls == 1


def test_a_partition_that_cannot_be_restored_delays_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its broker may be unavailable for long. The others continue, and it follows once the broker is back."""
    gate = Gate()
    streams = {stream: world.results_partition(stream) for stream in "abcdefghij"}
    first = min(streams.values())
    appended_offsets = MemoryAdmin.appended_offsets

    def offsets_if_available(admin: MemoryAdmin, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        wanted = list(tps)
        if not gate.open and any(tp.partition == first for tp in wanted):
            raise BrokerUnavailableError("no broker answered")
        return appended_offsets(admin, wanted)

    monkeypatch.setattr(MemoryAdmin, "appended_offsets", offsets_if_available)
    unavailable = {stream for stream, partition in streams.items() if partition == first}
    world.send(record for stream in streams for record in Feed(stream).play(2))
    world.settings = load(overrides={"model.name": "null"}, environ={})
    health = Health()
    with working(world, MemoryStore(), health) as pipeline:
        step_until(pipeline, lambda: len(world.results()) == len(streams) - len(unavailable))
        assert "partitions_assigned" in health.readiness().missing
        assert not unavailable & {result.stream for result in world.results()}

        gate.open = True
        step_until(pipeline, lambda: len(world.results()) == len(streams))
