"""Faults of the connections of a soak test: cut, reset, unavailable and frozen, one after another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.producers.live.relay import Relay

KINDS: Final = ("cut", "reset", "away", "frozen")
_AWAY_S: Final = 12.0
_SHORTLY_AWAY_S: Final = 3.0
_FROZEN_LIMIT_S: Final = 40.0


@dataclass(frozen=True, slots=True)
class Break:
    """A fault of a connection. Times are wall-clock."""

    stream: str
    kind: str
    from_ns: int
    to_ns: int


class Breaker:
    """Breaks one connection repeatedly, on its own thread."""

    def __init__(self, stream: str, relay: Relay, losses: Callable[[str], int], done: threading.Event) -> None:
        """Break the connection of a stream.

        Args:
            stream: name of the stream.
            relay: the relay of its connection.
            losses: returns how often the producer has logged that it lost a stream.
            done: ends the thread when it is set.
        """
        self._stream = stream
        self._relay = relay
        self._losses = losses
        self._done = done
        self.breaks: list[Break] = []

    def run(self, moments_s: list[float]) -> threading.Thread:
        """Start a thread that breaks the connection at these times, in seconds from now."""
        began = time.monotonic()
        thread = threading.Thread(target=self._run, args=([began + moment for moment in moments_s],), daemon=True)
        thread.start()
        return thread

    def _run(self, moments: list[float]) -> None:
        for number, moment in enumerate(moments):
            if self._done.wait(max(0.0, moment - time.monotonic())):
                return
            kind = KINDS[number % len(KINDS)]
            from_ns = time.time_ns()
            self._break(kind)
            self.breaks.append(Break(self._stream, kind, from_ns, time.time_ns()))

    def _break(self, kind: str) -> None:
        """Break the connection, then repair it."""
        if kind == "frozen":
            before, deadline = self._losses(self._stream), time.monotonic() + _FROZEN_LIMIT_S
            self._relay.freeze()
            while self._losses(self._stream) == before and time.monotonic() < deadline and not self._done.wait(0.5):
                pass
            self._relay.thaw()
            return
        self._relay.refuse(on=True)
        self._relay.cut(reset=kind == "reset")
        self._done.wait(_AWAY_S if kind == "away" else _SHORTLY_AWAY_S)
        self._relay.refuse(on=False)
