"""Outages longer than the idle timeout: of all brokers, of one topic, of all workers, of a producer and of its link."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Final

from tests.chaos.environment import Environment, FaultAction
from tests.chaos.servers import IDLE_TIMEOUT_S
from tests.chaos.workers import WORKERS
from tools.devservers import DevKafkaCluster
from tools.devservers.kafka_cluster import BROKERS

_AWAY_S: Final = (IDLE_TIMEOUT_S + 2.0, IDLE_TIMEOUT_S + 8.0)
_SLOW_S: Final = (15.0, 25.0)
SLOW_SHARE: Final = 0.25
"""The share of what a feed needs that its slowed link gives."""


# --- brokers ----------------------------------------------------------------------------------------------------------


def _all_brokers(end: Callable[[DevKafkaCluster], None]) -> FaultAction:
    def do(environment: Environment, rng: random.Random) -> str:
        cluster = environment.servers.cluster
        end(cluster)
        time.sleep(rng.uniform(*_AWAY_S))
        cluster.start_all()
        return "all brokers"

    return do


def _one_topic_away(environment: Environment, rng: random.Random) -> str:
    """Make a broker unreachable that leads one of the three topics of each partition, and goes on leading it."""
    servers = environment.servers
    servers.place_leaders()
    number = rng.randrange(BROKERS)
    relays = servers.broker_relays[number], environment.link.relays[number]
    for relay in relays:
        relay.refuse(on=True)
    for relay in relays:
        relay.cut(reset=True)
    time.sleep(rng.uniform(*_AWAY_S))
    for relay in relays:
        relay.refuse(on=False)
    return f"what broker {number + 1} leads, a third of each topic"


# --- workers ----------------------------------------------------------------------------------------------------------


def _all_workers_away(environment: Environment, _: random.Random) -> str:
    for place in range(WORKERS):
        environment.workers.unwatch(place).kill()
    time.sleep(environment.workers_away_s)
    for place in range(WORKERS):
        environment.workers.watch(place)
    return "all workers"


# --- producers --------------------------------------------------------------------------------------------------------


def _suspend_producer(environment: Environment, rng: random.Random) -> str:
    feed = rng.choice(environment.feeds)
    feed.program.freeze()
    time.sleep(rng.uniform(*_AWAY_S))
    feed.program.thaw()
    return feed.stream


def _cut_link(environment: Environment, rng: random.Random) -> str:
    environment.link.cut(rng.uniform(*_AWAY_S))
    return environment.feeds[0].stream


def _slow_link(environment: Environment, rng: random.Random) -> str:
    bytes_per_s = SLOW_SHARE * environment.link_bytes_per_s
    environment.link.slow(bytes_per_s, rng.uniform(*_SLOW_S))
    return f"{environment.feeds[0].stream}, to {bytes_per_s / 1_000:.0f} kB/s"


def _lose_packets(environment: Environment, rng: random.Random) -> str:
    environment.link.lose_packets(rng.uniform(*_AWAY_S), rng)
    return environment.feeds[0].stream


BROKER_OUTAGES: Final[Mapping[str, FaultAction]] = {
    "all brokers killed": _all_brokers(DevKafkaCluster.kill_all),
    "all brokers stopped": _all_brokers(DevKafkaCluster.stop_all),
    "one topic away": _one_topic_away,
}
WORKER_OUTAGES: Final[Mapping[str, FaultAction]] = {"all workers away": _all_workers_away}
PRODUCER_FAULTS: Final[Mapping[str, FaultAction]] = {
    "producer suspended": _suspend_producer,
    "link cut": _cut_link,
    "link slowed to a quarter": _slow_link,
    "link loses packets": _lose_packets,
}
