"""Novelty of a window: the distance of its most unusual part from the nearest recent window of its stream. Pure.

The state consists of published results only. A restart restores it from the tail of the results topic and computes the
same values as an undisturbed worker (alignment rule 21, docs/alignment.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.schemas.results import Result
from triptych.worker.publishing.window_memory import WindowMemory

_REMEMBERED_WINDOWS: Final = 16
_DIGITS: Final = 5


class RecentWindows:
    """The embeddings of the most recent windows of each stream of one partition (see `WindowMemory`)."""

    def __init__(self, stream_ttl_ns: int) -> None:
        """Create an empty history. `stream_ttl_ns` is measured in arrival time."""
        self._windows: WindowMemory[NDArray[np.float32]] = WindowMemory(stream_ttl_ns, windows=_REMEMBERED_WINDOWS)

    def with_novelty(self, result: Result, moments: Sequence[Sequence[float]]) -> Result:
        """Return a result with its novelty, and remember the result.

        Novelty is a cosine distance from 0 (seen before) to 2. It is None if the stream has no recent windows or
        `moments` is empty. A revision is compared only with windows before its own.

        Args:
            result: a new result.
            moments: unit embeddings of the parts of the window, `[moments, dimensions]`.
        """
        novelty = self._novelty(result, moments)
        self.remember(result)
        return result if novelty is None else result.model_copy(update={"novelty": novelty})

    def remember(self, result: Result) -> None:
        """Add a published result to the history of its stream. A revision takes the place of the result before."""
        if result.embedding is not None:
            self._windows.add(result, np.asarray(result.embedding, np.float32))

    def _novelty(self, result: Result, moments: Sequence[Sequence[float]]) -> float | None:
        if not moments:
            return None
        model = result.model.sha256
        recent = [window.value for window in self._windows.before(result) if window.model == model]
        if not recent:
            return None
        similarity = np.asarray(moments, np.float32) @ np.stack(recent).T  # [moments, windows]
        farthest = 1.0 - float(similarity.max(1).min())
        return round(min(max(farthest, 0.0), 2.0), _DIGITS)
