"""The results of a pipeline in each source: how a test publishes there, and how it subscribes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from typing import Any, Protocol, Self
from uuid import uuid4

import pytest

from tests.kafka_topics import delete_topics
from triptych.consumers.subscription.async_subscriber import AsyncResults, AsyncSubscriber
from triptych.consumers.subscription.cursor import Cursor, Since
from triptych.consumers.subscription.result_buffer import Delivery
from triptych.consumers.subscription.result_source import Gap
from triptych.consumers.subscription.subscriber import Subscriber
from triptych.schemas.codec import encode_result
from triptych.schemas.names import redis_results_key, result_id, results_topic
from triptych.schemas.results import (
    LabelScore,
    Modalities,
    ModalityReport,
    ModelReference,
    Observations,
    Result,
    Words,
)
from triptych.service.redis_client import RedisAddress
from triptych.settings.kafka import KafkaSettings
from triptych.transport.kafka.transport import KafkaTransport
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.protocols import Transport
from triptych.transport.records import Headers, Message, TopicPartition
from triptych.transport.topic_settings import TopicSettings
from triptych.worker.publishing.stores.protocol import StoredResult
from triptych.worker.publishing.stores.redis import RedisStore

START_NS = 1_767_225_600_000_000_000
WINDOW_NS = 2_000_000_000
PARTITIONS = 3

MakeResult = Callable[..., Result]


@pytest.fixture(scope="session")
def make_result() -> MakeResult:
    """Create the result of window `number` of a stream."""

    def make(number: int, stream: str = "city", **changes: Any) -> Result:  # noqa: ANN401 - any field of a result
        start_ns = START_NS + number * WINDOW_NS
        end_ns = start_ns + WINDOW_NS
        fields: dict[str, Any] = {
            "id": result_id(stream, start_ns, end_ns, 0),
            "stream": stream,
            "start_ns": start_ns,
            "end_ns": end_ns,
            "closed_by": "progress",
            "published_ns": end_ns + 250_000_000,
            "arrival_ms": {"first": start_ns // 10**6, "last": end_ns // 10**6},
            "modalities": Modalities(
                video=ModalityReport(state="present", items=8, used=4),
                audio=ModalityReport(state="empty"),
                subtitles=ModalityReport(state="absent"),
            ),
            "model": ModelReference(name="null", version="1", sha256="0" * 64),
            "observations": Observations(
                visual=(LabelScore(label="tabby cat", score=0.81), LabelScore(label="sofa", score=0.11)),
                speech_share=0.83,
                loudness_lufs=-21.4,
                words=(Words(text="the city was asleep", start_ns=start_ns, end_ns=end_ns),),
            ),
        }
        return Result(**(fields | changes))

    return make


class Bench(Protocol):
    """One source of results."""

    kind: str

    def publish(self, *results: Result) -> None:
        """Publish as the worker does."""

    def publish_twice(self, result: Result) -> None:
        """Publish the same id twice, as a zombie owner may."""

    def publish_junk(self, stream: str, document: bytes) -> None:
        """Publish an invalid result under a stream's name."""

    def delete_before_last(self, stream: str) -> None:
        """Delete all but the last result of a stream, as retention and trimming do."""

    def subscriber(self, on_gap: Callable[[Gap], None] | None = None) -> Subscriber:
        """Return a new subscriber."""


class TopicBench:
    """The results topic of a pipeline for the test."""

    def __init__(self, transport: Transport, kind: str, bootstrap: str = "") -> None:
        self.kind = kind
        self.bootstrap = bootstrap
        self.pipeline = f"test-{uuid4().hex[:8]}"
        self.topic = results_topic(self.pipeline)
        self._transport = transport
        admin = transport.admin()
        admin.create([TopicSettings(self.topic, partitions=PARTITIONS, replication=1)])
        admin.close()
        self._publisher = transport.publisher()
        self._last: dict[str, tuple[TopicPartition, int]] = {}

    def publish(self, *results: Result) -> None:
        """Publish as the worker does."""
        self._send([(result.stream, *encode_result(result, pipeline=self.pipeline)) for result in results])

    def publish_twice(self, result: Result) -> None:
        """Publish the same id twice."""
        self.publish(result, result)

    def publish_junk(self, stream: str, document: bytes) -> None:
        """Publish an invalid result."""
        headers = (("ce_specversion", b"1.0"), ("ce_type", b"triptych.result"))
        self._send([(stream, stream.encode(), document, headers)])

    def delete_before_last(self, stream: str) -> None:
        """Delete all records before the stream's last."""
        admin = self._transport.admin()
        tp, offset = self._last[stream]
        admin.delete_records({tp: offset})
        admin.close()

    def recreate(self, partitions: int = PARTITIONS) -> None:
        """Delete the topic and create it again."""
        if isinstance(self._transport, MemoryTransport):
            self._transport.recreate(self.topic)
            self._transport.add_partitions(self.topic, partitions)
            return
        with closing(self._transport.admin()) as admin:
            delete_topics(self.bootstrap, [self.topic])
            admin.create([TopicSettings(self.topic, partitions=partitions, replication=1)])

    def grow(self, partitions: int) -> None:
        """Add partitions to the topic."""
        with closing(self._transport.admin()) as admin:
            admin.grow({self.topic: partitions})

    def subscriber(self, on_gap: Callable[[Gap], None] | None = None) -> Subscriber:
        """Return a new subscriber."""
        return Subscriber.from_transport(self._transport, pipeline=self.pipeline, on_gap=on_gap)

    def close(self) -> None:
        """Close the publisher."""
        self._publisher.close(10)

    def _send(self, messages: list[tuple[str, bytes, bytes, Headers]]) -> None:
        sent = [
            (stream, self._publisher.send(Message(self.topic, key, value, headers)))
            for stream, key, value, headers in messages
        ]
        for stream, future in sent:
            where = future.result(20)
            self._last[stream] = TopicPartition(where.topic, where.partition), where.offset


class RedisBench:
    """The Redis streams of a pipeline for the test, written by the worker's store."""

    kind = "redis"

    def __init__(self, url: str) -> None:
        self.url = url
        self.pipeline = f"test-{uuid4().hex[:8]}"
        self.client: Any = RedisAddress(url).open()
        self._store = RedisStore.connect(url, pipeline=self.pipeline)

    def publish(self, *results: Result) -> None:
        """Publish as the worker does."""
        self._store.write([StoredResult(result, result.model_dump_json().encode()) for result in results])

    def publish_twice(self, result: Result) -> None:
        """Append the same result again, bypassing the store."""
        self.publish(result)
        self.client.xadd(redis_results_key(self.pipeline, result.stream), {"result": result.model_dump_json()})

    def publish_junk(self, stream: str, document: bytes) -> None:
        """Append an invalid result."""
        self.client.xadd(redis_results_key(self.pipeline, stream), {"result": document})

    def delete_before_last(self, stream: str) -> None:
        """Trim the stream to its last entry."""
        self.client.xtrim(redis_results_key(self.pipeline, stream), maxlen=1, approximate=False)

    def subscriber(self, on_gap: Callable[[Gap], None] | None = None) -> Subscriber:
        """Return a new subscriber."""
        return Subscriber.from_redis(self.url, pipeline=self.pipeline, on_gap=on_gap)

    def close(self) -> None:
        """Close the connections."""
        self._store.close()
        self.client.close()


@pytest.fixture
def redis_bench(redis_url: str) -> Iterator[RedisBench]:
    """Results in a real Redis."""
    bench = RedisBench(redis_url)
    yield bench
    bench.close()


@pytest.fixture
def secured_redis_bench(secured_redis_url: str) -> Iterator[RedisBench]:
    """Results in a real Redis with TLS and a user."""
    bench = RedisBench(secured_redis_url)
    yield bench
    bench.close()


@pytest.fixture
def redis_cluster_bench(redis_cluster_url: str) -> Iterator[RedisBench]:
    """Results in a real Redis cluster."""
    bench = RedisBench(redis_cluster_url)
    yield bench
    bench.close()


@pytest.fixture
def open_redis_bench() -> Iterator[Callable[[str], RedisBench]]:
    """Open results in the Redis at a URL."""
    benches: list[RedisBench] = []

    def open_bench(url: str) -> RedisBench:
        benches.append(RedisBench(url))
        return benches[-1]

    yield open_bench
    for bench in benches:
        bench.close()


@pytest.fixture
def kafka_bench(kafka_bootstrap: str) -> Iterator[TopicBench]:
    """Results in a real Kafka."""
    transport = KafkaTransport(KafkaSettings(bootstrap_servers=kafka_bootstrap))
    bench = TopicBench(transport, "kafka", kafka_bootstrap)
    yield bench
    bench.close()
    transport.close()


@pytest.fixture
def memory_bench() -> Iterator[TopicBench]:
    """Results in memory."""
    bench = TopicBench(MemoryTransport(partitions=PARTITIONS), "kafka")
    yield bench
    bench.close()


class DrivenResults:
    """An asynchronous subscription with the interface of a synchronous one, for threads without an event loop."""

    def __init__(self, results: AsyncResults, wait: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._results = results
        self._wait = wait
        wait(results.__aenter__())

    @property
    def cursor(self) -> Cursor | None:
        """The subscription's cursor."""
        return self._results.cursor

    def __iter__(self) -> DrivenResults:
        return self

    def __next__(self) -> Result:
        async def step() -> Result | None:
            return await anext(self._results, None)

        result: Result | None = self._wait(step())
        if result is None:
            raise StopIteration
        return result

    def deliveries(self) -> Iterator[Delivery]:
        """Iterate over the results with their JSON."""

        async def step() -> Delivery | None:
            return await anext(found, None)

        found = self._results.deliveries()
        while (delivery := self._wait(step())) is not None:
            yield delivery

    def close(self) -> None:
        """Close the subscription."""
        self._wait(self._results.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DrivenSubscriber:
    """An asynchronous subscriber on its own event loop, so that the same tests cover both kinds."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._subscriber = AsyncSubscriber(subscriber)
        self.counts = self._subscriber.counts

    def results(self, stream: str | None = None, since: Since | None = None, **options: Any) -> Any:  # noqa: ANN401 - stands in for `Results`
        """Subscribe, and start at once."""
        return DrivenResults(self._subscriber.results(stream, since, **options), self._wait)

    def stop(self) -> None:
        """Stop all subscriptions."""
        self._subscriber.stop()

    def close(self) -> None:
        """Close everything, including the loop."""
        if self._loop.is_running():
            self._wait(self._subscriber.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever it returns
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)


@pytest.fixture(
    params=["memory", "redis", "secured_redis", "redis_cluster", "kafka", "async memory", "async redis", "async kafka"]
)
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Each source, read by each kind of subscriber."""
    kind, _, source = request.param.rpartition(" ")
    found: Bench = request.getfixturevalue(f"{source}_bench")
    if kind == "async":
        subscriber = found.subscriber
        monkeypatch.setattr(found, "subscriber", lambda on_gap=None: DrivenSubscriber(subscriber(on_gap)))
    return found


@pytest.fixture
def between() -> Callable[[], int]:
    """Return a time between all earlier and all later publications; servers use milliseconds."""

    def moment_ns() -> int:
        time.sleep(0.005)
        now_ns = time.time_ns()
        time.sleep(0.005)
        return now_ns

    return moment_ns
