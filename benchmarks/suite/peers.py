"""Other stream processors on the same events: `peers`.

Bytewax is installed into an environment of its own, in build/peers, by the first run. Quix Streams keeps its windows in
RocksDB and runs on a broker only, so it is not compared with an aligner in memory (benchmarks/tried.md).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.alignment import aligned, log
from benchmarks.frame import Benchmark, Cost, measured
from benchmarks.suite import Size
from triptych.units import NS_PER_S
from triptych.worker.alignment.entry import Entry

BYTEWAX: Final = "bytewax==0.21.1"
WINDOW_S: Final = 2.0
WAIT_S: Final = 2.0
"""How long Bytewax waits for late events. A window of ours waits for its tracks instead."""
_ENVIRONMENT: Final = Path(__file__).parents[2] / "build" / "peers"
_CHILD: Final = Path(__file__).with_name("bytewax_child.py")


def peers_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of windows of 100 live streams, whose cues arrive three seconds after they begin."""
    entries = log(streams=size(100, 2), seconds=size(60, 6))

    late: list[Entry] = []
    windows: list[int] = []

    def ours() -> float:
        late.clear()
        windows.append(aligned(entries, late))
        return len(entries)

    def values() -> Mapping[str, float]:
        return {"late_percent": 100 * len(late) / len(entries), "windows": windows[-1]}

    return Benchmark(
        "peers",
        "What does an event cost, from its arrival to its window of event time?",
        "event",
        {
            "Bytewax": lambda: _in_bytewax(entries),
            "our aligner": lambda: measured(ours, values),
        },
        limit="Bytewax",
        ours="our aligner",
        goal=1.0,
        note="Bytewax waits two seconds for what is late, and windows one stream of events by key; ours joins three "
        "tracks, and counts none as late while its track is heard.",
    )


def events_of(entries: Sequence[Entry]) -> str:
    """Return the events as lines `[stream, start in seconds]`, in the order of arrival."""
    return "".join(f"{json.dumps([entry.stream, entry.start_ns / NS_PER_S])}\n" for entry in entries)


def _in_bytewax(entries: Sequence[Entry]) -> Cost:
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.write(events_of(entries))
        file.flush()
        done = subprocess.run(  # noqa: S603 - our own program
            [_python(), _CHILD, file.name, str(WINDOW_S), str(WAIT_S)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


@cache
def _python() -> Path:
    """Return the Python of an environment with Bytewax, which is made if it is missing."""
    python = _ENVIRONMENT / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    if not python.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", "3.11", _ENVIRONMENT], check=True)  # noqa: S603 - uv is ours
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, BYTEWAX], check=True)  # noqa: S603 - uv is ours
    return python
