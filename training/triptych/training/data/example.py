"""What the trainer and the evaluation read: labelled windows, exactly as the worker would hand them to a model.

So everything behind the window (collation, tokens, encoders) is the same code in training and in serving.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from triptych.models.model import InputSpec
from triptych.models.window import PreparedWindow

ABSENT = -1
"""The label of a part that an example does not have; a loss leaves it out."""

MODALITIES = ("video", "audio", "text")
"""The names that subsets of modalities go by, in the order in which they are shown."""

Kind = Literal["multiclass", "multilabel", "regression"]
Target = int | tuple[int, ...] | float
"""One label's index, the indices of all labels that hold, or a number; by the task's kind."""


@dataclass(frozen=True, slots=True)
class Example:
    """Hold one labelled window.

    Attributes:
        id: names the example within its data set.
        window: what a model sees.
        target: what it should say of it.
        parts: labels of the components that the window is made of, by the part's name; `ABSENT` where it has none.
        group: examples of one group (a speaker, a film) never stand in two splits.
    """

    id: str
    window: PreparedWindow
    target: Target
    parts: Mapping[str, int]
    group: str


@dataclass(frozen=True, slots=True)
class Task:
    """Say what is to be learnt.

    Attributes:
        name: of the data set.
        kind: what a target is.
        labels: what the indices of targets mean; empty for a regression.
        parts: what the labels of each part mean, by the part's name: `MODALITY/WHAT` or `MODALITY/WHAT/N` (of the
            Nth picture) where one modality shows it, a name without a slash where none does.
        spec: how windows are prepared.
        window_ns: how long each window is.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]
    spec: InputSpec
    window_ns: int


class Dataset(Protocol):
    """Examples by split and index. The same index gives the same example, always."""

    @property
    def task(self) -> Task:
        """Say what is to be learnt."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Return the splits there are; `train`, `validation` and `test` come first, in this order, where they are."""

    def size(self, split: str) -> int:
        """Return how many examples a split has."""

    def examples(self, split: str, indices: Sequence[int]) -> list[Example]:
        """Return the examples at these indices, in their order."""


@runtime_checkable
class Endless(Protocol):
    """A data set that makes its examples: behind the last index of a split come others, as many as one asks for."""

    @property
    def is_endless(self) -> bool:
        """Say so."""
