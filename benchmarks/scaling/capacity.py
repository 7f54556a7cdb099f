"""What many streams need, computed from measured costs: `python -m benchmarks.scaling.capacity [STREAMS …]`.

It prints the tables of docs/scaling.md; a test compares them. Every figure is a measured cost times a load, divided
by what one unit of a resource can do. Nothing here was measured with as many streams as it speaks of.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

DEFAULT_STREAMS: Final = (100, 10_000, 1_000_000)
_S_PER_DAY: Final = 86_400
_MS_PER_S: Final = 1_000


@dataclass(frozen=True, slots=True)
class StreamLoad:
    """What a stream sends, with the default options of `triptych produce`.

    Attributes:
        window_s: length of a window in seconds (window.size_ms).
        pictures_per_s: pictures a second (--fps).
        picture_bytes: size of a picture of 640x360, as JPEG of quality 85.
        sound_bytes_per_s: 16 kHz, 16 bits, mono.
        other_records_per_s: chunks of sound and cues a second.
        result_bytes: size of a result of the base model with its vectors (docs/spaces.md).
    """

    window_s: float = 2.0
    pictures_per_s: float = 4.0
    picture_bytes: int = 40_000
    sound_bytes_per_s: int = 32_000
    other_records_per_s: float = 2.5
    result_bytes: int = 8_000

    @property
    def bytes_per_s(self) -> float:
        """Bytes a second."""
        return self.pictures_per_s * self.picture_bytes + self.sound_bytes_per_s

    @property
    def records_per_s(self) -> float:
        """Records a second."""
        return self.pictures_per_s + self.other_records_per_s


@dataclass(frozen=True, slots=True)
class MeasuredCosts:
    """Costs on one core of the machine of docs/performance.md, in CPU milliseconds.

    Attributes:
        worker_ms: a window in a worker with Kafka and Redis, model `null` (`road-servers`).
        base_ms: a window of four pictures in a worker with the base model in OpenVINO (`pipeline`).
        broker_ms: a window in the broker (`python -m benchmarks.scaling.workers`); an upper bound, of a cold JVM.
        redis_ms: a window in Redis (the same).
        producer_ms: a second of media of 320x180 in a producer (`produce`).
    """

    worker_ms: float = 5.85
    base_ms: float = 78.0
    broker_ms: float = 4.6
    redis_ms: float = 0.1
    producer_ms: float = 17.0


@dataclass(frozen=True, slots=True)
class Capacities:
    """What one unit of a resource gives. The first ones are defaults of Triptych, the others typical machines.

    Attributes:
        retention_days: how long the topics keep records.
        replication: replicas of each partition.
        results_kept: results that Redis keeps of each stream (redis.results_maxlen).
        partitions: partitions of a topic, and so the largest number of workers.
        broker_disk_bytes: disk of a broker.
        broker_network_bytes_per_s: 10 Gbit/s in each direction, of which 70 % are used.
        broker_cores: CPU cores of a broker.
        redis_memory_bytes: memory of a Redis.
        busy: the share of a core that is planned.
    """

    retention_days: float = 7.0
    replication: int = 3
    results_kept: int = 10_000
    partitions: int = 6
    broker_disk_bytes: float = 4e12
    broker_network_bytes_per_s: float = 0.7 * 10e9 / 8
    broker_cores: int = 8
    redis_memory_bytes: float = 64e9
    busy: float = 0.7


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource that streams need.

    Attributes:
        name: what it is.
        streams_per_unit: how many streams one unit carries.
        default_units: how many units there are without a change of any setting; None where more can be added freely.
    """

    name: str
    streams_per_unit: float
    default_units: int | None = None

    def units(self, streams: int) -> int:
        """Return how many units so many streams need."""
        return max(1, ceil(streams / self.streams_per_unit))

    @property
    def default_streams(self) -> float | None:
        """How many streams the default units carry."""
        return None if self.default_units is None else self.streams_per_unit * self.default_units


def resources(load: StreamLoad, costs: MeasuredCosts, has: Capacities) -> list[Resource]:
    """Return what each resource carries.

    The formulas:

    - cores: `busy x 1000 / (milliseconds a second of the stream)`;
    - disk: `disk / (bytes a second x retention x replicas)`;
    - network: each byte reaches a broker `replicas` times, and leaves one as often: to the other replicas and a worker;
    - Redis: `memory / (results kept x bytes of a result)`.
    """
    core_ms = has.busy * _MS_PER_S
    stored_bytes = load.bytes_per_s * has.retention_days * _S_PER_DAY * has.replication
    brokers = has.replication
    null_streams, base_streams = (core_ms / (cost / load.window_s) for cost in (costs.worker_ms, costs.base_ms))
    return [
        Resource("producer cores", core_ms / costs.producer_ms),
        Resource("worker processes, `null` (a core each)", null_streams, has.partitions),
        Resource("worker cores, base model", base_streams, has.partitions),
        Resource("brokers, by disk", has.broker_disk_bytes / stored_bytes, brokers),
        Resource("brokers, by network", has.broker_network_bytes_per_s / (load.bytes_per_s * has.replication), brokers),
        Resource("brokers, by CPU", core_ms * has.broker_cores / (costs.broker_ms / load.window_s), brokers),
        Resource("Redis, by memory", has.redis_memory_bytes / (has.results_kept * load.result_bytes), 1),
        Resource("Redis, by CPU", core_ms / (costs.redis_ms / load.window_s), 1),
    ]


def order_of_breaking(needed: Sequence[Resource]) -> list[tuple[str, int]]:
    """Return the resources by the number of streams that the defaults carry, the one that breaks first at the front."""
    bounds = [(each.name, int(each.default_streams)) for each in needed if each.default_streams is not None]
    return sorted(bounds, key=lambda each: each[1])


def tables(streams: Sequence[int] = DEFAULT_STREAMS) -> str:
    """Return both tables as Markdown: what is needed, and what breaks first."""
    load, has = StreamLoad(), Capacities()
    needed = resources(load, MeasuredCosts(), has)
    head = " | ".join(f"{count:,} streams" for count in streams)
    rows = [f"| needed | one carries | {head} |", "|---|---" + "|---" * len(streams) + "|"]
    flows = [
        ("windows a second", [count / load.window_s for count in streams]),
        ("records a second", [count * load.records_per_s for count in streams]),
        ("MB a second into the topics", [count * load.bytes_per_s / 1e6 for count in streams]),
    ]
    rows += [f"| {name} | | " + " | ".join(f"{value:,.0f}" for value in values) + " |" for name, values in flows]
    rows += [
        f"| {each.name} | {each.streams_per_unit:,.0f} | "
        + " | ".join(f"{each.units(count):,}" for count in streams)
        + " |"
        for each in needed
    ]
    order = ["| breaks first, with the defaults | at streams |", "|---|---|"]
    order += [f"| {name} | {bound:,} |" for name, bound in order_of_breaking(needed)]
    return "\n".join(rows) + "\n\n" + "\n".join(order)


def main(args: Sequence[str]) -> None:
    """Print the tables."""
    sys.stdout.write(f"{tables([int(each) for each in args] or DEFAULT_STREAMS)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
