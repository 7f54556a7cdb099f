"""Find a data set by what a user calls it: the name of a benchmark, or a folder of prepared windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from triptych.schemas.errors import UsageError
from triptych.worker.training.data.benchmark import BENCHMARKS, open_benchmark
from triptych.worker.training.data.example import Dataset
from triptych.worker.training.data.pools.shelf import Track, untracked
from triptych.worker.training.data.prepared import PreparedDataset


def open_dataset(name: str, *, seed: int = 0, track: Track[Any] = untracked) -> Dataset:
    """Return the data set; `seed` is of a benchmark, whose pools are rendered first where they are not cached.

    Raises:
        UsageError: there is no such benchmark and no such folder, or what the pools are made with is not installed.
    """
    if name in BENCHMARKS:
        return open_benchmark(name, seed=seed, track=track)
    if Path(name).is_dir():
        return PreparedDataset(Path(name))
    raise UsageError(
        f"no data set is called {name!r}: expected {', '.join(BENCHMARKS)}, or a folder made by: triptych data prepare"
    )
