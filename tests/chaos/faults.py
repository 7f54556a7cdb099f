"""What is done to the servers, the workers and their connections: dealt by chance, the same for the same seed.

There are three lanes, each with faults of its own, one after another; faults of different lanes overlap as chance has
it. Only one broker at a time is away: two of three must hold a record before it is acknowledged.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tests.chaos.crew import WORKERS, Crew
from tests.chaos.judgement import Fault
from tests.chaos.load import Load
from tests.chaos.poisons import POISONS
from tests.chaos.stage import SESSION_S, Stage
from tests.producers.live.relay import Relay
from tools.devservers.kafka_cluster import BROKERS

_SHORT_S: Final = (1.0, SESSION_S - 2.0)
_LONG_S: Final = (SESSION_S + 2.0, SESSION_S + 6.0)
_AWAY_S: Final = (0.0, 5.0)
_POISONS_AT_ONCE: Final = 3
_GUEST_LIMIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Scene:
    """All that faults may be done to."""

    stage: Stage
    crew: Crew
    load: Load


Deed = Callable[[Scene, random.Random], str]
"""Does something, undoes it, and says to what it was done."""


# --- brokers ----------------------------------------------------------------------------------------------------------


def _on_broker(deed: Callable[[Scene, random.Random, int], None]) -> Deed:
    def do(scene: Scene, dice: random.Random) -> str:
        number = dice.randrange(BROKERS)
        deed(scene, dice, number)
        return f"broker {number + 1}"

    return do


def _stop_broker(scene: Scene, dice: random.Random, number: int) -> None:
    broker = scene.stage.cluster.brokers[number]
    broker.stop()
    time.sleep(dice.uniform(*_AWAY_S))
    broker.start()


def _kill_broker(scene: Scene, dice: random.Random, number: int) -> None:
    broker = scene.stage.cluster.brokers[number]
    broker.kill()
    time.sleep(dice.uniform(*_AWAY_S))
    broker.start()


def _freeze_broker(length_s: tuple[float, float]) -> Deed:
    def freeze(scene: Scene, dice: random.Random, number: int) -> None:
        broker = scene.stage.cluster.brokers[number]
        broker.freeze()
        time.sleep(dice.uniform(*length_s))
        broker.thaw()

    return _on_broker(freeze)


# --- workers ----------------------------------------------------------------------------------------------------------


def _kill_worker(scene: Scene, dice: random.Random) -> str:
    place = dice.randrange(WORKERS)
    scene.crew.take(place).kill()
    time.sleep(dice.uniform(0, 3))
    scene.crew.put_back(place)
    return f"worker {place + 1}"


def _freeze_worker(length_s: tuple[float, float]) -> Deed:
    def do(scene: Scene, dice: random.Random) -> str:
        place = dice.randrange(WORKERS)
        member = scene.crew.take(place)
        member.freeze()
        time.sleep(dice.uniform(*length_s))
        member.thaw()
        scene.crew.put_back(place, member)
        return f"worker {place + 1}"

    return do


def _third_worker(scene: Scene, dice: random.Random) -> str:
    guest = scene.crew.start_guest()
    deadline = time.monotonic() + _GUEST_LIMIT_S
    while guest.is_running and not guest.events("partitions_assigned") and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(dice.uniform(0, 4))
    leaves = dice.random() < 2 / 3
    if leaves:
        guest.stop()
    else:
        guest.kill()
    return "third worker, " + ("told to leave" if leaves else "killed")


# --- Redis, connections, poison ---------------------------------------------------------------------------------------


def _stop_redis(scene: Scene, dice: random.Random) -> str:
    scene.stage.redis.stop()
    time.sleep(dice.uniform(*_AWAY_S))
    scene.stage.redis.start()
    return "Redis"


def _kill_redis(scene: Scene, dice: random.Random) -> str:
    scene.stage.redis.process.kill()
    time.sleep(dice.uniform(*_AWAY_S))
    scene.stage.redis.start()
    return "Redis"


def _freeze_redis(length_s: tuple[float, float]) -> Deed:
    def do(scene: Scene, dice: random.Random) -> str:
        scene.stage.redis.process.freeze()
        time.sleep(dice.uniform(*length_s))
        scene.stage.redis.process.thaw()
        return "Redis"

    return do


def _relays(scene: Scene, dice: random.Random) -> tuple[list[Relay], str]:
    brokers, to_redis = list(scene.stage.broker_relays), scene.stage.redis_relay
    which = dice.randrange(BROKERS + 2)
    if which < BROKERS:
        return [brokers[which]], f"to broker {which + 1}"
    return ([to_redis], "to Redis") if which == BROKERS else ([*brokers, to_redis], "to all servers")


def _cut_connections(scene: Scene, dice: random.Random) -> str:
    relays, target = _relays(scene, dice)
    reset = dice.random() < 1 / 2
    for relay in relays:
        relay.cut(reset=reset)
    return f"connections {target}" + (", by reset" if reset else "")


def _stall_connections(scene: Scene, dice: random.Random) -> str:
    relays, target = _relays(scene, dice)
    for relay in relays:
        relay.freeze()
    time.sleep(dice.uniform(1, SESSION_S + 4))
    for relay in relays:
        relay.thaw()
    return f"connections {target}"


def _send_poison(scene: Scene, dice: random.Random) -> str:
    chosen = dice.sample(POISONS, _POISONS_AT_ONCE)
    for poison in chosen:
        scene.load.poison(poison)
    return ", ".join(poison.name for poison in chosen)


@dataclass(frozen=True, slots=True)
class Lane:
    """Faults that are done one after another, and the pauses between them."""

    name: str
    deeds: Mapping[str, Deed]
    pause_s: tuple[float, float]
    wait_until_possible: Callable[[Scene], None] = lambda _: None


LANES: Final = (
    Lane(
        "brokers",
        {
            "broker stopped": _on_broker(_stop_broker),
            "broker killed": _on_broker(_kill_broker),
            "broker frozen, shorter than its session": _freeze_broker(_SHORT_S),
            "broker frozen, longer than its session": _freeze_broker(_LONG_S),
        },
        (2.0, 8.0),
        lambda scene: scene.stage.wait_until_in_sync(),
    ),
    Lane(
        "workers",
        {
            "worker killed": _kill_worker,
            "worker frozen, shorter than its session": _freeze_worker(_SHORT_S),
            "worker frozen, longer than its session": _freeze_worker(_LONG_S),
            "rebalance": _third_worker,
        },
        (3.0, 10.0),
    ),
    Lane(
        "Redis and connections",
        {
            "Redis stopped": _stop_redis,
            "Redis killed": _kill_redis,
            "Redis frozen": _freeze_redis((1.0, SESSION_S + 4.0)),
            "connections cut": _cut_connections,
            "connections stalled": _stall_connections,
            "poison": _send_poison,
        },
        (1.0, 6.0),
    ),
)


def dealt(names: list[str], dice: random.Random) -> Iterator[str]:
    """Deal kinds of faults for ever: all of them, then all of them in another order."""
    while True:
        yield from dice.sample(names, len(names))


class Faults:
    """Does faults in all lanes until told to end."""

    def __init__(
        self,
        scene: Scene,
        seed: int,
        told: Callable[[Fault], None],
        *,
        pause: float = 1.0,
        lanes: tuple[Lane, ...] = LANES,
    ) -> None:
        """Do them to the scene; `told` hears of each when it is over, on any thread. `pause` makes pauses longer."""
        self._pause = pause
        self._scene = scene
        self._seed = seed
        self._told = told
        self._lanes = lanes
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.done: list[Fault] = []
        self.errors: list[BaseException] = []

    def start(self) -> None:
        """Begin."""
        for lane in self._lanes:
            thread = threading.Thread(target=self._run, args=(lane,), name=lane.name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def finish(self) -> None:
        """Return when the last ones are over, and all is whole."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, lane: Lane) -> None:
        dice = random.Random(f"{self._seed}/{lane.name}")  # noqa: S311 - to be repeated, not to be secret
        try:
            for kind in dealt(list(lane.deeds), dice):
                if self._stop.wait(self._pause * dice.uniform(*lane.pause_s)):
                    return
                lane.wait_until_possible(self._scene)
                from_ns = time.time_ns()
                target = lane.deeds[kind](self._scene, dice)
                fault = Fault(kind, target, from_ns, time.time_ns())
                self.done.append(fault)
                self._told(fault)
        except BaseException as error:  # noqa: BLE001 - judged in the end
            self.errors.append(error)
