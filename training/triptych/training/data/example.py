"""Labelled windows, exactly as the worker hands them to a model.

So training, evaluation and serving share the code behind the window: collation, tokenizers and encoders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from triptych.models.model import InputSpec
from triptych.models.window import PreparedWindow

ABSENT = -1
"""Label of a component that an example lacks. Losses ignore it."""

MODALITIES = ("video", "audio", "text")
"""Names of the modalities, in display order."""

Kind = Literal["multiclass", "multilabel", "regression"]
Target = int | tuple[int, ...] | float
"""The index of a label, the indices of all labels that apply, or a number, by the kind of task."""


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled window.

    Attributes:
        id: unique in the data set.
        window: input of the model.
        target: the label.
        parts: labels of the window's components by name; `ABSENT` for a missing one.
        group: examples of one group (a speaker, a film) are in the same split.
    """

    id: str
    window: PreparedWindow
    target: Target
    parts: Mapping[str, int]
    group: str


@dataclass(frozen=True, slots=True)
class Task:
    """What a data set asks a model to predict.

    Attributes:
        name: name of the data set.
        kind: kind of target.
        labels: names of the labels; empty for a regression.
        parts: names of each component's labels. A component is named `MODALITY/WHAT`, or `MODALITY/WHAT/N` for the Nth
            frame, if one modality shows it; without a slash if none does.
        spec: how windows are prepared.
        window_ns: length of each window.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]
    spec: InputSpec
    window_ns: int


class Dataset(Protocol):
    """Examples by split and index. The same index always gives the same example."""

    @property
    def task(self) -> Task:
        """Return the task."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Return the splits. Those of `train`, `validation` and `test` that exist come first, in this order."""

    def size(self, split: str) -> int:
        """Return the number of examples in a split."""

    def examples(self, split: str, indices: Sequence[int]) -> list[Example]:
        """Return the examples at these indices, in this order."""


@runtime_checkable
class Endless(Protocol):
    """A data set that generates examples: indices beyond the size of a split give further examples."""

    @property
    def is_endless(self) -> bool:
        """Return whether it does."""
