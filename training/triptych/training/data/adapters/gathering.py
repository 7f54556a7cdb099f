"""What an adapter returns: the labelled rows of a data set, and its problems.

An adapter reads names, tables and annotations. It opens no media; `conversion` probes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from triptych.training.data.manifest import FeatureArrays, Labels, Split


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled clip, image or line of a data set.

    Attributes:
        id: unique in the data set.
        group: speaker, dialogue or film: what must be in one split only.
        label: index, indices or number, by the kind of task.
        split: the authors' split; None without one.
        video: file whose video is used.
        audio: file whose audio is used; for a film the same as `video`.
        text: text, shown as long as the rest lasts.
        t0: start in the files, in seconds.
        t1: end in the files, in seconds; None for the files' end.
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
    """The rows of a data set, and a message for each problem."""

    labels: Labels
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


Gather = Callable[[Path, Path], Gathered]
"""Returns the rows of the data set at the first path. Converted arrays are written to the folder at the second path.

Raises `UsageError` if the data set's index is missing or unreadable.
"""
