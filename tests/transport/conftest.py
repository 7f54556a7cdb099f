"""The two worlds that the contract is tested in: memory, and a real Apache Kafka broker."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tools.devservers import DevKafka
from triptych.settings import KafkaSettings
from triptych.transport.kafka import KafkaTransport
from triptych.transport.memory import MemoryTransport
from triptych.transport.protocols import Publisher, Transport
from triptych.transport.records import TopicPartition
from triptych.transport.topic_settings import TopicSettings

MAX_RECORD_BYTES = 200_000
IN_FLIGHT_BYTES = 1 << 20
SEND_TIMEOUT_S = 0.5
DEADLINE_S = 30.0


class MemoryWorld:
    """Memory, where a topic that nobody reads is what a broker that is away is elsewhere."""

    name = "memory"

    def __init__(self) -> None:
        self.transport: Transport = MemoryTransport(
            max_bytes=IN_FLIGHT_BYTES, max_record_bytes=MAX_RECORD_BYTES, send_timeout_s=SEND_TIMEOUT_S
        )

    @contextmanager
    def nothing_moves(self, topic: str) -> Iterator[None]:
        """Wait with the reading."""
        yield
        # Somebody reads, and is done: now all of it may be forgotten.
        self.transport.reader({TopicPartition(topic, 0): 0}).close()


class KafkaWorld:
    """A real broker, which can be frozen."""

    name = "kafka"

    def __init__(self, broker: DevKafka) -> None:
        self.broker = broker
        self.transport: Transport = KafkaTransport(
            KafkaSettings(
                bootstrap_servers=broker.bootstrap_servers,
                session_timeout_ms=6_000,
                max_record_bytes=MAX_RECORD_BYTES,
                publisher_max_in_flight_bytes=IN_FLIGHT_BYTES,
            ),
            send_timeout_s=SEND_TIMEOUT_S,
        )

    @contextmanager
    def nothing_moves(self, topic: str) -> Iterator[None]:  # noqa: ARG002 - the other world needs it
        """Freeze the broker."""
        self.broker.freeze()
        try:
            yield
        finally:
            self.broker.thaw()


World = MemoryWorld | KafkaWorld


@pytest.fixture(params=["memory", "kafka"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Each kind of transport in turn, and the faults that a test may cause."""
    made: World = MemoryWorld() if request.param == "memory" else KafkaWorld(request.getfixturevalue("kafka"))
    yield made
    made.transport.close()


@pytest.fixture
def transport(world: World) -> Transport:
    """Each kind of transport in turn, bounded tightly."""
    return world.transport


@pytest.fixture
def new_topic(transport: Transport) -> Callable[..., str]:
    """Make a topic of the test's own: `new_topic(partitions, max_record_bytes=…)`."""

    def make(partitions: int = 3, *, max_record_bytes: int = MAX_RECORD_BYTES) -> str:
        name = f"contract-{uuid.uuid4().hex[:12]}"
        admin = transport.admin()
        admin.create([TopicSettings(name, partitions, max_record_bytes=max_record_bytes)])
        admin.close()
        return name

    return make


@pytest.fixture
def nothing_moves(world: World) -> Callable[[str], AbstractContextManager[None]]:
    """Let publishers get rid of nothing that they send to a topic meanwhile."""
    return world.nothing_moves


@pytest.fixture
def publisher(transport: Transport) -> Iterator[Publisher]:
    """A publisher of that transport."""
    made = transport.publisher()
    yield made
    made.close(DEADLINE_S)


@pytest.fixture
def group() -> str:
    """The name of a group nobody else is in."""
    return f"group-{uuid.uuid4().hex[:12]}"
