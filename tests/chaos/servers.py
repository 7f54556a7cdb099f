"""The servers of a chaos test: three brokers and Redis, each behind a relay that can cut its connections."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from kafka import KafkaAdminClient, errors

from tests.e2e.programs import Installation
from tests.producers.live.relay import Relay
from tools.devservers import DevKafkaCluster, DevRedis
from tools.devservers.kafka_cluster import BROKERS
from tools.devservers.ports import free_ports

PIPELINE: Final = "chaos"
SESSION_S: Final = 6.0
"""Session timeout, after which the partitions of a silent worker or broker move to others."""
IN_SYNC_LIMIT_S: Final = 90.0
_CHECK_INTERVAL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class ChaosServers:
    """The servers, their relays, and an installation whose programs connect through the relays."""

    cluster: DevKafkaCluster
    redis: DevRedis
    broker_relays: tuple[Relay, ...]
    redis_relay: Relay
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

    def _is_in_sync(self) -> bool:
        try:
            with closing(KafkaAdminClient(bootstrap_servers=self.cluster.direct_servers)) as client:
                topics = client.describe_topics(list(client.list_topics()))
        except errors.KafkaError:
            return False
        return all(len(partition["isr_nodes"]) == BROKERS for topic in topics for partition in topic["partitions"])


@contextmanager
def open_servers(folder: Path, settings: Mapping[str, str]) -> Iterator[ChaosServers]:
    """Start the servers and create the topics."""
    with ExitStack() as stack:
        ports = free_ports(BROKERS)
        relays = tuple(stack.enter_context(Relay(port)) for port in ports)
        advertised = [relay.port for relay in relays]
        cluster = stack.enter_context(DevKafkaCluster(ports=ports, advertised_ports=advertised))
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
        installation.make_topics()
        servers = ChaosServers(cluster, server, relays, redis_relay, installation)
        servers.wait_until_in_sync()
        yield servers
