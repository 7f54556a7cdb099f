"""Manifests for clips without one: a folder of clips by label, or a table of clips."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from triptych.schemas.errors import UsageError
from triptych.training.data.manifest import SPLITS, Item, Labels, Manifest, Split, TimedText, first_error, split_of

_BESIDE: Final = frozenset({".srt", ".vtt", ".ass", ".txt", ".json", ".jsonl", ".csv"})
"""Suffixes of files that lie beside clips: subtitles, which playback finds by itself, and notes."""
_COLUMNS: Final = ("path", "label", "split", "group", "start", "end", "text")


def manifest_of_folder(folder: Path, *, name: str | None = None) -> Manifest:
    """Return the manifest of `LABEL/CLIP` or `SPLIT/LABEL/CLIP`. The folder names are the labels.

    Each clip is a group of its own, unless its name has a prefix that ends with `__`, as `speaker7__take2.mp4` has: the
    prefix names the group.

    Raises:
        UsageError: there are no clips.
    """
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix not in _BESIDE]
    clips = [file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts)]
    found = [(file, _place(file.relative_to(folder))) for file in clips]
    labels = tuple(sorted({label for _, (_, label) in found}))
    if not labels:
        raise UsageError(f"{folder}: expected clips as LABEL/CLIP, or SPLIT/LABEL/CLIP, got none")
    items = []
    for file, (split, label) in found:
        clip = file.relative_to(folder).as_posix()
        group = file.stem.partition("__")[0]
        items.append(Item(id=clip, split=split or split_of(group), group=group, clip=clip, label=labels.index(label)))
    return Manifest(folder, Labels(name=name or folder.name, labels=labels), tuple(items))


def manifest_of_table(table: Path, *, name: str | None = None) -> Manifest:
    """Return the manifest of a CSV file with the columns path and label.

    The optional columns are split, group, start, end and text. Paths are relative to the table. Start and end are in
    seconds; the default end is that of the clip. A text lasts from start to end.

    Raises:
        UsageError: a column is missing or unknown, or a row is invalid. The message names the line.
    """
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = set(rows[0]) if rows else set()
    if not {"path", "label"} <= columns <= set(_COLUMNS):
        raise UsageError(f"{table}: expected rows with the columns {', '.join(_COLUMNS)}, got: {', '.join(columns)}")
    labels = tuple(sorted({row["label"] for row in rows}))
    items = tuple(_row_item(row, labels, f"{table}, line {line}") for line, row in enumerate(rows, 2))
    return Manifest(table.parent, Labels(name=name or table.stem, labels=labels), items)


def _place(path: Path) -> tuple[Split | None, str]:
    """Return the split, if any, and the label from a clip's folders."""
    folders = path.parts[:-1]
    if len(folders) == 1:
        return None, folders[0]
    if len(folders) == len(("split", "label")) and folders[0] in SPLITS:
        return folders[0], folders[1]
    raise UsageError(f"{path}: expected LABEL/CLIP, or SPLIT/LABEL/CLIP with a split of {', '.join(SPLITS)}")


def _row_item(row: Mapping[str, str], labels: tuple[str, ...], where: str) -> Item:
    try:
        start = float(row.get("start") or 0)
        end = float(row["end"]) if row.get("end") else None
        group = row.get("group") or row["path"]
        text = row.get("text")
        path = row["path"]
        media = {"clip": path}
        if text:
            words = TimedText(t0=start, t1=end, text=text)
            media = {"video": path, "audio": path, "text": (words,)}  # type: ignore[dict-item]
        return Item.model_validate(
            {
                "id": f"{path}@{start:g}", "split": row.get("split") or split_of(group), "group": group,
                "t0": start, "t1": end, "label": labels.index(row["label"]), **media,
            }
        )  # fmt: skip
    except ValidationError as error:
        raise UsageError(f"{where}: {first_error(error)}") from error
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error
