"""Ask a model about many windows, each seen in several ways, a handful at a time."""

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
"""Return what the head of the task says of windows none of which is empty: logits [B, K], of a regression [B]."""
View = Callable[[list[PreparedWindow], Random], list[PreparedWindow]]
"""Return windows as they are to be seen; chance is the same in each run."""

CHUNK: Final = 64
"""So many windows are held at once."""


@dataclass(frozen=True, slots=True)
class ViewOutputs:
    """What was said of one view: outputs [R, …] of the rows [R] in which the view left anything to be seen."""

    rows: NDArray[np.int64]
    outputs: Numbers


@dataclass(frozen=True, slots=True)
class Predictions:
    """The targets of all rows, and what was said of each view."""

    targets: tuple[Target, ...]
    by_view: Mapping[Hashable, ViewOutputs]

    def truth(self, view: Hashable) -> NDArray[np.int64]:
        """Return the targets [R] of the rows of a view, which are single labels."""
        return np.array([self.targets[row] for row in self.by_view[view].rows], np.int64)


def predict_views(
    dataset: Dataset, split: str, predict: Predict, views: Mapping[Hashable, View], *,
    limit: int, seed: int = 0, track: TrackProgress[Any] = no_progress,
) -> Predictions:  # fmt: skip
    """Show the first `limit` examples of a split in every view, and return what is said."""
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
            kept = [place for place, window in enumerate(shown) if not window.is_empty]
            if kept:
                rows[view] += [first + place for place in kept]
                outputs[view].append(predict([shown[place] for place in kept]))
    by_view = {
        view: ViewOutputs(np.array(rows[view], np.int64), np.concatenate(outputs[view]).astype(np.float64))
        for view in views
        if outputs[view]
    }
    return Predictions(tuple(targets), by_view)
