"""The transports of the contract tests: memory, a real Apache Kafka broker, and a secured one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from tests.servers import require_librdkafka
from tools.devservers import DevKafka
from triptych.settings.kafka import KafkaSettings
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.open import open_transport
from triptych.transport.protocols import Publisher, Transport
from triptych.transport.records import TopicPartition
from triptych.transport.topic_settings import TopicSettings

MAX_RECORD_BYTES = 200_000
IN_FLIGHT_BYTES = 1 << 20
SEND_TIMEOUT_S = 0.5
DEADLINE_S = 30.0


class MemoryWorld:
    """The memory transport. A topic without readers stands for an unavailable broker."""

    name = "memory"

    def __init__(self) -> None:
        self.transport: Transport = MemoryTransport(
            max_bytes=IN_FLIGHT_BYTES, max_record_bytes=MAX_RECORD_BYTES, send_timeout_s=SEND_TIMEOUT_S
        )

    @contextmanager
    def nothing_moves(self, topic: str) -> Iterator[None]:
        """Do not read the topic inside the block."""
        yield
        # A reader has finished: now all records may be deleted.
        self.transport.reader({TopicPartition(topic, 0): 0}).close()


class KafkaWorld:
    """A real broker, which can be frozen."""

    name = "kafka"

    def __init__(self, broker: DevKafka, **access: Any) -> None:  # noqa: ANN401 - settings of any type
        self.broker = broker
        self.transport: Transport = open_transport(
            KafkaSettings(
                bootstrap_servers=broker.bootstrap_servers,
                session_timeout_ms=6_000,
                max_record_bytes=MAX_RECORD_BYTES,
                publisher_max_in_flight_bytes=IN_FLIGHT_BYTES,
                **access,
            ),
            send_timeout_s=SEND_TIMEOUT_S,
        )

    @contextmanager
    def nothing_moves(self, topic: str) -> Iterator[None]:  # noqa: ARG002 - used by the memory transport
        """Freeze the broker inside the block."""
        self.broker.freeze()
        try:
            yield
        finally:
            self.broker.thaw()


def scram_login(broker: DevKafka, user: str) -> dict[str, Any]:
    """Return the settings of a SCRAM login over TLS."""
    return {
        "security_protocol": "SASL_SSL",
        "ssl_ca_file": broker.ca_file,
        "sasl_mechanism": "SCRAM-SHA-512",
        "username": user,
        "password": f"{user}-secret",
    }


World = MemoryWorld | KafkaWorld


def installed_client(name: str) -> str:
    """Return the setting `kafka.client` for a client that the tests name; skip the test if it is not installed."""
    if name != "librdkafka":
        return "kafka-python"
    require_librdkafka()
    return name


@pytest.fixture(params=["kafka-python", "librdkafka"])
def client(request: pytest.FixtureRequest) -> str:
    """Each client of Kafka, as in the setting `kafka.client`."""
    return installed_client(request.param)


@pytest.fixture(params=["memory", "kafka", "secured", "librdkafka"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Each kind of transport, with the faults that a test can cause."""
    made: World
    if request.param == "memory":
        made = MemoryWorld()
    else:
        secured = request.param == "secured"
        broker: DevKafka = request.getfixturevalue("secured_kafka" if secured else "kafka")
        access = scram_login(broker, "suite") if secured else {}
        made = KafkaWorld(broker, client=installed_client(request.param if not secured else "kafka"), **access)
    yield made
    made.transport.close()


@pytest.fixture
def login(secured_kafka: DevKafka) -> Callable[..., KafkaSettings]:
    """Return settings of a user of the secured broker, with changes; None removes a setting."""

    def make(user: str, **changes: object) -> KafkaSettings:
        given = {"bootstrap_servers": secured_kafka.bootstrap_servers, **scram_login(secured_kafka, user), **changes}
        return KafkaSettings.model_validate({name: value for name, value in given.items() if value is not None})

    return make


@pytest.fixture
def transport(world: World) -> Transport:
    """Each kind of transport, with tight limits."""
    return world.transport


@pytest.fixture
def new_topic(transport: Transport) -> Callable[..., str]:
    """Create a topic for the test: `new_topic(partitions, max_record_bytes=…)`."""

    def make(partitions: int = 3, *, max_record_bytes: int = MAX_RECORD_BYTES) -> str:
        name = f"contract-{uuid.uuid4().hex[:12]}"
        admin = transport.admin()
        admin.create([TopicSettings(name, partitions, max_record_bytes=max_record_bytes)])
        admin.close()
        return name

    return make


@pytest.fixture
def nothing_moves(world: World) -> Callable[[str], AbstractContextManager[None]]:
    """Prevent publishers from delivering to a topic inside the block."""
    return world.nothing_moves


@pytest.fixture
def publisher(transport: Transport) -> Iterator[Publisher]:
    """A publisher of the transport."""
    made = transport.publisher()
    yield made
    made.close(DEADLINE_S)


@pytest.fixture
def group() -> str:
    """The name of a new group."""
    return f"group-{uuid.uuid4().hex[:12]}"
