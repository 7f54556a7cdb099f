"""The settings of a process: made once, never against the user's, and proved by page faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from triptych.service.process_tuning import MALLOC_OPTIONS, ProcessTuning, tune_process

_BATCHES = """
import json, os, resource, sys, threading
from triptych.service.process_tuning import tune_process

if sys.argv[1] == "tuned":
    tune_process()
faults = []

def infer():
    for _ in range(6):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        buffers = [b"\\1" * (size << 20) for size in (24, 12, 6, 24, 12, 6)]
        del buffers
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=infer)
thread.start()
thread.join()
print(json.dumps(faults))
"""
_PAGES_OF_A_BATCH = (84 << 20) // 4096
_OURS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENCV_FOR_THREADS_NUM", "GLIBC_TUNABLES")


def test_the_worker_is_tuned_before_it_imports_a_library_with_threads() -> None:
    """OpenCV and PyTorch read the variables when they are imported."""
    program = (
        "import sys; from triptych.service import process_tuning; from triptych.cli import app\n"
        "process_tuning.tune_process = lambda: sys.exit(str(sorted({'cv2', 'numpy', 'torch'} & set(sys.modules))))\n"
        "app(['work', '--until-end'])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr.strip()) == (1, "[]")


def _run(program: str, *args: str, **environ: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in _OURS and "MALLOC" not in name}
    return subprocess.run(
        [sys.executable, "-c", program, *args], check=True, capture_output=True, text=True, env=clean | environ
    ).stdout


def test_everything_is_set_where_the_user_has_set_nothing() -> None:
    """The allocator gets every option."""
    environ: dict[str, str] = {}
    options: list[tuple[int, int]] = []

    tuned = tune_process(environ, mallopt=lambda option, value: options.append((option, value)) or 1)

    assert tuned == ProcessTuning(passive_waits=True, opencv_threads=True, memory_kept=True)
    assert environ == {"OMP_WAIT_POLICY": "passive", "OPENCV_FOR_THREADS_NUM": "1"}
    assert options == list(MALLOC_OPTIONS)


@pytest.mark.parametrize(
    ("variable", "value", "kept"),
    [
        ("OMP_WAIT_POLICY", "active", "passive_waits"),
        ("GOMP_SPINCOUNT", "1000", "passive_waits"),
        ("OPENCV_FOR_THREADS_NUM", "4", "opencv_threads"),
        ("MALLOC_ARENA_MAX", "2", "memory_kept"),
        ("MALLOC_TRIM_THRESHOLD_", "131072", "memory_kept"),
        ("GLIBC_TUNABLES", "glibc.malloc.arena_max=2", "memory_kept"),
    ],
)
def test_a_variable_of_the_user_decides_instead(variable: str, value: str, kept: str) -> None:
    """It stays, and only that part is left alone."""
    environ = {variable: value}

    tuned = tune_process(environ, mallopt=lambda *_: 1)

    assert environ[variable] == value
    assert [name for name in ProcessTuning.__slots__ if not getattr(tuned, name)] == [kept]


def test_tunables_of_something_else_do_not_keep_the_allocator_as_it_is() -> None:
    """Only those of malloc do."""
    assert tune_process({"GLIBC_TUNABLES": "glibc.cpu.x86_shstk=off"}, mallopt=lambda *_: 1).memory_kept


def test_another_c_library_keeps_its_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    """`confstr` of musl does not know the name."""

    def unknown(_: str) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)

    assert not tune_process({}).memory_kept


def test_opencv_runs_on_the_thread_that_calls_it() -> None:
    """The real library reads the variable when it is imported."""
    tune = "from triptych.service.process_tuning import tune_process; tune_process(); "
    assert int(_run(tune + "import cv2; print(cv2.getNumThreads())")) == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the page faults of glibc on Linux")
def test_batches_after_the_first_cost_no_page_faults() -> None:
    """On a thread other than the main one, glibc otherwise returns the memory of every batch to the system."""
    untuned = json.loads(_run(_BATCHES, "untuned"))
    tuned = json.loads(_run(_BATCHES, "tuned"))

    assert min(untuned[1:]) > _PAGES_OF_A_BATCH / 4
    assert max(tuned[1:]) < _PAGES_OF_A_BATCH / 100
