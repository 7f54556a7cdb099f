"""A data set of precomputed features: each item of the manifest is a labelled window. Arrays are memory-mapped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.models.model import FeatureShape, InputSpec
from triptych.models.window import PreparedCue, PreparedWindow
from triptych.schemas.errors import UsageError
from triptych.training.data.example import MODALITIES, Example
from triptych.training.data.feature_files import open_features
from triptych.training.data.labelled_windows import labelled_example, task_of
from triptych.training.data.manifest import SPLITS, FeatureArrays, Item, Manifest

_WINDOW_NS: Final = 1_000_000_000
"""An item is one window, whatever its duration. Its steps are evenly spaced in the window."""
_TEXT_TOKENS: Final = 64
_NO_SOUND: Final[NDArray[np.float32]] = np.zeros(1, np.float32)


class FeatureDataset:
    """The items of a manifest that have features.

    A modality without features is missing, except that text without features is read as text.
    """

    def __init__(self, manifest: Manifest) -> None:
        """Open the arrays.

        Raises:
            UsageError: no item has features, a file is missing, or the arrays of a modality have different sizes.
        """
        self._manifest = manifest
        self._items = {split: [item for item in manifest.items if item.split == split] for split in SPLITS}
        self._arrays: dict[str, NDArray[np.float32]] = {}
        shapes = tuple(shape for modality in MODALITIES if (shape := self._shape(modality)) is not None)
        if not shapes:
            raise UsageError(f"{manifest.folder}: expected items with features, got none")
        reads_words = all(shape.modality != "text" for shape in shapes)
        spec = InputSpec(1, 1, 1, 1, text_tokens=_TEXT_TOKENS if reads_words else 0, features=shapes)
        self.task = task_of(manifest, spec, _WINDOW_NS)

    @property
    def splits(self) -> tuple[str, ...]:
        """Return the splits that have items."""
        return tuple(split for split, items in self._items.items() if items)

    def size(self, split: str) -> int:
        """Return the number of items in a split."""
        return len(self._of(split))

    def examples(self, split: str, indices: Sequence[int]) -> list[Example]:
        """Return the examples at these indices, in this order."""
        items = self._of(split)
        return [self._example(items[index]) for index in indices]

    def _of(self, split: str) -> list[Item]:
        items = self._items.get(split)  # type: ignore[call-overload]
        if not items:
            raise UsageError(f"{self.task.name} has no split {split!r}; there are: {', '.join(self.splits)}")
        return items  # type: ignore[no-any-return]

    def _example(self, item: Item) -> Example:
        features: dict[str, NDArray[np.float32]] = {}
        for modality, arrays in (item.features or {}).items():
            features[modality] = self._steps(arrays)
        reads_words = bool(self.task.spec.text_tokens)
        window = PreparedWindow(
            stream=self.task.name,
            start_ns=0,
            end_ns=_WINDOW_NS,
            frames_hwc_u8=(),
            frame_times_ns=(),
            audio_f32=_NO_SOUND,
            audio_present=(),
            cues=tuple(PreparedCue(line.text, 0, _WINDOW_NS) for line in item.text or ()) if reads_words else (),
            features=features,
        )
        return labelled_example(item, window, self.task, 0)

    def _shape(self, modality: str) -> FeatureShape | None:
        given = [arrays for item in self._manifest.items if (arrays := _features(item, modality)) is not None]
        shapes = {file: self._array(file).shape for file in sorted({arrays.file for arrays in given})}
        dims = {shape[2] for shape in shapes.values()}
        if len(dims) > 1:
            raise UsageError(
                f"{self._manifest.folder}: expected features of {modality} of one size, got {sorted(dims)}"
            )
        beyond = [arrays for arrays in given if arrays.row >= shapes[arrays.file][0]]
        if beyond:
            raise UsageError(f"{self._manifest.folder / beyond[0].file}: expected a row {beyond[0].row}, got fewer")
        return FeatureShape(modality, max(shape[1] for shape in shapes.values()), dims.pop()) if shapes else None

    def _steps(self, features: FeatureArrays) -> NDArray[np.float32]:
        return np.array(self._array(features.file)[features.row, : features.length], np.float32)

    def _array(self, file: str) -> NDArray[np.float32]:
        """Return a memory-mapped array, float [N, T, D]."""
        if file not in self._arrays:
            self._arrays[file] = open_features(Path(self._manifest.folder) / file)
        return self._arrays[file]


def _features(item: Item, modality: str) -> FeatureArrays | None:
    return (item.features or {}).get(modality)  # type: ignore[call-overload,no-any-return]
