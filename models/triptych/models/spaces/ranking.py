"""Rank windows by a text, by their vectors in a joint space. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triptych.models.prediction import WindowVectors


@dataclass(frozen=True, slots=True)
class WindowScore:
    """How near a window is to a text: cosines from -1 to 1, None for a modality that is missing.

    Attributes:
        window: index of the window.
        fused: of the fused vector.
        video: of the pictures.
        audio: of the sounds.
        subtitles: of the words.
        frame: index of the nearest frame; None without frames.
    """

    window: int
    fused: float
    video: float | None
    audio: float | None
    subtitles: float | None
    frame: int | None

    @property
    def best(self) -> float:
        """Return the largest score of a modality; without any, that of the fused vector.

        A text is about what is seen or about what is said. In the fused vector, the other modality would count against
        the window.
        """
        scores = [score for score in (self.video, self.audio, self.subtitles) if score is not None]
        return max(scores, default=self.fused)


def rank_windows(text: NDArray[np.float32], windows: Sequence[WindowVectors | None]) -> list[WindowScore]:
    """Return the windows that have vectors, by their best modality, the nearest to a text first.

    Args:
        text: vector of the text, float32 [D] of length 1, in the space of the windows.
        windows: the vectors of each window; None for a window without any.
    """
    scores = [_score(text, index, vectors) for index, vectors in enumerate(windows) if vectors is not None]
    return sorted(scores, key=lambda score: (-score.best, score.window))


def _score(text: NDArray[np.float32], index: int, vectors: WindowVectors) -> WindowScore:
    def cosine(vector: NDArray[np.float32] | None) -> float | None:
        return None if vector is None else float(text @ vector)

    return WindowScore(
        window=index,
        fused=float(text @ vectors.fused),
        video=cosine(vectors.video),
        audio=cosine(vectors.audio),
        subtitles=cosine(vectors.subtitles),
        frame=None if vectors.frames is None else int((vectors.frames @ text).argmax()),
    )
