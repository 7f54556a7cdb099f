"""What an adapter finds in a data set: rows of what is labelled, and what is wrong with the others.

An adapter reads names, tables and annotations; it opens no media. That, the splits and the manifest are `conversion`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from triptych.training.data.manifest import FeatureArrays, Labels, Split


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one labelled clip, picture or line as its data set has it.

    Attributes:
        id: names it within the data set.
        group: a speaker, a dialogue, a film: whatever must not stand in two splits.
        label: index, indices, or a number, by the kind of the labels.
        split: where the authors put it; None where they put it nowhere.
        video: file whose pictures count.
        audio: file whose sound counts; the same as `video` for a film.
        text: the words, shown as long as the rest lasts.
        t0: where in the files it begins, in seconds.
        t1: where it ends; None for the files' end.
        label_per_modality: as in the manifest.
        features: as in the manifest.
    """

    id: str
    group: str
    label: int | tuple[int, ...] | float
    split: Split | None = None
    video: Path | None = None
    audio: Path | None = None
    text: str | None = None
    t0: float = 0.0
    t1: float | None = None
    label_per_modality: Mapping[str, int | float] | None = None
    features: Mapping[Literal["video", "audio", "text"], FeatureArrays] | None = None


@dataclass(slots=True)
class Gathered:
    """Collect the rows of a data set, and a sentence for each thing that is not as it should be."""

    labels: Labels
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


Gather = Callable[[Path, Path], Gathered]
"""Return what is in the data set at the first path; arrays that it converts go into the folder at the second.

Raises `UsageError` where the data set's own index is missing or unreadable.
"""
