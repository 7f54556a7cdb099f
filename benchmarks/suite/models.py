"""The base model on the CPU: `model`, `pipeline` and `threads`. They need its weights (`triptych models pull`).

Each measurement runs in a process of its own, because threads and memory are set when PyTorch is imported.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final

from benchmarks.frame import Benchmark, Cost, in_child
from benchmarks.suite import Size

_CHILD: Final = "benchmarks.suite.model_child"
_ONE: Final[dict[str, str | None]] = {"OMP_NUM_THREADS": "1"}
_DEFAULT: Final[dict[str, str | None]] = {"OMP_NUM_THREADS": None, "MKL_NUM_THREADS": None}


def model_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of the picture encoder, which is nearly all of the base model."""
    pictures = str(size(32, 2))
    gemm, ours, openvino = "its multiplications alone (GEMM)", "base, runtime chosen at its start", "OpenVINO alone"
    contenders = {
        gemm: lambda: _child("gemm", pictures),
        ours: lambda: _child("pictures-auto", pictures),
        "base in PyTorch": lambda: _child("pictures", pictures),
    }
    has_openvino = find_spec("openvino") is not None
    if has_openvino:
        contenders[openvino] = lambda: _child("openvino", pictures)
    if find_spec("onnxruntime") is not None:
        contenders["ONNX Runtime alone"] = lambda: _child("onnxruntime", pictures)
    return Benchmark(
        "model",
        "What does a picture cost in the base model?",
        "picture",
        contenders,
        limit=openvino if has_openvino else gemm,
        ours=ours,
        goal=1.15 if has_openvino else None,
        note="One thread, two pictures at a time, as the encoder does. GEMM is a matrix product of as many operations "
        "(.39 billion multiplications and additions a picture), which no such network reaches. The runtime that is "
        "chosen is the fastest of those that are installed (`model.runtime = auto`).",
    )


def pipeline_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of a whole worker with the base model."""
    windows = str(size(192, 2))  # the first batches of a worker are slower: a small part of so many
    return Benchmark(
        "pipeline",
        "What does a worker add to preparing and predicting a window with the base model?",
        "window",
        {
            "prepare and predict, one thread": lambda: _child("prepare-and-predict", windows),
            "the worker": lambda: _child("worker", windows),
            "the worker, not tuned": lambda: _child("worker-not-tuned", windows),
            "prepare and predict, on one CPU": lambda: _child("prepare-and-predict", windows, cpus=1),
            "the worker, on one CPU": lambda: _child("worker", windows, cpus=1),
        },
        limit="prepare and predict, one thread",
        ours="the worker",
        goal=1.11,
        note="Windows of four pictures; topics and store in memory; one thread of PyTorch. On one CPU the threads of a "
        "worker do not run at the same time: what it adds there is its own work alone.",
    )


def threads_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of threads and memory beside a busy process."""
    windows = str(size(8, 2))

    def beside(what: str, environ: dict[str, str | None]) -> Cost:
        with _busy_process():
            return _child(what, windows, environ)

    return Benchmark(
        "threads",
        "What does a window of the base model cost with the default settings, beside a busy process?",
        "window",
        {
            "one thread, tuned": lambda: beside("windows", _ONE),
            "default": lambda: beside("windows", _DEFAULT),
            "default of PyTorch, tuned": lambda: beside("windows-all-threads", _DEFAULT),
            "default of PyTorch, not tuned": lambda: beside("windows-not-tuned", _DEFAULT),
        },
        limit="one thread, tuned",
        ours="default",
        goal=1.1,
        note="Tuned: what triptych.service.process_tuning sets. On two CPUs the default is one thread, and its ratio "
        "only shows how far figures vary under load.",
    )


def _child(
    what: str,
    count: str,
    environ: dict[str, str | None] = _ONE,
    *,
    cpus: int | None = None,
) -> Cost:
    """Measure in a process of its own, on this number of CPUs or on all."""
    argv = (what, count) if cpus is None else (what, count, str(cpus))
    return in_child(_CHILD, *argv, environ=environ)


@contextmanager
def _busy_process() -> Iterator[None]:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()
