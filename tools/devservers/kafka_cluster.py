"""Three real Apache Kafka brokers that form a cluster: it goes on without any one of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from tools.devservers.kafka import DevKafka, KafkaOptions, Seat, new_cluster_id
from tools.devservers.ports import HOST, free_ports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

BROKERS = 3
HEAP_MB = 384


class DevKafkaCluster:
    """Three brokers; what is acknowledged by all in sync lies on two of them at least."""

    def __init__(
        self,
        options: KafkaOptions | None = None,
        *,
        ports: Sequence[int] | None = None,
        advertised_ports: Sequence[int] | None = None,
    ) -> None:
        """Make the brokers.

        Args:
            options: What each is started with.
            ports: Where they listen; any free ports, if not given.
            advertised_ports: Where clients are told to find them, when something stands in between.
        """
        options = options or KafkaOptions(heap_mb=HEAP_MB)
        free = free_ports(3 * BROKERS)
        self._ports = tuple(ports or free[:BROKERS])
        self._advertised_ports = tuple(advertised_ports or self._ports)
        cluster_id, inner, control = new_cluster_id(), tuple(free[BROKERS : 2 * BROKERS]), tuple(free[2 * BROKERS :])
        self.brokers: tuple[DevKafka, ...] = tuple(
            DevKafka(options, port=port, seat=Seat(number, cluster_id, inner, control, advertised_port=advertised))
            for number, (port, advertised) in enumerate(zip(self._ports, self._advertised_ports, strict=True))
        )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for broker in self.brokers:
                stack.callback(broker.close)
            # None is ready before two of them are.
            with ThreadPoolExecutor(BROKERS) as pool:
                for started in [pool.submit(broker.start) for broker in self.brokers]:
                    started.result()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The last two could not elect a controller any more, and would wait for one before they end.
        for broker in self.brokers:
            broker.kill()
        self._stack.close()

    @property
    def bootstrap_servers(self) -> str:
        """Where clients find the brokers, by way of whatever stands in between."""
        return ",".join(f"{HOST}:{port}" for port in self._advertised_ports)

    @property
    def direct_servers(self) -> str:
        """Where the brokers themselves listen."""
        return ",".join(f"{HOST}:{port}" for port in self._ports)
