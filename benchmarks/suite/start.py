"""The start of programs: `start`."""

from __future__ import annotations

import sys
from typing import Final

from benchmarks.frame import Benchmark, whole_process
from benchmarks.suite import Size

_PROGRAMS: Final = {
    "python -c pass": ("-c", "pass"),
    "triptych --help": ("-m", "triptych", "--help"),
    "import Subscriber": ("-c", "from triptych.consumers import Subscriber"),
    "import the worker, without PyTorch": ("-c", "import triptych.worker.run"),
    "import torch": ("-c", "import torch"),
}


def start_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of imports: each is a process of its own."""
    programs = dict(list(_PROGRAMS.items())[: size(len(_PROGRAMS), 2)])
    return Benchmark(
        "start",
        "How long do programs take to start?",
        "start",
        {name: lambda args=args: whole_process([sys.executable, *args]) for name, args in programs.items()},
        limit="python -c pass",
        ours="triptych --help",
        cpu_goals_us={"triptych --help": 250_000},
    )
