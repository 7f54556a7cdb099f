"""How similar each source of a window is to a prompt: what is published as `Match.similarity`. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.models.prediction import PredictedDetection, WindowVectors
from triptych.schemas.perception.matches import MatchSimilarity
from triptych.worker.matching.label_words import LabelWords, label_words, names_label
from triptych.worker.matching.prompt_timeline import EmbeddedPrompt, PromptDirection

_DIGITS: Final = 5

_words_of_label = lru_cache(maxsize=4_096)(label_words)


@dataclass(frozen=True, slots=True)
class WindowSources:
    """What a prompt is compared with.

    Attributes:
        vectors: the vectors of the window; None without a joint space.
        frame_times_ns: the time of each frame of the window.
        detections: the objects in its pictures; None if no picture was examined.
        sound_vectors: the vectors of its sounds in a space of their own; None without audio or without such a space.
    """

    vectors: WindowVectors | None = None
    frame_times_ns: Sequence[int] = ()
    detections: Sequence[PredictedDetection] | None = None
    sound_vectors: WindowVectors | None = None


@dataclass(frozen=True, slots=True)
class Similarity:
    """The similarity of each source, and the time of the picture that fits best."""

    by_source: MatchSimilarity
    at_ns: int | None = None


def similarity_of(prompt: EmbeddedPrompt, window: WindowSources) -> Similarity:
    """Compare a window with a prompt.

    The similarity of a vector is its cosine to the prompt, less the largest cosine to a negative. That of the video is
    the best of its frames, so that what is seen for a moment counts. Sounds are compared in their own space, if the
    prompt has a direction there. That of the detections is the best score of a label that the prompt names, less the
    best score of one that only a negative names.
    """
    detections, detected_ns = _detection_similarity(prompt, window.detections)
    video = subtitles = seen_ns = None
    audio = _sound_similarity(prompt, window)
    vectors, direction = window.vectors, prompt.direction
    if vectors is not None and direction is not None and vectors.space == direction.space:
        video, seen_ns = _video_similarity(direction, vectors, vectors.frame_times_ns or window.frame_times_ns)
        subtitles = _vector_similarity(direction, vectors.subtitles)
    similarity = MatchSimilarity(video=video, audio=audio, subtitles=subtitles, detections=detections)
    return Similarity(similarity, detected_ns if seen_ns is None else seen_ns)


def _sound_similarity(prompt: EmbeddedPrompt, window: WindowSources) -> float | None:
    """Return the similarity of the sounds, in one space only: values of two could not be compared with each other."""
    own = prompt.sound_direction is not None
    direction, vectors = (prompt.sound_direction, window.sound_vectors) if own else (prompt.direction, window.vectors)
    if direction is None or vectors is None or vectors.space != direction.space:
        return None
    return _vector_similarity(direction, vectors.audio)


def _contrasts(direction: PromptDirection, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the similarity of each vector, float32 [N], of `vectors` [N, D]."""
    contrasts: NDArray[np.float32] = vectors @ direction.vector
    if len(direction.negatives):
        contrasts = contrasts - (vectors @ direction.negatives.T).max(1)
    return contrasts


def _vector_similarity(direction: PromptDirection, vector: NDArray[np.float32] | None) -> float | None:
    return None if vector is None else round(float(_contrasts(direction, vector[None])[0]), _DIGITS)


def _video_similarity(
    direction: PromptDirection, vectors: WindowVectors, times_ns: Sequence[int]
) -> tuple[float | None, int | None]:
    """Return the best similarity of the frames and the time of that frame."""
    if vectors.frames is None or not len(vectors.frames):
        return _vector_similarity(direction, vectors.video), None
    contrasts = _contrasts(direction, vectors.frames)
    best = int(contrasts.argmax())
    return round(float(contrasts[best]), _DIGITS), times_ns[best] if best < len(times_ns) else None


def _detection_similarity(
    prompt: EmbeddedPrompt, detections: Sequence[PredictedDetection] | None
) -> tuple[float | None, int | None]:
    """Return the similarity of the detections, and the time of the best one that the prompt names."""
    if detections is None:
        return None, None
    wanted, unwanted = [], []
    for each in detections:
        if _is_named(each.label, prompt.words, prompt.labels):
            wanted.append(each)  # also if a negative names it: "a toy dog" has the word of the label "dog"
        elif _is_named(each.label, prompt.negative_words, prompt.negative_labels):
            unwanted.append(each.score)
    best = max(wanted, key=lambda found: found.score, default=None)
    similarity = (0.0 if best is None else best.score) - max(unwanted, default=0.0)
    return round(float(similarity), _DIGITS), None if best is None else best.time_ns


def _is_named(label: str, texts: Sequence[LabelWords], labels: Collection[str]) -> bool:
    """Return whether texts with these words name a label, or it is among those that they name otherwise."""
    words = _words_of_label(label)
    return label in labels or any(names_label(text, words) for text in texts)
