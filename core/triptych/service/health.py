"""Whether a program is alive and ready, as its own threads say it; `status.py` serves the answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from triptych.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one question, and what speaks against a yes, by name."""

    ok: bool
    missing: dict[str, str]


class Health:
    """What is known of a program's state. Any thread may tell or ask."""

    def __init__(
        self,
        program: str = "worker",
        *,
        starting: Mapping[str, str] | None = None,
        stall_after_s: float = 30.0,
        start_limit_s: float = 300.0,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Begin not ready, and alive for as long as a start may take.

        Args:
            program: what it is, in a word.
            starting: conditions that it has to meet, and what is said of them at first.
            stall_after_s: a loop that has not beaten for so long counts as stuck.
            start_limit_s: how long the first beat may take: a worker reads weights and warms its model before it.
            clock_ns: a monotonic clock.
        """
        self._program = program
        self._stall_after_ns = round(stall_after_s * NS_PER_S)
        self._start_limit_ns = round(start_limit_s * NS_PER_S)
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self._started_ns = clock_ns()
        self._beaten_ns: int | None = None
        self._missing: dict[str, str] = dict(starting or {})

    def set_ready(self, name: str, ready: bool, reason: str = "") -> None:  # noqa: FBT001 - the value that is set
        """Say whether a condition holds, and why not. A name that is new counts from now on."""
        with self._lock:
            if ready:
                self._missing.pop(name, None)
            else:
                self._missing[name] = reason or "not ready"

    def beat(self) -> None:
        """Say that the program's loop goes round."""
        with self._lock:
            self._beaten_ns = self._clock_ns()

    def readiness(self) -> Verdict:
        """Tell whether every condition holds."""
        with self._lock:
            missing = dict(sorted(self._missing.items()))
        return Verdict(not missing, missing)

    def liveness(self) -> Verdict:
        """Tell whether the loop goes round, or may still be on its way to do so."""
        with self._lock:
            since_ns = self._clock_ns() - (self._started_ns if self._beaten_ns is None else self._beaten_ns)
            limit_ns = self._start_limit_ns if self._beaten_ns is None else self._stall_after_ns
            what = "has not begun" if self._beaten_ns is None else "has not gone round"
        if since_ns <= limit_ns:
            return Verdict(ok=True, missing={})
        spans = f"for {since_ns / NS_PER_S:.0f} s; allowed are {limit_ns / NS_PER_S:g} s"
        reason = f"the {self._program}'s loop {what} {spans}"
        return Verdict(ok=False, missing={"loop": reason})
