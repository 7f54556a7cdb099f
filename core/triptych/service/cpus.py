"""How many CPUs this process may use: its affinity, limited by the quota of its control group (version 1 or 2).

From that follows how many threads a model gets by default.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from triptych.service.control_groups import control_group_files

_ROOT: Final = Path("/")
_THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def available_cpus(root: Path = _ROOT) -> int:
    """Return the number of CPUs, at least 1. A quota of two and a half CPUs counts as three.

    PyTorch knows the affinity and not the quota: on a large host, it would start a thread for each CPU of the host.

    Args:
        root: the root of the file system, for tests.
    """
    limits = [len(os.sched_getaffinity(0)), *(math.ceil(quota) for quota in _quotas(root))]
    return max(1, min(limits))


def _quotas(root: Path) -> Iterator[float]:
    for path in control_group_files(root, controller="cpu", version_2="cpu.max", version_1="cpu.cfs_quota_us"):
        try:
            values = path.read_text(encoding="ascii").split()
            if path.name == "cpu.cfs_quota_us":
                values += path.with_name("cpu.cfs_period_us").read_text(encoding="ascii").split()
            quota_us, period_us = map(int, values)
        except (OSError, ValueError):  # no such group, or `max`
            continue
        if quota_us > 0 and period_us > 0:  # version 1 writes -1 for no quota
            yield quota_us / period_us


def model_threads(environ: Mapping[str, str] = os.environ, root: Path = _ROOT) -> int | None:
    """Return how many CPU threads one operation of a model gets by default; None if the user's variables decide.

    Half of the CPUs: windows are prepared and published beside the model, and two CPUs are often two threads of one
    core, which multiply no faster than one.
    """
    return None if any(name in environ for name in _THREAD_VARIABLES) else max(1, available_cpus(root) // 2)
