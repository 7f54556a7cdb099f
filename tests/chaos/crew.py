"""The workers of a chaos run: two, started again whenever they end, their memory watched."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.chaos import faulty_worker
from tests.e2e.programs import Finished, Installation, Program

WORKERS: Final = 2
EXIT_AWAY: Final = 3
"""Kafka or Redis did not answer when the worker began: whoever runs it starts it again."""
_WATCH_S: Final = 0.5
_STARTING_LIMIT_S: Final = 60.0
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_KIB: Final = 1_024


@dataclass(frozen=True, slots=True)
class Fall:
    """A worker that ended though nobody told it to."""

    exit_code: int
    last_words: str


class Crew:
    """Keeps two workers running; a context manager."""

    def __init__(self, installation: Installation, *command: str, bug: str | None = None) -> None:
        """Run `triptych` with these arguments; with a bug the one of that name is in it."""
        self._installation = installation
        self._command = command
        self._bug = bug
        self._lock = threading.Lock()
        self._members: list[Program | None] = [None] * WORKERS
        self._guest: Program | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="crew", daemon=True)
        self.everybody: list[Program] = []
        self.falls: list[Fall] = []
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
        for program in self.everybody:
            program.kill()

    @property
    def members(self) -> list[Program]:
        """The workers that are not away just now."""
        with self._lock:
            return [member for member in self._members if member is not None]

    def take(self, place: int) -> Program:
        """Take a worker out of the watch: what happens to it from now on is meant."""
        with self._lock:
            member = self._members[place]
            self._members[place] = None
        if member is None:
            raise RuntimeError(f"worker {place} is away already")
        return member

    def put_back(self, place: int, member: Program | None = None) -> None:
        """Watch a worker again that was taken out, or another one in its place."""
        with self._lock:
            self._members[place] = member or self._start()

    def start_guest(self) -> Program:
        """Start one worker more; whoever does so ends it."""
        with self._lock:
            return self._start()

    def stop(self) -> list[Finished]:
        """Tell all to end, and wait until they have."""
        self._done.set()
        self._thread.join()
        members = self.members
        self._measure()
        for member in members:
            member.terminate()
        return [member.wait() for member in members]

    def _start(self) -> Program:
        program = start_worker(self._installation, *self._command, bug=self._bug)
        self.everybody.append(program)
        return program

    def _watch(self) -> None:
        while not self._done.wait(_WATCH_S):
            self._measure()
            with self._lock:
                for place, member in enumerate(self._members):
                    if member is not None and not member.is_running:
                        ended = member.wait()
                        self.falls.append(Fall(ended.exit_code, ended.err.strip()[-2_000:]))
                        self._members[place] = self._start()

    def _measure(self) -> None:
        for program in tuple(self.everybody):
            if program.is_running:
                self.peak_bytes = max(self.peak_bytes, _peak_bytes(program.process.pid))


def start_worker(installation: Installation, *command: str, bug: str | None = None) -> Program:
    """Start `triptych` with these arguments, or one that has a bug; whoever does so ends it."""
    module, variables = ("triptych", {}) if bug is None else (faulty_worker.__name__, {faulty_worker.VARIABLE: bug})
    return Program(command, installation.environ(**variables), installation.folder, module=module)


def _peak_bytes(pid: int) -> int:
    """Return the most memory that a process ever held."""
    with suppress(OSError):
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) * _KIB if found else 0
    return 0
