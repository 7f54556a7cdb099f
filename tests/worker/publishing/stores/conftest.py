"""The stores under test, with small bounds, and results to write to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

import pytest

from triptych.schemas.names import redis_latest_key, redis_results_key, redis_streams_key, result_id
from triptych.schemas.results import Modalities, ModalityReport, ModelReference, Result
from triptych.service.redis_client import RedisAddress
from triptych.worker.publishing.stores.memory import MemoryStore
from triptych.worker.publishing.stores.protocol import ResultStore, StoredResult, StoreLimits
from triptych.worker.publishing.stores.redis import RedisStore

START_NS = 1_767_225_600_000_000_000
WINDOW_NS = 2_000_000_000
LIMITS = StoreLimits(max_results=300, latest_ttl_s=100, key_ttl_s=300)
ABSENT = ModalityReport(state="absent")

MakeStored = Callable[..., StoredResult]


@pytest.fixture(scope="session")
def make_stored() -> MakeStored:
    """Make the result of window `number`, by default published when its window ends."""

    def make(number: int, *, stream: str = "city", revision: int = 0, published_ns: int | None = None) -> StoredResult:
        start_ns = START_NS + number * WINDOW_NS
        end_ns = start_ns + WINDOW_NS
        result = Result(
            id=result_id(stream, start_ns, end_ns, revision),
            stream=stream,
            start_ns=start_ns,
            end_ns=end_ns,
            revision=revision,
            closed_by="progress",
            published_ns=end_ns if published_ns is None else published_ns,
            modalities=Modalities(video=ABSENT, audio=ABSENT, subtitles=ABSENT),
            model=ModelReference(name="null", version="1", sha256="0" * 64),
        )
        return StoredResult(result, result.model_dump_json().encode())

    return make


class Bench(Protocol):
    """A store, with the means to inspect it."""

    @property
    def store(self) -> ResultStore:
        """The store under test."""

    def results(self, stream: str) -> list[bytes]:
        """Return the stored documents of a stream, in order."""

    def latest(self, stream: str) -> bytes | None:
        """Return the document of a stream's latest result."""

    def streams(self) -> list[str]:
        """Return the names of the streams."""

    def wait_s(self, seconds: float) -> None:
        """Let time pass for the store."""


class MemoryBench:
    """A store in memory, with a clock that the test moves."""

    def __init__(self) -> None:
        self.now_ns = 1
        self.store = MemoryStore(limits=LIMITS, monotonic_ns=lambda: self.now_ns)

    def results(self, stream: str) -> list[bytes]:
        """Return the stored documents of a stream, in order."""
        return list(self.store.results(stream))

    def latest(self, stream: str) -> bytes | None:
        """Return the document of a stream's latest result."""
        return self.store.latest(stream)

    def streams(self) -> list[str]:
        """Return the names of the streams."""
        return list(self.store.streams())

    def wait_s(self, seconds: float) -> None:
        """Move the clock."""
        self.now_ns += int(seconds * 1e9)


@dataclass
class RedisBench:
    """A store in a real Redis, under a unique pipeline name."""

    store: RedisStore
    client: Any  # redis-py's types cover both of its protocols, and are of little use
    pipeline: str

    def results(self, stream: str) -> list[bytes]:
        """Return the stored documents of a stream, in order."""
        return [fields[b"result"] for _, fields in self.client.xrange(redis_results_key(self.pipeline, stream))]

    def latest(self, stream: str) -> bytes | None:
        """Return the document of a stream's latest result."""
        document = self.client.get(redis_latest_key(self.pipeline, stream))
        assert document is None or isinstance(document, bytes)
        return document

    def streams(self) -> list[str]:
        """Return the names of the streams whose results have not expired."""
        names = sorted(name.decode() for name in self.client.zrange(redis_streams_key(self.pipeline), 0, -1))
        return [name for name in names if self.client.exists(redis_results_key(self.pipeline, name))]

    def wait_s(self, seconds: float) -> None:
        """Make all keys older, because the server's clock cannot be moved."""
        for key in list(self.client.scan_iter(match=f"{self.pipeline}:*", count=1_000)):
            left_ms = self.client.pttl(key)  # negative where the key does not expire
            if left_ms > 1_000 * seconds:
                self.client.pexpire(key, round(left_ms - 1_000 * seconds))
            elif left_ms >= 0:
                self.client.delete(key)


@contextmanager
def _open_bench(url: str) -> Iterator[RedisBench]:
    pipeline = f"test-{uuid4().hex[:8]}"
    store = RedisStore.connect(url, pipeline=pipeline, limits=LIMITS)
    with RedisAddress(url).open() as client:
        yield RedisBench(store, client, pipeline)
    store.close()


@pytest.fixture
def redis_bench(redis_url: str) -> Iterator[RedisBench]:
    """A store in a real Redis."""
    with _open_bench(redis_url) as bench:
        yield bench


@pytest.fixture(
    params=[
        "memory",
        "redis_url",
        "secured_redis_url",
        "redis_cluster_url",
        "secured_cluster_url",
        "secured_sentinel_url",
    ]
)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Each store in turn: in memory, and on each kind of real server."""
    if request.param == "memory":
        yield MemoryBench()
    else:
        with _open_bench(request.getfixturevalue(request.param)) as bench:
            yield bench
