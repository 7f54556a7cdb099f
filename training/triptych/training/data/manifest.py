"""The manifest of a data set: its clips with their labels and splits.

A folder with `labels.json` (one object, `Labels`) and `manifest.jsonl` (one line for each clip, `Item`). Paths are
relative to the folder. Splits are by group: all clips of a speaker, film or dialogue are in the same split.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from triptych.schemas.errors import UsageError
from triptych.training.data.example import MODALITIES, Kind

LABELS_FILE: Final = "labels.json"
ITEMS_FILE: Final = "manifest.jsonl"
Split = Literal["train", "validation", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")
SHARES: Final[dict[Split, float]] = {"train": 0.6, "validation": 0.15, "test": 0.25}


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TimedText(_Line):
    """A line of text with its times in seconds of the clip. Without an end it lasts as long as the item."""

    t0: float = Field(ge=0)
    t1: float | None = None
    text: str = Field(min_length=1)

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.t1 is not None and self.t1 <= self.t0:
            raise ValueError("t1: expected an end after t0")
        return self


class FeatureArrays(_Line):
    """Precomputed features of one modality: a row of an array of floats [N, T, D] in a file.

    Attributes:
        file: path of a `.npy` file.
        row: index of the item's row.
        length: number of valid steps; null for all T.
    """

    file: str
    row: int = Field(ge=0)
    length: int | None = Field(default=None, ge=0)


class Item(_Line):
    """One labelled clip.

    It has either `clip`, a file whose tracks all count, including subtitles in or beside it; or any of `video`, `audio`
    and `text`, where null means that the modality is missing. It may have `features` in addition, or only features.

    Attributes:
        id: unique in the manifest.
        split: its split.
        group: all items of a group are in one split.
        t0: start in the file, in seconds.
        t1: end in the file, in seconds; null for the file's end.
        clip: path of a file.
        video: path of a file of which only the video is used.
        audio: path of a file of which only the audio is used.
        text: lines of text.
        features: precomputed features by modality.
        label: index of the label, indices of all labels that apply, or a number, by the kind of task.
        label_per_modality: label of each modality alone, if it was annotated.
    """

    id: str = Field(min_length=1)
    split: Split
    group: str = Field(min_length=1)
    t0: float = Field(default=0.0, ge=0)
    t1: float | None = None
    clip: str | None = None
    video: str | None = None
    audio: str | None = None
    text: tuple[TimedText, ...] | None = None
    features: dict[Literal["video", "audio", "text"], FeatureArrays] | None = None
    label: int | tuple[int, ...] | float
    label_per_modality: dict[Literal["video", "audio", "text"], int | float] | None = None

    @model_validator(mode="after")
    def _shows_something(self) -> Self:
        apart = any(part is not None for part in (self.video, self.audio, self.text))
        if apart and self.clip is not None:
            raise ValueError("expected either clip, or any of video, audio and text")
        if not (apart or self.clip is not None or self.features):
            raise ValueError("expected either clip, or any of video, audio and text, or features")
        if self.t1 is not None and self.t1 <= self.t0:
            raise ValueError("t1: expected an end after t0")
        return self


class Labels(_Line):
    """The labels of a manifest."""

    name: str = Field(min_length=1)
    kind: Kind = "multiclass"
    labels: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _labels_fit_the_kind(self) -> Self:
        if (self.kind == "regression") == bool(self.labels):
            raise ValueError(f"labels: expected {'none' if self.labels else 'some'} for a {self.kind}")
        return self


@dataclass(frozen=True, slots=True)
class Manifest:
    """The validated labels and items of a folder."""

    folder: Path
    labels: Labels
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        _check(self)


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a folder.

    Raises:
        UsageError: it is missing or invalid. The message names the line.
    """
    try:
        labels = Labels.model_validate_json((folder / LABELS_FILE).read_bytes())
        lines = (folder / ITEMS_FILE).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{folder}: expected {LABELS_FILE} and {ITEMS_FILE}, got: {error}") from error
    except ValidationError as error:
        raise UsageError(f"{folder / LABELS_FILE}: {first_error(error)}") from error
    items = [_item(line, folder / ITEMS_FILE, number) for number, line in enumerate(lines, 1) if line.strip()]
    return Manifest(folder, labels, tuple(items))


def write_manifest(manifest: Manifest) -> None:
    """Write the manifest into its folder."""
    manifest.folder.mkdir(parents=True, exist_ok=True)
    (manifest.folder / LABELS_FILE).write_text(manifest.labels.model_dump_json(indent=1) + "\n", encoding="utf-8")
    lines = "".join(item.model_dump_json(exclude_defaults=True) + "\n" for item in manifest.items)
    (manifest.folder / ITEMS_FILE).write_text(lines, encoding="utf-8")


def relocate(manifest: Manifest, folder: Path) -> Manifest:
    """Return the manifest for another folder, with paths that lead to the same files."""
    here, there = manifest.folder.absolute(), folder.absolute()

    def path(name: str) -> str:
        return Path(os.path.relpath(here / name, there)).as_posix()

    def item(old: Item) -> Item:
        given = {name: path(value) for name in ("clip", "video", "audio") if (value := getattr(old, name)) is not None}
        features = {
            modality: array.model_copy(update={"file": path(array.file)})
            for modality, array in (old.features or {}).items()
        }
        return old.model_copy(update=given | {"features": features or None})

    return Manifest(folder, manifest.labels, tuple(item(old) for old in manifest.items))


def split_of(group: str) -> Split:
    """Return the split of a group without one. It depends only on the group's name."""
    point = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) / 2**64
    for split in SPLITS[:-1]:
        point -= SHARES[split]
        if point < 0:
            return split
    return SPLITS[-1]


def indices_of(label: tuple[int, ...] | float) -> Sequence[int]:
    """Return the labels of an item as indices; nothing for a number."""
    if isinstance(label, tuple):
        return label
    return (label,) if isinstance(label, int) else ()


def _item(line: str, file: Path, number: int) -> Item:
    try:
        return Item.model_validate_json(line)
    except ValidationError as error:
        raise UsageError(f"{file}, line {number}: {first_error(error)}") from error


def _check(manifest: Manifest) -> None:
    _reject(_repeated(item.id for item in manifest.items), "ids occur twice")
    split_by_group: dict[str, str] = {}
    divided = [item.group for item in manifest.items if split_by_group.setdefault(item.group, item.split) != item.split]
    _reject(list(dict.fromkeys(divided)), "groups are in several splits, so the test split would not be independent")
    _reject(
        [item.id for item in manifest.items if not _fits(item, manifest.labels)],
        "items have labels that do not fit labels.json",
    )


def _fits(item: Item, labels: Labels) -> bool:
    if labels.kind == "regression":
        return not isinstance(item.label, tuple)
    if isinstance(item.label, tuple) != (labels.kind == "multilabel") or isinstance(item.label, float):
        return False
    indices = (*indices_of(item.label), *(item.label_per_modality or {}).values())
    return all(isinstance(index, int) and 0 <= index < len(labels.labels) for index in indices)


def _reject(names: Sequence[str], what: str) -> None:
    if names:
        shown = ", ".join(names[:3]) + (" …" if len(names) > len(names[:3]) else "")
        raise UsageError(f"manifest: {len(names)} {what}: {shown}")


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]


def first_error(error: ValidationError) -> str:
    """Return the first validation error as one line."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")


def modality_parts(labels: Labels) -> dict[str, tuple[str, ...]]:
    """Return the components that per-modality labels define: one for each modality, with the labels of the task."""
    return {f"{modality}/label": labels.labels for modality in MODALITIES} if labels.kind == "multiclass" else {}
