"""The servers of a chaos test: three brokers and Redis, each behind a relay that can cut its connections."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from kafka import KafkaAdminClient, errors

from tests.chaos.link import Link
from tests.chaos.sent import PARTITIONS
from tests.e2e.programs import Installation
from tests.producers.live.relay import Relay
from tools.devservers import DevKafkaCluster, DevRedis, ExtraListener, KafkaOptions
from tools.devservers.kafka_cluster import BROKERS, HEAP_MB
from tools.devservers.ports import free_ports
from triptych.schemas.names import INPUT_TOPICS

PIPELINE: Final = "chaos"
SESSION_S: Final = 6.0
"""Session timeout, after which the partitions of a silent worker or broker move to others."""
IDLE_TIMEOUT_S: Final = 3.0
"""Idle timeout of the workers: shorter than many faults, because idleness must not depend on faults."""
IN_SYNC_LIMIT_S: Final = 90.0
_PREFERRED: Final = 0
"""Kafka's number for the election of the first replica of each partition."""
_PLACING_LIMIT_S: Final = 90.0
_CHECK_INTERVAL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class ChaosServers:
    """The servers, their relays, and an installation whose programs connect through the relays.

    `link` is the link of a single producer, from the brokers' second listeners.
    """

    cluster: DevKafkaCluster
    redis: DevRedis
    broker_relays: tuple[Relay, ...]
    redis_relay: Relay
    link: Link
    installation: Installation

    @property
    def undisturbed(self) -> Installation:
        """The installation with direct connections to the servers."""
        return replace(self.installation, bootstrap_servers=self.cluster.direct_servers, redis_url=self.redis.url)

    def wait_until_in_sync(self) -> None:
        """Block until every replica is in sync, so that any broker may fail.

        Raises:
            TimeoutError: the brokers did not get in sync in time.
        """
        deadline = time.monotonic() + IN_SYNC_LIMIT_S
        while not self._is_in_sync():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the brokers were not in sync within {IN_SYNC_LIMIT_S:g} s")
            time.sleep(_CHECK_INTERVAL_S)

    def place_leaders(self) -> None:
        """Make the three input topics of each partition have their leaders on three brokers.

        Raises:
            TimeoutError: a broker that has to lead did not do so in time.
        """
        deadline = time.monotonic() + _PLACING_LIMIT_S
        while not self._leaders_are_placed():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the leaders were not placed within {_PLACING_LIMIT_S:g} s")
            time.sleep(_CHECK_INTERVAL_S)

    def _leaders_are_placed(self) -> bool:
        """Return whether each partition has its preferred leader; ask for the election of those that do not."""
        try:
            with closing(KafkaAdminClient(bootstrap_servers=self.cluster.direct_servers)) as client:
                is_placed = all(
                    partition["leader_id"] == _replicas(topic["name"], partition["partition_index"])[0]
                    for topic in client.describe_topics(list(INPUT_TOPICS))
                    for partition in topic["partitions"]
                )
                if not is_placed:
                    client.elect_leaders(_PREFERRED, list(INPUT_TOPICS), raise_errors=False)
        except errors.KafkaError:  # a broker that has just come back may not answer yet
            return False
        return is_placed

    def _is_in_sync(self) -> bool:
        try:
            with closing(KafkaAdminClient(bootstrap_servers=self.cluster.direct_servers)) as client:
                topics = client.describe_topics(list(client.list_topics()))
        except errors.KafkaError:
            return False
        return all(len(partition["isr_nodes"]) == BROKERS for topic in topics for partition in topic["partitions"])


@contextmanager
def open_servers(folder: Path, settings: Mapping[str, str], seed: int) -> Iterator[ChaosServers]:
    """Start the servers and create the topics. The seed determines which packets the link loses."""
    with ExitStack() as stack:
        free = free_ports(2 * BROKERS)
        ports, link_ports = free[:BROKERS], free[BROKERS:]
        relays = tuple(stack.enter_context(Relay(port)) for port in ports)
        link = stack.enter_context(Link(link_ports, seed))
        cluster = stack.enter_context(
            DevKafkaCluster(
                KafkaOptions(heap_mb=HEAP_MB, starts_often=True),
                ports=ports,
                advertised_ports=[relay.port for relay in relays],
                extra=[ExtraListener(port, relay.port) for port, relay in zip(link_ports, link.relays, strict=True)],
            )
        )
        # Acknowledged writes must survive SIGKILL. The default, everysec, may lose a second of them.
        server = stack.enter_context(DevRedis(flags={"appendfsync": "always"}))
        redis_relay = stack.enter_context(Relay(server.port))
        installation = Installation(
            cluster.bootstrap_servers,
            f"redis://127.0.0.1:{redis_relay.port}/0",
            PIPELINE,
            folder,
            settings,
            replication=BROKERS,
        )
        _create_inputs(cluster)
        installation.make_topics()
        servers = ChaosServers(cluster, server, relays, redis_relay, link, installation)
        servers.wait_until_in_sync()
        yield servers


def _create_inputs(cluster: DevKafkaCluster) -> None:
    """Create the input topics such that each of the three has another preferred leader, in each partition."""
    wanted = {
        topic: {"assignments": {number: _replicas(topic, number) for number in range(PARTITIONS)}}
        for topic in INPUT_TOPICS
    }
    with closing(KafkaAdminClient(bootstrap_servers=cluster.direct_servers)) as client:
        client.create_topics(wanted, wait_for_metadata=True)


def _replicas(topic: str, partition: int) -> list[int]:
    """Return the numbers of the brokers that have a partition of an input topic, the preferred leader first."""
    first = partition + INPUT_TOPICS.index(topic)
    return [(first + place) % BROKERS + 1 for place in range(BROKERS)]
