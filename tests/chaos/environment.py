"""Everything that a fault can affect."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.chaos.link import Link
from tests.chaos.load import Load
from tests.chaos.sent import LoopedClip
from tests.chaos.servers import ChaosServers
from tests.chaos.workers import WorkerPool


@dataclass(frozen=True, slots=True)
class Environment:
    """Servers, workers and producers.

    `feeds` are real producers; `link` is that of the first one, which needs `link_bytes_per_s`. `workers_away_s` is how
    long an outage of all workers lasts.
    """

    servers: ChaosServers
    workers: WorkerPool
    load: Load
    feeds: Sequence[LoopedClip]
    link: Link
    link_bytes_per_s: float
    workers_away_s: float


FaultAction = Callable[[Environment, random.Random], str]
"""Causes a fault, repairs it, and returns a description of its target."""
