"""Predictions of a model for many windows, each in several views, in small chunks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from triptych.models.window import PreparedWindow
from triptych.training.data.example import Dataset, Target
from triptych.training.data.pools.cache import TrackProgress, no_progress

Numbers = NDArray[np.float64]
Predict = Callable[[Sequence[PreparedWindow]], NDArray[np.float32]]
"""Returns the target head's output for windows: float32 [B, K] logits, or [B] for a regression. None may be empty."""
View = Callable[[list[PreparedWindow], Random], list[PreparedWindow]]
"""Returns perturbed windows. The random generator has the same state in each run."""

CHUNK: Final = 64
"""Number of windows in memory at once."""


@dataclass(frozen=True, slots=True)
class ViewOutputs:
    """Outputs of one view: float64 [R, K] (or [R]) for the rows int64 [R] in which the view leaves any content."""

    rows: NDArray[np.int64]
    outputs: Numbers


@dataclass(frozen=True, slots=True)
class Predictions:
    """The targets of all rows, and the outputs of each view."""

    targets: tuple[Target, ...]
    by_view: Mapping[Hashable, ViewOutputs]

    def truth(self, view: Hashable) -> NDArray[np.int64]:
        """Return the labels int64 [R] of a view's rows. Only for a multiclass task."""
        return np.array([self.targets[row] for row in self.by_view[view].rows], np.int64)


def predict_views(
    dataset: Dataset, split: str, predict: Predict, views: Mapping[Hashable, View], *,
    limit: int, seed: int = 0, track: TrackProgress[Any] = no_progress,
) -> Predictions:  # fmt: skip
    """Run the model on the first `limit` examples of a split in every view."""
    count = min(limit, dataset.size(split))
    targets: list[Target] = []
    rows: dict[Hashable, list[int]] = {view: [] for view in views}
    outputs: dict[Hashable, list[NDArray[np.float32]]] = {view: [] for view in views}
    for first in track(range(0, count, CHUNK), f"{dataset.task.name}, {split}"):
        examples = dataset.examples(split, range(first, min(first + CHUNK, count)))
        targets += [example.target for example in examples]
        windows = [example.window for example in examples]
        for view, see in views.items():
            shown = see(windows, Random(f"{seed}/{view}/{first}"))
            kept = [index for index, window in enumerate(shown) if not window.is_empty]
            if kept:
                rows[view] += [first + index for index in kept]
                outputs[view].append(predict([shown[index] for index in kept]))
    by_view = {
        view: ViewOutputs(np.array(rows[view], np.int64), np.concatenate(outputs[view]).astype(np.float64))
        for view in views
        if outputs[view]
    }
    return Predictions(tuple(targets), by_view)
