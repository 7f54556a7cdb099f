"""Features that somebody else has computed, read from where a manifest says that they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych.schemas.errors import UsageError
from triptych.training.data.manifest import FeatureArrays


def read_features(features: FeatureArrays, folder: Path) -> NDArray[np.float32]:
    """Return float32 `[T, D]`, the steps that hold something; only these are read from the file.

    Args:
        features: of an item.
        folder: its manifest's.

    Raises:
        UsageError: the file is missing, or is no array that has this row.
    """
    array = open_features(folder / features.file)
    if features.row >= len(array):
        raise UsageError(f"{folder / features.file}: expected [N, T, D] with a row {features.row}, got {array.shape}")
    return np.array(array[features.row, : features.length], np.float32)


def open_features(file: Path) -> NDArray[np.float32]:
    """Return an array `[N, T, D]` as it lies in its file: only what is asked for is read.

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
