"""MSCTD: lines of film dialogues, each with a frame and its sentiment. There is no audio."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final, Literal

from triptych.schemas.errors import UsageError
from triptych.training.data.adapters.formats.tables import read_lines
from triptych.training.data.adapters.gathering import Gather, Gathered, Row
from triptych.training.data.manifest import Labels, Split

_SPLITS: Final[Mapping[str, Split]] = {"train": "train", "dev": "validation", "test": "test"}
_LABELS: Final = ("neutral", "negative", "positive")
_PAIRS: Final = {"english": ("ende", "enzh"), "german": ("ende",), "chinese": ("enzh",)}
"""Folders that may have a language's lines. Those of `ende` and `enzh` overlap, so only one is used."""
_PICTURES: Final = ("{split}_images", "{pair}_{split}_images", "{split}_{pair}", "{split}")
_LISTED: Final = re.compile(r"\[([\d,\s]*)\]")


def msctd(language: Literal["english", "german", "chinese"]) -> Gather:
    """Return the adapter for MSCTD with the lines of a language."""
    return partial(_gather, language)


def _gather(language: Literal["english", "german", "chinese"], root: Path, _: Path) -> Gathered:
    name = "msctd" if language == "english" else f"msctd-{language}"
    gathered = Gathered(Labels(name=name, labels=_LABELS))
    folder = _folder(root, language)
    for theirs, ours in _SPLITS.items():
        lines = read_lines(folder / f"{language}_{theirs}.txt")
        sentiments = read_lines(folder / f"sentiment_{theirs}.txt")
        if len(lines) != len(sentiments):
            gathered.problems.append(
                f"{theirs}: {len(lines)} lines, but {len(sentiments)} sentiments; the split is left out"
            )
            continue
        dialogue_of = _dialogues(folder, theirs)
        pictures = _pictures(root, folder, theirs)
        for number, (line, sentiment) in enumerate(zip(lines, sentiments, strict=True)):
            place = f"{theirs}/{number}"
            if sentiment.strip() not in {"0", "1", "2"} or number not in dialogue_of:
                gathered.problems.append(f"{place}: expected 0, 1 or 2, and a dialogue, got {sentiment.strip()!r}")
                continue
            picture = pictures / f"{number}.jpg"
            if not picture.is_file():
                gathered.problems.append(f"{place}: picture is missing")
            gathered.rows.append(
                Row(
                    place, group=f"{theirs}/{dialogue_of[number]}", label=int(sentiment), split=ours, text=line,
                    video=picture if picture.is_file() else None,
                )
            )  # fmt: skip
    return gathered


def _folder(root: Path, language: str) -> Path:
    for folder in (
        root,
        *(root / pair for pair in _PAIRS[language]),
        *(root / "MSCTD_data" / pair for pair in _PAIRS[language]),
    ):
        if (folder / f"{language}_train.txt").is_file():
            return folder
    raise UsageError(f"{root}: expected {' or '.join(_PAIRS[language])} with {language}_train.txt, got neither")


def _dialogues(folder: Path, split: str) -> dict[int, int]:
    """Return the dialogue of each line. Each line of the index lists those of a dialogue, perhaps after its number."""
    names = (folder / f"image_index_{split}.txt", folder / f"img_index_{split}.txt")
    file = next((name for name in names if name.is_file()), names[0])
    return {line: dialogue for dialogue, listed in enumerate(read_lines(file)) for line in _listed(listed)}


def _listed(line: str) -> Iterator[int]:
    found = _LISTED.search(line)
    return (int(number) for number in (found[1].split(",") if found else ()) if number.strip())


def _pictures(root: Path, folder: Path, split: str) -> Path:
    names = [name.format(split=split, pair=folder.name) for name in _PICTURES]
    places = [place / name for place in (folder, root, root / "images") for name in names]
    return next((place for place in places if place.is_dir()), places[0])
