"""The schedule of faults, chosen at random and reproducible by seed.

Each of four lanes runs its own faults one after another. Faults of different lanes overlap at random.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.comparison import Fault
from tests.chaos.environment import Environment, FaultAction
from tests.chaos.faults import BROKER_FAULTS, REDIS_FAULTS, WORKER_FAULTS
from tests.chaos.outages import BROKER_OUTAGES, PRODUCER_FAULTS, WORKER_OUTAGES


@dataclass(frozen=True, slots=True)
class Lane:
    """A group of faults that run one after another, with pauses in between.

    The outages come first, so that a short run has each of them.
    """

    name: str
    actions: Mapping[str, FaultAction]
    pause_s: tuple[float, float]
    outages: Mapping[str, FaultAction] = field(default_factory=dict)
    wait_until_possible: Callable[[Environment], None] = lambda _: None

    def order(self, rng: random.Random) -> Iterator[tuple[str, FaultAction]]:
        """Yield faults forever, in rounds: all of them, then all of them in another order."""
        outages, actions = list(self.outages.items()), list(self.actions.items())
        yield from rng.sample(outages, len(outages))
        yield from rng.sample(actions, len(actions))
        while True:
            yield from rng.sample(outages + actions, len(outages) + len(actions))


LANES: Final = (
    Lane(
        "brokers",
        BROKER_FAULTS,
        (2.0, 8.0),
        BROKER_OUTAGES,
        lambda environment: environment.servers.wait_until_in_sync(),
    ),
    Lane("workers", WORKER_FAULTS, (3.0, 10.0), WORKER_OUTAGES),
    Lane("producers", PRODUCER_FAULTS, (2.0, 8.0)),
    Lane("Redis and connections", REDIS_FAULTS, (1.0, 6.0)),
)


class Faults:
    """Runs the faults of all lanes until `finish`."""

    def __init__(
        self,
        environment: Environment,
        seed: int,
        on_fault: Callable[[Fault], None],
        *,
        pause: float = 1.0,
        lanes: tuple[Lane, ...] = LANES,
    ) -> None:
        """Run faults in `environment`.

        Args:
            environment: the servers and workers that the faults affect.
            seed: determines the kind, target, duration and order of faults.
            on_fault: called after each fault, on any thread.
            pause: factor for the pauses between faults.
            lanes: the faults to run.
        """
        self._pause = pause
        self._environment = environment
        self._seed = seed
        self._on_fault = on_fault
        self._lanes = lanes
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.done: list[Fault] = []
        self.errors: list[BaseException] = []

    def start(self) -> None:
        """Start the threads of all lanes."""
        for lane in self._lanes:
            thread = threading.Thread(target=self._run, args=(lane,), name=lane.name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def finish(self) -> None:
        """Block until the current faults are over and repaired."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, lane: Lane) -> None:
        rng = random.Random(f"{self._seed}/{lane.name}")  # noqa: S311 - reproducible, not secret
        try:
            for kind, act in lane.order(rng):
                if self._stop.wait(self._pause * rng.uniform(*lane.pause_s)):
                    return
                lane.wait_until_possible(self._environment)
                from_ns = time.time_ns()
                target = act(self._environment, rng)
                fault = Fault(kind, target, from_ns, time.time_ns())
                self.done.append(fault)
                self._on_fault(fault)
        except BaseException as error:  # noqa: BLE001 - part of the report
            self.errors.append(error)
