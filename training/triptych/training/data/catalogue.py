"""Find a data set by name: a benchmark, or a folder of prepared windows or features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from triptych.schemas.errors import UsageError
from triptych.training.data.benchmarks.benchmark import BENCHMARKS, open_benchmark
from triptych.training.data.example import Dataset
from triptych.training.data.feature_dataset import FeatureDataset
from triptych.training.data.manifest import ITEMS_FILE, read_manifest
from triptych.training.data.pools.cache import TrackProgress, no_progress
from triptych.training.data.prepared_dataset import INDEX_FILE, PreparedDataset


def open_dataset(name: str, *, seed: int = 0, track: TrackProgress[Any] = no_progress) -> Dataset:
    """Return the data set. Renders the components of a benchmark first if they are not in the cache.

    Args:
        name: name of a benchmark, or path of a folder.
        seed: seed of a benchmark's examples.
        track: shows progress.

    Raises:
        UsageError: there is no such benchmark or folder, or a program that renders components is missing.
    """
    if name in BENCHMARKS:
        return open_benchmark(name, seed=seed, track=track)
    folder = Path(name).parent if Path(name).name == ITEMS_FILE else Path(name)
    if (folder / ITEMS_FILE).is_file() and not (folder / INDEX_FILE).is_file():
        return _of_features(folder)
    if folder.is_dir():
        return PreparedDataset(folder)
    raise UsageError(
        f"no data set is called {name!r}: expected {', '.join(BENCHMARKS)}, a folder made by triptych data prepare, "
        "or the folder of a manifest with features"
    )


def _of_features(folder: Path) -> Dataset:
    manifest = read_manifest(folder)
    if not any(item.features for item in manifest.items):
        raise UsageError(f"{folder}: expected windows or features, got clips: make windows with triptych data prepare")
    return FeatureDataset(manifest)
