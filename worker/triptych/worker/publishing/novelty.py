"""Novelty of a window: the distance of its most unusual part from the nearest recent window of its stream. Pure.

The state consists of published results only. A restart restores it from the tail of the results topic and computes the
same values as an undisturbed worker (alignment rule 21, docs/alignment.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from triptych.models.prediction import WindowPrediction
from triptych.schemas.perception.vectors import decode_vector, fused_vector
from triptych.schemas.results import Result
from triptych.worker.publishing.window_memory import WindowMemory

_REMEMBERED_WINDOWS: Final = 16
_DIGITS: Final = 5


_EMBEDDING: Final = "embedding"


class RecentWindows:
    """The vectors of the most recent windows of each stream of one partition (see `WindowMemory`).

    These are the `embedding` of a result; without one, its vectors of the joint space. In that case pictures are
    compared with pictures, and what has no pictures by its fused vector.
    """

    def __init__(self, stream_ttl_ns: int) -> None:
        """Create an empty history. `stream_ttl_ns` is measured in arrival time."""
        self._windows: WindowMemory[Mapping[str, NDArray[np.float32]]] = WindowMemory(
            stream_ttl_ns, windows=_REMEMBERED_WINDOWS
        )

    def with_novelty(self, result: Result, moments: Sequence[ArrayLike]) -> Result:
        """Return a result with its novelty, and remember the result.

        Novelty is a cosine distance from 0 (seen before) to 2. It is None if the stream has no recent windows or
        `moments` is empty. A revision is compared only with windows before its own.

        Args:
            result: a new result.
            moments: unit vectors of the parts of the window, `[moments, dimensions]`, see `moments_of`.
        """
        novelty = self._novelty(result, moments)
        self.remember(result)
        return result if novelty is None else result.model_copy(update={"novelty": novelty})

    def remember(self, result: Result) -> None:
        """Add a published result to the history of its stream. A revision takes the place of the result before."""
        vectors = _vectors_by_kind(result)
        if vectors:
            self._windows.add(result, vectors)

    def _novelty(self, result: Result, moments: Sequence[ArrayLike]) -> float | None:
        kind = next(iter(_vectors_by_kind(result)), None)
        if not len(moments) or kind is None:
            return None
        model = result.model.sha256
        before = [window.value for window in self._windows.before(result) if window.model == model]
        recent = [vectors[kind] for vectors in before if kind in vectors]
        if not recent:
            return None
        similarity = np.asarray(moments, np.float32) @ np.stack(recent).T  # [moments, windows]
        farthest = 1.0 - float(similarity.max(1).min())
        return round(min(max(farthest, 0.0), 2.0), _DIGITS)


def moments_of(prediction: WindowPrediction) -> Sequence[ArrayLike]:
    """Return unit vectors of the parts of a window, `[moments, dimensions]`, as `RecentWindows` compares its result."""
    vectors = prediction.vectors
    if prediction.embedding is not None or vectors is None:
        return prediction.frame_embeddings
    if vectors.video is None:
        return [vectors.fused]
    return [vectors.video] if vectors.frames is None else list(vectors.frames)


def _vectors_by_kind(result: Result) -> dict[str, NDArray[np.float32]]:
    """Return the vectors of a result that others may be compared with; first the one that it is compared by itself."""
    if result.embedding is not None:
        return {_EMBEDDING: np.asarray(result.embedding, np.float32)}
    if result.vectors is None:
        return {}
    vectors = result.vectors
    named = {
        "video": None if vectors.video is None else decode_vector(vectors.video),
        "fused": fused_vector(vectors),
    }
    return {
        f"{vectors.space} {name}": np.asarray(vector, np.float32)
        for name, vector in named.items()
        if vector is not None
    }
