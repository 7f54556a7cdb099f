"""Short faults of servers, workers and connections. At most one broker is down, and the others have what it has."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from tests.chaos.environment import Environment, FaultAction
from tests.chaos.poisons import POISONS
from tests.chaos.servers import SESSION_S
from tests.chaos.workers import WORKERS
from tests.producers.live.relay import Relay
from tools.devservers import DevRedis
from tools.devservers.kafka_cluster import BROKERS

_SHORT_S: Final = (1.0, SESSION_S - 2.0)
_LONG_S: Final = (SESSION_S + 2.0, SESSION_S + 6.0)
_DOWNTIME_S: Final = (0.0, 5.0)
_ANSWER_S: Final = (1.0, 6.0)
"""How long Redis gives an answer that passes."""
_POISONS_AT_ONCE: Final = 3
_EXTRA_WORKER_LIMIT_S: Final = 60.0


# --- brokers ----------------------------------------------------------------------------------------------------------


def _on_broker(action: Callable[[Environment, random.Random, int], None]) -> FaultAction:
    def do(environment: Environment, rng: random.Random) -> str:
        number = rng.randrange(BROKERS)
        action(environment, rng, number)
        return f"broker {number + 1}"

    return do


def _stop_broker(environment: Environment, rng: random.Random, number: int) -> None:
    broker = environment.servers.cluster.brokers[number]
    broker.stop()
    time.sleep(rng.uniform(*_DOWNTIME_S))
    broker.start()


def _kill_broker(environment: Environment, rng: random.Random, number: int) -> None:
    broker = environment.servers.cluster.brokers[number]
    broker.kill()
    time.sleep(rng.uniform(*_DOWNTIME_S))
    broker.start()


def _freeze_broker(length_s: tuple[float, float]) -> FaultAction:
    def freeze(environment: Environment, rng: random.Random, number: int) -> None:
        broker = environment.servers.cluster.brokers[number]
        broker.freeze()
        time.sleep(rng.uniform(*length_s))
        broker.thaw()

    return _on_broker(freeze)


# --- workers ----------------------------------------------------------------------------------------------------------


def _kill_worker(environment: Environment, rng: random.Random) -> str:
    place = rng.randrange(WORKERS)
    environment.workers.unwatch(place).kill()
    time.sleep(rng.uniform(0, 3))
    environment.workers.watch(place)
    return f"worker {place + 1}"


def _freeze_worker(length_s: tuple[float, float]) -> FaultAction:
    def do(environment: Environment, rng: random.Random) -> str:
        place = rng.randrange(WORKERS)
        member = environment.workers.unwatch(place)
        member.freeze()
        time.sleep(rng.uniform(*length_s))
        member.thaw()
        environment.workers.watch(place, member)
        return f"worker {place + 1}"

    return do


def _add_third_worker(environment: Environment, rng: random.Random) -> str:
    extra = environment.workers.start_extra()
    deadline = time.monotonic() + _EXTRA_WORKER_LIMIT_S
    while extra.is_running and not extra.events("partitions_assigned") and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(rng.uniform(0, 4))
    leaves = rng.random() < 2 / 3
    if leaves:
        extra.stop()
    else:
        extra.kill()
    return "third worker, " + ("stopped" if leaves else "killed")


# --- Redis, connections, poison ---------------------------------------------------------------------------------------


def _stop_redis(environment: Environment, rng: random.Random) -> str:
    environment.servers.redis.stop()
    time.sleep(rng.uniform(*_DOWNTIME_S))
    environment.servers.redis.start()
    return "Redis"


def _kill_redis(environment: Environment, rng: random.Random) -> str:
    environment.servers.redis.process.kill()
    time.sleep(rng.uniform(*_DOWNTIME_S))
    environment.servers.redis.start()
    return "Redis"


def _freeze_redis(length_s: tuple[float, float]) -> FaultAction:
    def do(environment: Environment, rng: random.Random) -> str:
        environment.servers.redis.process.freeze()
        time.sleep(rng.uniform(*length_s))
        environment.servers.redis.process.thaw()
        return "Redis"

    return do


def _answer_busy(environment: Environment, rng: random.Random) -> str:
    """Run a script that does not end: Redis answers BUSY to all others."""
    server = environment.servers.redis
    server.ask("CONFIG", "SET", "lua-time-limit", "50")
    script = threading.Thread(target=lambda: _ask(server, "EVAL", "while true do end", "0"))
    script.start()
    time.sleep(rng.uniform(*_ANSWER_S))
    while script.is_alive():  # the script counts as endless only after its time limit
        _ask(server, "SCRIPT", "KILL")
        script.join(0.2)
    return "Redis"


def _answer_noreplicas(environment: Environment, rng: random.Random) -> str:
    server = environment.servers.redis
    server.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    time.sleep(rng.uniform(*_ANSWER_S))
    server.ask("CONFIG", "SET", "min-replicas-to-write", "0")
    return "Redis"


def _answer_readonly(environment: Environment, rng: random.Random) -> str:
    """Demote the server to a replica of one that never answers: it keeps its data."""
    server = environment.servers.redis
    server.ask("REPLICAOF", "127.0.0.1", "1")
    time.sleep(rng.uniform(*_ANSWER_S))
    server.ask("REPLICAOF", "NO", "ONE")
    return "Redis"


def _ask(server: DevRedis, *command: str) -> None:
    with suppress(RuntimeError):  # a killed script is an error to redis-cli, as is a kill without a script
        server.ask(*command)


def _relays(environment: Environment, rng: random.Random) -> tuple[list[Relay], str]:
    brokers, to_redis = list(environment.servers.broker_relays), environment.servers.redis_relay
    which = rng.randrange(BROKERS + 2)
    if which < BROKERS:
        return [brokers[which]], f"to broker {which + 1}"
    return ([to_redis], "to Redis") if which == BROKERS else ([*brokers, to_redis], "to all servers")


def _cut_connections(environment: Environment, rng: random.Random) -> str:
    relays, target = _relays(environment, rng)
    reset = rng.random() < 1 / 2
    for relay in relays:
        relay.cut(reset=reset)
    return f"connections {target}" + (", by reset" if reset else "")


def _stall_connections(environment: Environment, rng: random.Random) -> str:
    relays, target = _relays(environment, rng)
    for relay in relays:
        relay.freeze()
    time.sleep(rng.uniform(1, SESSION_S + 4))
    for relay in relays:
        relay.thaw()
    return f"connections {target}"


def _send_poison(environment: Environment, rng: random.Random) -> str:
    chosen = rng.sample(POISONS, _POISONS_AT_ONCE)
    for poison in chosen:
        environment.load.poison(poison)
    return ", ".join(poison.name for poison in chosen)


BROKER_FAULTS: Final[Mapping[str, FaultAction]] = {
    "broker stopped": _on_broker(_stop_broker),
    "broker killed": _on_broker(_kill_broker),
    "broker frozen, shorter than its session": _freeze_broker(_SHORT_S),
    "broker frozen, longer than its session": _freeze_broker(_LONG_S),
}
WORKER_FAULTS: Final[Mapping[str, FaultAction]] = {
    "worker killed": _kill_worker,
    "worker frozen, shorter than its session": _freeze_worker(_SHORT_S),
    "worker frozen, longer than its session": _freeze_worker(_LONG_S),
    "rebalance": _add_third_worker,
}
REDIS_FAULTS: Final[Mapping[str, FaultAction]] = {
    "Redis stopped": _stop_redis,
    "Redis killed": _kill_redis,
    "Redis frozen": _freeze_redis((1.0, SESSION_S + 4.0)),
    "Redis answers BUSY": _answer_busy,
    "Redis answers NOREPLICAS": _answer_noreplicas,
    "Redis answers READONLY": _answer_readonly,
    "connections cut": _cut_connections,
    "connections stalled": _stall_connections,
    "poison": _send_poison,
}
"""Faults of Redis, of connections, and of records."""
