"""The number of CPUs of a container, read from files as Linux and container engines lay them out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from triptych.service.cpus import available_cpus, model_threads


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The affinity has eight CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def _root(folder: Path, groups: str, files: dict[str, str]) -> Path:
    for name, content in {"proc/self/cgroup": groups, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "250000 100000\n"}, 3),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "20000 100000\n"}, 1),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        ("0::/a/b\n", {"sys/fs/cgroup/a/b/cpu.max": "max 100000\n", "sys/fs/cgroup/a/cpu.max": "200000 100000\n"}, 2),
        (
            "4:cpu,cpuacct:/docker/abc\n",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "50000\n"},
            3,
        ),
        (
            "4:cpu:/\n",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
            8,
        ),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "6400000 100000\n"}, 8),
        ("0::/\n", {}, 8),
    ],
    ids=[
        "v2",
        "v2, not a whole number",
        "v2, less than one",
        "v2 without a limit",
        "v2, of a group above",
        "v1, named as the host does",
        "v1 without a limit",
        "more than the affinity",
        "no file",
    ],
)
def test_the_lowest_limit_counts(tmp_path: Path, groups: str, files: dict[str, str], expected: int) -> None:
    """Never more than the affinity, never less than one."""
    assert available_cpus(_root(tmp_path, groups, files)) == expected


def test_a_model_gets_half_of_the_cpus(tmp_path: Path) -> None:
    """At least one."""
    assert model_threads({}, tmp_path) == 4
    assert model_threads({}, _root(tmp_path, "0::/\n", {"sys/fs/cgroup/cpu.max": "100000 100000\n"})) == 1


@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_variables_of_the_user_decide_about_threads(variable: str) -> None:
    """PyTorch reads them itself."""
    assert model_threads({variable: "3"}) is None
