"""From an adapter's rows to a manifest: probe the media, assign the splits, and make paths relative."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from triptych.schemas.errors import UsageError
from triptych.training.data.adapters.gathering import Gathered, Row
from triptych.training.data.adapters.registry import ADAPTERS
from triptych.training.data.adapters.splits import assign_splits
from triptych.training.data.manifest import Item, Manifest, first_error
from triptych.training.data.media_probe import Probe, ProbeFile, probe
from triptych.training.data.pools.cache import TrackProgress, no_progress

_MOMENT_S: Final = 0.1
"""Duration of text without media, or with an image only: it falls into one window."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A data set's manifest, and what is missing from it or was changed."""

    manifest: Manifest
    problems: tuple[str, ...]


def convert(
    name: str,
    root: Path,
    folder: Path,
    *,
    regroup: bool = False,
    probe_file: ProbeFile = probe,
    track: TrackProgress[Any] = no_progress,
) -> Conversion:
    """Return the manifest of a public data set for `folder`.

    Args:
        name: name of an adapter.
        root: folder or file of the data set.
        folder: folder of the manifest. Converted arrays are written there at once.
        regroup: make new splits by group instead of the authors' splits.
        probe_file: probes a media file.
        track: shows progress.

    Raises:
        UsageError: there is no such adapter, the data set's index is missing, or no item is left.
    """
    if name not in ADAPTERS:
        raise UsageError(f"no data set is called {name!r}; there are: {', '.join(ADAPTERS)}")
    if not root.exists():
        raise UsageError(f"{root}: expected the data set {name}, got nothing")
    gathered = ADAPTERS[name].gather(root, folder)
    rows, settled = assign_splits(_unique(gathered), regroup=regroup)
    reader = _ItemReader(folder, probe_file, gathered.problems)
    items = [item for row in track(rows, "probing files") if (item := reader.item(row)) is not None]
    if not items:
        shown = "; ".join(gathered.problems[:3])
        raise UsageError(f"{root}: expected {ADAPTERS[name].layout}, got nothing usable: {shown or 'empty'}")
    return Conversion(Manifest(folder, gathered.labels, tuple(items)), (*settled, *gathered.problems))


def _unique(gathered: Gathered) -> list[Row]:
    """Return the rows with a new id, and report the others."""
    seen: dict[str, Row] = {}
    for row in gathered.rows:
        if row.id in seen:
            gathered.problems.append(f"{row.id}: occurs twice; the first one is used")
        else:
            seen[row.id] = row
    return list(seen.values())


class _ItemReader:
    def __init__(self, folder: Path, probe_file: ProbeFile, problems: list[str]) -> None:
        self._folder = folder.absolute()
        self._probe_file = probe_file
        self._problems = problems

    def item(self, row: Row) -> Item | None:
        """Return the item of a row without the modalities that its files lack; None if nothing is left."""
        seen = {file: self._probe(row, file) for file in (row.video, row.audio) if file is not None}
        video, audio = seen.get(row.video), seen.get(row.audio)  # type: ignore[arg-type]
        row = replace(
            row,
            video=row.video if video is not None and video.has_video else None,
            audio=row.audio if audio is not None and audio.has_audio else None,
        )
        if not (row.video or row.audio or row.features or (row.text or "").strip()):
            return None
        longest = max((found.seconds for found in seen.values() if found is not None), default=0.0)
        try:
            return Item.model_validate(self._fields(row, longest))
        except ValidationError as error:
            self._problems.append(f"{row.id}: {first_error(error)}")
            return None

    def _probe(self, row: Row, file: Path) -> Probe | None:
        try:
            return self._probe_file(file)
        except UsageError as error:
            self._problems.append(f"{row.id}: {error}")
            return None

    def _fields(self, row: Row, seconds: float) -> Mapping[str, object]:
        fields: dict[str, object] = {
            "id": row.id, "split": row.split, "group": row.group, "t0": row.t0, "t1": row.t1, "label": row.label,
            "label_per_modality": row.label_per_modality, "features": row.features,
        }  # fmt: skip
        if row.video is not None and row.video == row.audio and row.text is None:
            return fields | {"clip": self._relative(row.video)}
        fields |= {"video": self._relative(row.video), "audio": self._relative(row.audio)}
        if row.text is not None and row.text.strip():
            end = max(row.t1 if row.t1 is not None else seconds, row.t0 + _MOMENT_S)
            fields["text"] = [{"t0": row.t0, "t1": end, "text": row.text.strip()}]
        return fields

    def _relative(self, file: Path | None) -> str | None:
        return None if file is None else Path(os.path.relpath(file.absolute(), self._folder)).as_posix()
