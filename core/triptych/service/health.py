"""Liveness and readiness of a program. `status.py` serves them over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from triptych.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a liveness or readiness check, with the unmet conditions by name."""

    ok: bool
    missing: dict[str, str]


class Health:
    """Collects conditions and heartbeats. Any thread may call its methods."""

    def __init__(
        self,
        program: str = "worker",
        *,
        starting: Mapping[str, str] | None = None,
        stall_after_s: float = 30.0,
        start_limit_s: float = 300.0,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Start as alive, and as ready only if `starting` is empty.

        Args:
            program: name of the program for messages.
            starting: conditions that are not met at first, each with the reason.
            stall_after_s: maximum time between two heartbeats.
            start_limit_s: maximum time until the first heartbeat. A worker loads and warms up its model before it.
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
        """Set whether a condition is met, and the reason if it is not. An unknown name adds a condition."""
        with self._lock:
            if ready:
                self._missing.pop(name, None)
            else:
                self._missing[name] = reason or "not ready"

    def beat(self) -> None:
        """Record a heartbeat of the program's main loop."""
        with self._lock:
            self._beaten_ns = self._clock_ns()

    def readiness(self) -> CheckResult:
        """Return whether all conditions are met."""
        with self._lock:
            missing = dict(sorted(self._missing.items()))
        return CheckResult(not missing, missing)

    def liveness(self) -> CheckResult:
        """Return whether the last heartbeat is recent enough, or the first one is not overdue yet."""
        with self._lock:
            since_ns = self._clock_ns() - (self._started_ns if self._beaten_ns is None else self._beaten_ns)
            limit_ns = self._start_limit_ns if self._beaten_ns is None else self._stall_after_ns
            problem = "has not started" if self._beaten_ns is None else "has not completed an iteration"
        if since_ns <= limit_ns:
            return CheckResult(ok=True, missing={})
        durations = f"for {since_ns / NS_PER_S:.0f} s; the limit is {limit_ns / NS_PER_S:g} s"
        return CheckResult(ok=False, missing={"loop": f"the {self._program}'s loop {problem} {durations}"})
