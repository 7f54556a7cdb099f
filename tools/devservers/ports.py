"""Free loopback ports."""

from __future__ import annotations

import random
import socket

# Below the range of ports that Linux assigns to outgoing connections: one of those could take a port between the
# check and the start of the server.
FIRST, LAST = 20_000, 32_000
HOST = "127.0.0.1"
_DICE = random.SystemRandom()  # two processes that seed alike must not choose the same ports


def free_ports(count: int) -> list[int]:
    """Return `count` different ports on which nothing listens now."""
    ports: list[int] = []
    for port in _DICE.sample(range(FIRST, LAST), 1000):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise RuntimeError(f"expected {count} free ports in {FIRST}..{LAST}, found {len(ports)}")
