"""The memory of processes and their children over time. Linux only."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

EVERY_S: Final = 2.0
SETTLED_S: Final = 60.0
_PAGE_BYTES: Final = 4_096


@dataclass(slots=True)
class Memory:
    """Samples of the resident memory of one process, as (seconds since the first sample, bytes)."""

    name: str
    samples: list[tuple[float, int]] = field(default_factory=list)

    @property
    def lived_s(self) -> float:
        """The time between the first and the last sample."""
        return self.samples[-1][0]

    @property
    def settled_bytes(self) -> int | None:
        """Memory after the first minute, or None if the process did not live that long."""
        return next((size for at_s, size in self.samples if at_s >= SETTLED_S), None)

    @property
    def peak_bytes(self) -> int:
        """Peak memory after the first minute, or of all samples if the process did not live that long."""
        later = [size for at_s, size in self.samples if at_s >= SETTLED_S]
        return max(later or [size for _, size in self.samples])

    @property
    def growth_bytes(self) -> int | None:
        """Peak memory minus the memory after the first minute."""
        return None if self.settled_bytes is None else self.peak_bytes - self.settled_bytes


class MemoryWatch:
    """Samples the memory of processes and their children every two seconds. A context manager."""

    def __init__(self, roots: Mapping[str, int]) -> None:
        """Watch processes, given as name and process id."""
        self._roots = roots
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.found: dict[int, Memory] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        passed_s, began_s = 0.0, dict[int, float]()
        while not self._done.wait(EVERY_S):
            passed_s += EVERY_S
            for pid, name in self._processes():
                size = _resident_bytes(pid)
                if size:
                    at_s = passed_s - began_s.setdefault(pid, passed_s)
                    self.found.setdefault(pid, Memory(name)).samples.append((at_s, size))

    def _processes(self) -> Iterator[tuple[int, str]]:
        for name, pid in self._roots.items():
            yield pid, name
            for child in _children(pid):
                if "resource_tracker" not in _command(child):
                    yield child, f"{name}: process of a feed"


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    try:
        return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0
