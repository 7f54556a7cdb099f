"""The memory limit of the control group, read from files as Linux and container engines lay them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.service.memory import memory_limit_bytes, resident_bytes

GIB = 1024**3


def _root(folder: Path, groups: str, files: dict[str, str]) -> Path:
    files = {"proc/self/cgroup": groups, "proc/meminfo": "MemTotal:       16777216 kB\n", **files}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"sys/fs/cgroup/memory.max": f"{3 * GIB}\n"}, 3 * GIB),
        ("0::/\n", {"sys/fs/cgroup/memory.max": "max\n"}, None),
        ("0::/a/b\n", {"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": f"{GIB}\n"}, GIB),
        ("0::/../../host\n", {"sys/fs/cgroup/memory.max": f"{GIB}\n"}, GIB),
        ("4:memory:/docker/abc\n", {"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n"}, GIB),
        ("4:cpu,memory:/x\n", {"sys/fs/cgroup/memory/x/memory.limit_in_bytes": f"{2 * GIB}\n"}, 2 * GIB),
        ("4:memory:/\n", {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ("0::/\n", {"sys/fs/cgroup/memory.max": f"{64 * GIB}\n"}, None),
        ("3:cpu:/\n", {}, None),
        ("0::/\n", {}, None),
    ],
    ids=[
        "v2",
        "v2 without a limit",
        "v2, of a group above",
        "v2, named as the host does",
        "v1, named as the host does",
        "v1 on the host",
        "v1 without a limit",
        "more than the machine has",
        "no memory controller",
        "no file",
    ],
)
def test_the_lowest_limit_counts(tmp_path: Path, groups: str, files: dict[str, str], expected: int | None) -> None:
    """None where no group limits the memory below that of the machine."""
    assert memory_limit_bytes(_root(tmp_path, groups, files)) == expected


def test_a_system_without_control_groups_has_no_limit(tmp_path: Path) -> None:
    """There are no files at all."""
    assert memory_limit_bytes(tmp_path) is None


def test_this_process_occupies_memory() -> None:
    """More than a Python without modules, less than a machine has."""
    assert 10_000_000 < resident_bytes() < 100 * GIB
