"""A cluster of three real Apache Kafka brokers. It works without any one of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from tools.devservers.kafka import DevKafka, ExtraListener, KafkaOptions, Seat, new_cluster_id
from tools.devservers.ports import HOST, free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

BROKERS = 3
HEAP_MB = 384


class DevKafkaCluster:
    """Three brokers. Records acknowledged by all in-sync replicas are on at least two of them."""

    def __init__(
        self,
        options: KafkaOptions | None = None,
        *,
        ports: Sequence[int] | None = None,
        advertised_ports: Sequence[int] | None = None,
        extra: Sequence[ExtraListener] | None = None,
    ) -> None:
        """Create the brokers.

        Args:
            options: the options of each broker.
            ports: the ports to listen on. Default: free ports.
            advertised_ports: the ports that clients connect to, if there is a proxy in between.
            extra: a second listener of each broker.
        """
        options = options or KafkaOptions(heap_mb=HEAP_MB)
        free = free_ports(3 * BROKERS)
        self._ports = tuple(ports or free[:BROKERS])
        self._advertised_ports = tuple(advertised_ports or self._ports)
        cluster_id, inner, control = new_cluster_id(), tuple(free[BROKERS : 2 * BROKERS]), tuple(free[2 * BROKERS :])
        extras = tuple(extra or [None] * BROKERS)
        self.brokers: tuple[DevKafka, ...] = tuple(
            DevKafka(
                options,
                port=port,
                seat=Seat(number, cluster_id, inner, control, advertised_port=advertised),
                extra=extras[number],
            )
            for number, (port, advertised) in enumerate(zip(self._ports, self._advertised_ports, strict=True))
        )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for broker in self.brokers:
                stack.callback(broker.close)
            self.start_all()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # With one broker left there is no controller, and a clean stop would wait for one.
        for broker in self.brokers:
            broker.kill()
        self._stack.close()

    def start_all(self) -> None:
        """Start all brokers, and wait until each answers."""
        self._do_at_once(DevKafka.start)  # no broker is ready before two of them are

    def stop_all(self) -> None:
        """Stop all brokers cleanly; keep their data. The last ones are killed: they would wait for a controller."""
        self._do_at_once(DevKafka.stop)

    def kill_all(self) -> None:
        """Kill all brokers, as in a crash; keep their data."""
        self._do_at_once(DevKafka.kill)

    def _do_at_once(self, action: Callable[[DevKafka], None]) -> None:
        with ThreadPoolExecutor(BROKERS) as pool:
            for done in [pool.submit(action, broker) for broker in self.brokers]:
                done.result()

    @property
    def bootstrap_servers(self) -> str:
        """The addresses for clients, through any proxies."""
        return ",".join(f"{HOST}:{port}" for port in self._advertised_ports)

    @property
    def direct_servers(self) -> str:
        """The brokers' own addresses."""
        return ",".join(f"{HOST}:{port}" for port in self._ports)
