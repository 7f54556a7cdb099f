"""Hateful Memes: images with text, hateful or not. Often neither the image nor the text alone decides."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from triptych.schemas.errors import UsageError
from triptych.training.data.adapters.formats.tables import read_lines
from triptych.training.data.adapters.gathering import Gathered, Row
from triptych.training.data.manifest import Labels, Split

_SPLITS: Final[Mapping[str, Split]] = {
    "train.jsonl": "train",
    "dev.jsonl": "validation",
    "dev_seen.jsonl": "validation",
    "dev_unseen.jsonl": "validation",
    "test.jsonl": "test",
    "test_seen.jsonl": "test",
    "test_unseen.jsonl": "test",
}
_LABELS: Final = ("not hateful", "hateful")


def hateful_memes(root: Path, _: Path) -> Gathered:
    """Gather Hateful Memes. A meme that is in several files is used once."""
    gathered = Gathered(Labels(name="hateful-memes", labels=_LABELS))
    found = [(root / name, split) for name, split in _SPLITS.items() if (root / name).is_file()]
    if not found:
        raise UsageError(f"{root}: expected {', '.join(_SPLITS)}, got none of them")
    seen: set[str] = set()
    for file, split in found:
        unlabelled = 0
        for meme in _memes(file, gathered.problems):
            name = str(meme.get("id"))
            if name in seen:
                continue
            if meme.get("label") not in (0, 1):
                unlabelled += 1
                continue
            seen.add(name)
            gathered.rows.append(_row(name, meme, split, root, gathered.problems))
        if unlabelled:
            gathered.problems.append(f"{file.name}: {unlabelled} memes without a label left out")
    return gathered


def _memes(file: Path, problems: list[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(read_lines(file), 1):
        try:
            meme = json.loads(line)
        except ValueError:
            meme = None
        if isinstance(meme, dict) and "id" in meme:
            yield meme
        else:
            problems.append(f"{file.name}, line {number}: expected an object with an id")


def _row(name: str, meme: Mapping[str, Any], split: Split, root: Path, problems: list[str]) -> Row:
    picture = root / str(meme.get("img"))
    if not picture.is_file():
        problems.append(f"{name}: picture {meme.get('img')} is missing")
    return Row(
        name, group=name, label=int(meme["label"]), split=split, text=str(meme.get("text") or ""),
        video=picture if picture.is_file() else None,
    )  # fmt: skip
