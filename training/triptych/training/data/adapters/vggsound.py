"""VGGSound: clips of 10 s with one of 309 sounds whose source is visible. File names hold the video and its second."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Final

from triptych.training.data.adapters.formats.media_files import FILMS, SOUNDS, MediaFiles
from triptych.training.data.adapters.formats.tables import read_text
from triptych.training.data.adapters.gathering import Gathered, Row
from triptych.training.data.manifest import Labels, Split

_COLUMNS: Final = 4
_SPLITS: Final[dict[str, Split]] = {"train": "train", "test": "test"}


def vggsound(root: Path, _: Path) -> Gathered:
    """Gather VGGSound. All clips of one video are a group."""
    table = [row for row in csv.reader(io.StringIO(read_text(root / "vggsound.csv"), newline="")) if row]
    whole = [row for row in table if len(row) == _COLUMNS and row[1].isdigit() and row[3] in _SPLITS]
    labels = tuple(sorted({row[2] for row in whole}))
    gathered = Gathered(Labels(name="vggsound", labels=labels or ("none",)))
    if len(whole) < len(table):
        gathered.problems.append(f"vggsound.csv: {len(table) - len(whole)} lines are not id,second,label,train|test")
    files = MediaFiles(root)
    for video, second, label, split in whole:
        stem = f"{video}_{int(second):06}"
        film, sound = files.find(stem, FILMS), files.find(stem, SOUNDS)
        if film is None and sound is None:
            gathered.problems.append(f"{stem}: clip is missing")
            continue
        gathered.rows.append(
            Row(
                stem, group=video, label=labels.index(label), split=_SPLITS[split], video=film,
                audio=sound if film is None else film,
            )
        )  # fmt: skip
    return gathered
