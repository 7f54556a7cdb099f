"""Settings of the process that must be made before PyTorch and OpenCV are imported, or before threads are started.

Each one stands aside for a variable that the user has set:

| what | variables that decide instead |
|---|---|
| OpenMP threads sleep while they wait for work, instead of spinning | `OMP_WAIT_POLICY`, `GOMP_SPINCOUNT` |
| OpenCV runs on the thread that calls it: windows are prepared on several threads already | `OPENCV_FOR_THREADS_NUM` |
| glibc keeps freed memory for the next batch, in one arena for all threads | `MALLOC_…` of glibc, `GLIBC_TUNABLES` |

A thread that spins takes the CPU of the threads that prepare and publish, and of other processes. glibc gives each
thread an arena of its own, whose memory it returns to the system after every batch, however large its thresholds are:
the next batch then pays a page fault for every 4 kB. The arena of the main thread honours the thresholds.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Final

_MIB: Final = 1024 * 1024
_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

MALLOC_OPTIONS: Final = (
    (_M_ARENA_MAX, 1),
    (_M_MMAP_THRESHOLD, 32 * _MIB),  # the largest value that glibc accepts
    (_M_TRIM_THRESHOLD, 512 * _MIB),
    (_M_TOP_PAD, 64 * _MIB),
)
"""Options of mallopt(3), by the numbers of malloc.h."""

_WAIT_VARIABLES: Final = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
_OPENCV_VARIABLE: Final = "OPENCV_FOR_THREADS_NUM"
_TUNABLES: Final = "GLIBC_TUNABLES"
_MALLOC_TUNABLE: Final = "glibc.malloc."
_MALLOC_PREFIX: Final = "MALLOC_"

Mallopt = Callable[[int, int], int]
"""mallopt(3): takes an option and its value, and returns 0 if it refused them."""


@dataclass(frozen=True, slots=True)
class ProcessTuning:
    """What was changed. False where the user's variables decide, or where the platform has no such thing.

    Attributes:
        passive_waits: OpenMP threads sleep while they wait.
        opencv_threads: OpenCV runs on one thread.
        memory_kept: the allocator keeps freed memory.
    """

    passive_waits: bool
    opencv_threads: bool
    memory_kept: bool


def tune_process(environ: MutableMapping[str, str] = os.environ, *, mallopt: Mallopt | None = None) -> ProcessTuning:
    """Tune this process. Call it before PyTorch or OpenCV is imported, and before a thread is started.

    Processes started from this one inherit the variables.

    Args:
        environ: the environment, which is changed.
        mallopt: sets an option of the allocator. By default that of glibc; with another C library the allocator stays
            as it is.
    """
    passive_waits = not any(name in environ for name in _WAIT_VARIABLES)
    if passive_waits:
        environ["OMP_WAIT_POLICY"] = "passive"
    opencv_threads = _OPENCV_VARIABLE not in environ
    if opencv_threads:
        environ[_OPENCV_VARIABLE] = "1"
    memory_kept = False
    if not _decides_about_malloc(environ) and (mallopt := mallopt or _glibc_mallopt()) is not None:
        accepted = [mallopt(option, value) for option, value in MALLOC_OPTIONS]
        memory_kept = all(accepted)
    return ProcessTuning(passive_waits, opencv_threads, memory_kept)


def _decides_about_malloc(environ: Mapping[str, str]) -> bool:
    """Return whether the user has configured glibc's allocator."""
    return any(name.startswith(_MALLOC_PREFIX) for name in environ) or _MALLOC_TUNABLE in environ.get(_TUNABLES, "")


def _glibc_mallopt() -> Mallopt | None:
    """Return glibc's function, or None if this process uses another C library, such as musl."""
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION")
    except (OSError, ValueError):  # the name is unknown to other C libraries
        version = None
    if not version:
        return None
    mallopt = ctypes.CDLL(None).mallopt
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return mallopt
