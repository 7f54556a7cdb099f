"""The workers of a chaos test: two, restarted whenever they exit, with their memory watched."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.chaos import faulty_worker
from tests.e2e.programs import PROGRAM_LIMIT_S, Finished, Installation, Program

WORKERS: Final = 2
EXIT_UNAVAILABLE: Final = 3
"""Exit code of a worker that finds Kafka or Redis unavailable at startup. Its supervisor restarts it."""
_WATCH_S: Final = 0.5
_RESTART_S: Final = 2.0
"""Delay of a restart, as of a supervisor: a worker that ends at once must not take the processor from the brokers."""
_STARTING_LIMIT_S: Final = 60.0
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_KIB: Final = 1_024


@dataclass(frozen=True, slots=True)
class UnexpectedExit:
    """A worker that exited by itself."""

    exit_code: int
    stderr_tail: str


class WorkerPool:
    """Keeps two workers running. A context manager."""

    def __init__(
        self,
        installation: Installation,
        *command: str,
        bug: str | None = None,
        variables: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """Run `triptych` with these arguments, with the injected bug of this name, if any.

        `variables` returns further environment variables of a worker that starts.
        """
        self._installation = installation
        self._command = command
        self._bug = bug
        self._variables = variables
        self._lock = threading.Lock()
        self._members: list[Program | None] = [None] * WORKERS
        self._ended_s: dict[Program, float] = {}  # when it was found to have ended by itself
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="crew", daemon=True)
        self.all_started: list[Program] = []
        self.unexpected_exits: list[UnexpectedExit] = []
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        with self._lock:
            self._members = [self._start() for _ in range(WORKERS)]
        for member in self.members:
            member.wait_for("partitions_assigned")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        for program in self.all_started:
            program.kill()

    @property
    def members(self) -> list[Program]:
        """The workers that are being watched."""
        with self._lock:
            return [member for member in self._members if member is not None]

    def unwatch(self, place: int) -> Program:
        """Stop watching a worker and return it: the caller is about to kill or pause it."""
        with self._lock:
            member = self._members[place]
            self._members[place] = None
        if member is None:
            raise RuntimeError(f"worker {place} is not being watched")
        return member

    def watch(self, place: int, member: Program | None = None) -> None:
        """Watch a worker again, or start and watch a new one in its place."""
        with self._lock:
            self._members[place] = member or self._start()

    def start_extra(self) -> Program:
        """Start an additional worker, which the caller stops."""
        with self._lock:
            return self._start()

    def stop(self) -> list[Finished]:
        """Terminate all watched workers, once they work. Block until they have exited.

        One that still starts, after it was found to have exited by itself, would be killed by the signal. Workers that
        keep exiting are terminated all the same, and reported.
        """
        deadline_s = time.monotonic() + PROGRAM_LIMIT_S
        while not self._all_work() and time.monotonic() < deadline_s:
            time.sleep(_WATCH_S)
        self._done.set()
        self._thread.join()
        members = self.members
        self._measure()
        for member in members:
            member.terminate()
        return [member.wait() for member in members]

    def _all_work(self) -> bool:
        return all(member.is_running and member.events("partitions_assigned") for member in self.members)

    def _start(self) -> Program:
        program = start_worker(self._installation, *self._command, bug=self._bug, **self._variables())
        self.all_started.append(program)
        return program

    def _watch(self) -> None:
        while not self._done.wait(_WATCH_S):
            self._measure()
            with self._lock:
                for place, member in enumerate(self._members):
                    if member is not None and not member.is_running:
                        self._restart(place, member)

    def _restart(self, place: int, member: Program) -> None:
        """Report a worker that has ended, and start another one once the delay is over."""
        now_s = time.monotonic()
        if member not in self._ended_s:
            self._ended_s[member] = now_s
            ended = member.wait()
            self.unexpected_exits.append(UnexpectedExit(ended.exit_code, ended.err.strip()[-2_000:]))
        elif now_s - self._ended_s[member] >= _RESTART_S:
            self._members[place] = self._start()

    def _measure(self) -> None:
        for program in tuple(self.all_started):
            if program.is_running:
                self.peak_bytes = max(self.peak_bytes, _peak_bytes(program.process.pid))


def start_worker(installation: Installation, *command: str, bug: str | None = None, **variables: str) -> Program:
    """Start `triptych` with these arguments, or a version with an injected bug. The caller stops it."""
    module, own = ("triptych", {}) if bug is None else (faulty_worker.__name__, {faulty_worker.VARIABLE: bug})
    return Program(command, installation.environ(**own, **variables), installation.folder, module=module)


def _peak_bytes(pid: int) -> int:
    """Return the peak resident memory of a process in bytes."""
    with suppress(OSError):
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) * _KIB if found else 0
    return 0
