"""Read precomputed features from the array files that a manifest names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych.schemas.errors import UsageError
from triptych.training.data.manifest import FeatureArrays


def read_features(features: FeatureArrays, folder: Path) -> NDArray[np.float32]:
    """Return the features of an item, float32 [T, D]. Reads only these rows from the file.

    Args:
        features: the item's reference to an array file.
        folder: the manifest's folder.

    Raises:
        UsageError: the file is missing, or is no array with this row.
    """
    array = open_features(folder / features.file)
    if features.row >= len(array):
        raise UsageError(f"{folder / features.file}: expected [N, T, D] with a row {features.row}, got {array.shape}")
    return np.array(array[features.row, : features.length], np.float32)


def open_features(file: Path) -> NDArray[np.float32]:
    """Return a memory-mapped array [N, T, D].

    Raises:
        UsageError: the file is missing, or is no such array.
    """
    try:
        array: NDArray[np.float32] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: expected an array of features, got: {error}") from error
    if array.ndim != 3:  # noqa: PLR2004
        raise UsageError(f"{file}: expected [N, T, D], got {array.shape}")
    return array
