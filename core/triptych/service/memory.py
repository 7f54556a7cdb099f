"""How much memory this process may use: the limit of its control group (version 1 or 2), or of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from triptych.service.control_groups import control_group_files

_ROOT: Final = Path("/")


def memory_limit_bytes(root: Path = _ROOT) -> int | None:
    """Return the lowest limit of the control groups of this process, or None if none is below the machine's memory.

    Args:
        root: the root of the file system, for tests.
    """
    machine = _machine_bytes(root)
    limits = [value for value in map(_number, _limit_files(root)) if value is not None]
    limit = min(limits, default=None)
    return limit if limit is not None and (machine is None or limit < machine) else None


def resident_bytes(root: Path = _ROOT) -> int:
    """Return the memory that this process occupies."""
    pages = int((root / "proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _limit_files(root: Path) -> Iterator[Path]:
    return control_group_files(root, controller="memory", version_2="memory.max", version_1="memory.limit_in_bytes")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such group, or `max`
        return None


def _machine_bytes(root: Path) -> int | None:
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:")), None)
