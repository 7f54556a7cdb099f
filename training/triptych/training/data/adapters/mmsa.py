"""CMU-MOSI, CMU-MOSEI and CH-SIMS in the MMSA project's format: `label.csv` with clips, or a pickle of features.

The target is the sentiment from -3 to 3 (CH-SIMS: -1 to 1). A pickle is converted once to `.npy` files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from triptych.schemas.errors import UsageError
from triptych.training.data.adapters.formats.media_files import FILMS
from triptych.training.data.adapters.formats.plain_pickle import read_plain_pickle
from triptych.training.data.adapters.formats.tables import read_rows
from triptych.training.data.adapters.gathering import Gather, Gathered, Row
from triptych.training.data.manifest import FeatureArrays, Labels, Split

_SPLITS: Final[Mapping[str, Split]] = {"train": "train", "valid": "validation", "test": "test"}
_ALONE: Final = {"text": "T", "audio": "A", "video": "V"}
_ARRAYS: Final[Mapping[Literal["video", "audio", "text"], str]] = {"video": "vision", "audio": "audio", "text": "text"}
_SEPARATOR: Final = "$_$"
FEATURES_FOLDER: Final = "features"


def mmsa(name: str) -> Gather:
    """Return the adapter for one of the three data sets, as a folder with `label.csv` or as a pickle."""
    return partial(_gather, name)


def _gather(name: str, root: Path, to: Path) -> Gathered:
    gathered = Gathered(Labels(name=name, kind="regression"))
    if root.is_file():
        _gather_features(root, to, gathered)
    else:
        _gather_clips(root, gathered)
    return gathered


# --- clips ----------------------------------------------------------------------------------------------------------


def _gather_clips(root: Path, gathered: Gathered) -> None:
    for cells in read_rows(root / "label.csv", ("video_id", "clip_id", "text", "label", "mode")):
        video, clip = cells["video_id"], cells["clip_id"]
        name = f"{video}/{clip}"
        alone = {modality: _number(cells.get(f"label_{letter}", "")) for modality, letter in _ALONE.items()}
        label, split = _number(cells["label"]), _SPLITS.get(cells["mode"])
        if label is None or split is None:
            gathered.problems.append(
                f"{name}: expected a number and a split, got {cells['label']!r}, {cells['mode']!r}"
            )
            continue
        file = _clip(root / "Raw" / video, clip)
        if file is None:
            gathered.problems.append(f"{name}: clip is missing")
        label_by_modality = {modality: value for modality, value in alone.items() if value is not None}
        gathered.rows.append(
            Row(
                name, group=video, label=label, split=split, video=file, audio=file, text=cells["text"],
                label_per_modality=label_by_modality or None,
            )
        )  # fmt: skip


def _clip(folder: Path, clip: str) -> Path | None:
    """Return a clip's file. CH-SIMS pads its numbers with zeros, which spreadsheets remove."""
    names = [clip, clip.zfill(4)]
    files = [folder / f"{name}{ending}" for name in names for ending in sorted(FILMS)]
    return next((file for file in files if file.is_file()), None)


def _number(cell: object) -> float | None:
    try:
        number = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


# --- features -------------------------------------------------------------------------------------------------------


def _gather_features(file: Path, to: Path, gathered: Gathered) -> None:
    content = read_plain_pickle(file)
    if not (isinstance(content, dict) and any(isinstance(content.get(split), dict) for split in _SPLITS)):
        raise UsageError(f"{file}: expected a pickle of {{train, valid, test}}")
    for theirs, ours in _SPLITS.items():
        if isinstance(content.get(theirs), dict):
            _Split(theirs, ours, content[theirs] | {"id": _ids(file, content[theirs].get("id"))}, gathered).add(to)


def _ids(file: Path, ids: object) -> list[str]:
    """Return the ids. Ids that do not name a video are rejected, because splits by group would be impossible."""
    listed = ids.tolist() if isinstance(ids, np.ndarray) else ids
    if not (isinstance(listed, list) and all(isinstance(each, str) and _SEPARATOR in each for each in listed)):
        raise UsageError(f"{file}: expected ids like VIDEO{_SEPARATOR}CLIP, got {ids!r:.100}")
    return listed


class _Split:
    """One split of a pickle. A field whose length differs from that of the ids is left out and reported."""

    def __init__(self, name: str, split: Split, fields: Mapping[str, Any], gathered: Gathered) -> None:
        self._name, self._split, self._fields, self._gathered = name, split, fields, gathered
        self._ids = list(fields["id"])

    def add(self, to: Path) -> None:
        """Write the arrays, and add a row for each id."""
        features = {modality: self._write(modality, field, to) for modality, field in _ARRAYS.items()}
        labels = self._numbers("regression_labels")
        alone = {modality: self._numbers(f"regression_labels_{letter}") for modality, letter in _ALONE.items()}
        texts = self._column("raw_text")
        if labels is None:
            self._gathered.problems.append(f"{self._name}: expected regression_labels for {len(self._ids)} ids")
            return
        for row, name in enumerate(self._ids):
            label = labels[row]
            if label is None:
                self._gathered.problems.append(f"{name}: expected a number for a label")
                continue
            of_modality = {modality: numbers[row] for modality, numbers in alone.items() if numbers is not None}
            label_by_modality = {modality: value for modality, value in of_modality.items() if value is not None}
            given = {modality: feature[row] for modality, feature in features.items() if feature is not None}
            self._gathered.rows.append(
                Row(
                    name.replace(_SEPARATOR, "/"), group=name.partition(_SEPARATOR)[0], label=label, split=self._split,
                    text=str(texts[row]) if texts is not None else None, label_per_modality=label_by_modality or None,
                    features=given or None,
                )
            )  # fmt: skip

    def _write(self, modality: str, field: str, to: Path) -> list[FeatureArrays] | None:
        """Write one modality's array as float32 [N, T, D], and return the reference to each row."""
        array = self._fields.get(field)
        if not isinstance(array, np.ndarray) or array.ndim != 3 or len(array) != len(self._ids):  # noqa: PLR2004
            self._gathered.problems.append(f"{self._name}: no array of {field} [{len(self._ids)}, T, D]")
            return None
        path = f"{FEATURES_FOLDER}/{self._name}-{modality}.npy"
        (to / FEATURES_FOLDER).mkdir(parents=True, exist_ok=True)
        np.save(to / path, self._finite(array, field), allow_pickle=False)
        lengths = self._numbers(f"{field}_lengths")
        steps = array.shape[1]
        return [
            FeatureArrays(file=path, row=row, length=None if lengths is None else min(steps, int(lengths[row] or 0)))
            for row in range(len(array))
        ]

    def _finite(self, array: NDArray[Any], field: str) -> NDArray[np.float32]:
        """Return the array as float32 with zeros for non-finite values: the audio of CMU-MOSEI has infinities."""
        floats = array.astype(np.float32)
        wrong = ~np.isfinite(floats)
        if wrong.any():
            self._gathered.problems.append(f"{self._name}: {int(wrong.sum())} numbers of {field} are not finite: now 0")
            floats[wrong] = 0
        return floats

    def _numbers(self, field: str) -> list[float | None] | None:
        column = self._column(field)
        return None if column is None else [_number(value) for value in column]

    def _column(self, field: str) -> Sequence[Any] | None:
        column = self._fields.get(field)
        if isinstance(column, np.ndarray):
            column = column.reshape(len(column), -1)[:, 0].tolist() if column.size else []
        return column if isinstance(column, list) and len(column) == len(self._ids) else None
