"""The link between one producer and the brokers, which can be cut, slowed, or made to lose packets.

TCP hides the loss of packets from programs: they see stalls while packets are sent again, ever longer ones, and in the
end a reset connection. So a link that loses packets stalls and resets here; no packet is dropped.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from tests.producers.live.relay import Relay

RESET_AFTER_S: Final = (2.0, 6.0)
"""How long a connection lives on a link that loses packets."""
_STALL_PROBABILITY: Final = 0.1
_FIRST_STALL_S: Final = 0.2
"""The first retransmission timeout. It doubles each time that the packet is lost again."""
_MOST_DOUBLINGS: Final = 4


class Link:
    """Relays from one producer to all brokers, which share one bandwidth. A context manager.

    `sent_bytes` is how much went to the brokers so far.
    """

    def __init__(self, server_ports: Sequence[int], seed: int) -> None:
        """Relay to these ports. The seed determines which packets are lost."""
        self.relays: Final = tuple(Relay(port, pace=self._pace) for port in server_ports)
        self.sent_bytes = 0
        self._rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._bytes_per_s: float | None = None
        self._loses = False
        self._free_at_s = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for relay in self.relays:
                stack.enter_context(relay)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._set(bytes_per_s=None, loses=False)
        self._stack.close()

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of the relays."""
        return ",".join(f"127.0.0.1:{relay.port}" for relay in self.relays)

    def cut(self, length_s: float) -> None:
        """Reset all connections, and refuse new ones for some seconds."""
        for relay in self.relays:
            relay.refuse(on=True)
        for relay in self.relays:
            relay.cut(reset=True)
        time.sleep(length_s)
        for relay in self.relays:
            relay.refuse(on=False)

    def slow(self, bytes_per_s: float, length_s: float) -> None:
        """Relay no more than a number of bytes per second to the brokers, for some seconds."""
        self._set(bytes_per_s=bytes_per_s, loses=False)
        time.sleep(length_s)
        self._set(bytes_per_s=None, loses=False)

    def lose_packets(self, length_s: float, rng: random.Random) -> None:
        """Stall and reset connections for some seconds, as TCP does on a link that loses packets."""
        self._set(bytes_per_s=None, loses=True)
        end_s = time.monotonic() + length_s
        while (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(left_s, rng.uniform(*RESET_AFTER_S)))
            rng.choice(self.relays).cut(reset=True)
        self._set(bytes_per_s=None, loses=False)

    def measured_bytes_per_s(self, length_s: float) -> float:
        """Measure for some seconds how much the producer sends."""
        before, started_s = self.sent_bytes, time.monotonic()
        time.sleep(length_s)
        return (self.sent_bytes - before) / (time.monotonic() - started_s)

    def _set(self, *, bytes_per_s: float | None, loses: bool) -> None:
        with self._changed:
            self._bytes_per_s, self._loses, self._free_at_s = bytes_per_s, loses, time.monotonic()
            self._changed.notify_all()

    def _pace(self, size_bytes: int, to_server: bool) -> None:  # noqa: FBT001 - a callback
        with self._changed:
            until_s = self._free_from_s(size_bytes, to_server=to_server)
            while (self._bytes_per_s is not None or self._loses) and (left_s := until_s - time.monotonic()) > 0:
                self._changed.wait(left_s)
            self.sent_bytes += size_bytes if to_server else 0

    def _free_from_s(self, size_bytes: int, *, to_server: bool) -> float:
        """Return the monotonic time at which bytes that have come may go on."""
        now_s = time.monotonic()
        if self._bytes_per_s is not None and to_server:
            self._free_at_s = max(now_s, self._free_at_s) + size_bytes / self._bytes_per_s
            return self._free_at_s
        if self._loses and self._rng.random() < _STALL_PROBABILITY:
            return now_s + _FIRST_STALL_S * (1 << self._rng.randint(0, _MOST_DOUBLINGS))
        return now_s
