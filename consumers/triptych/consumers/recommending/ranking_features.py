"""What the ranking head is given about a user and each candidate. Pure.

A score of a user for items is standardised by its mean and deviation over the items of the model, so a number means the
same whatever the candidates are. What is unknown is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.consumers.recommending.collaborative import AlsFactors, BprFactors

Floats = NDArray[np.float32]

FEATURES: Final = (
    "als",
    "bpr",
    "content",
    "nearest",
    "profile",
    "popularity",
    "recent popularity",
    "is known",
    "has vector",
    "history",
    "has profile",
)
"""The names of the features, in their order."""
_NEAREST: Final = 3
_HALF_LIFE: Final = 30.0
"""Newer items count more: after this many newer ones, half as much."""
_LEAST_DEVIATION: Final = 1e-6
_MOST: Final = 5.0
"""Standardised scores beyond it are cut: they have no more to say, and a head has seen few of them."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownItems:
    """What a trained model knows about its I items.

    Attributes:
        als: their factors; None without a model.
        bpr: the same of the other model.
        vectors: float32 [I, D], their vectors of length 1; zeros where an item has none.
        counts: float32 [I], how many users watched or liked each.
        recent_counts: float32 [I], the same in the newest part of the time.
    """

    als: AlsFactors | None
    bpr: BprFactors | None
    vectors: Floats
    counts: Floats
    recent_counts: Floats

    def __len__(self) -> int:
        return len(self.counts)


@dataclass(frozen=True, slots=True, eq=False)
class UserHistory:
    """The H items that a user knows, oldest first, and the profile.

    Attributes:
        numbers: int32 [H], the numbers of the items in the model; -1 for one that it does not know.
        weights: float32 [H], positive for liked and watched, negative for skipped.
        vectors: float32 [H, D], vectors of the items; zeros where there is none.
        profile: float32 [D], the vector of the profile's text; None without one.
    """

    numbers: NDArray[np.int32]
    weights: Floats
    vectors: Floats
    profile: Floats | None = None

    def __len__(self) -> int:
        return len(self.weights)

    def newest(self, most: int) -> UserHistory:
        """Return the history with the newest items only."""
        begin = max(0, len(self) - most)
        return UserHistory(self.numbers[begin:], self.weights[begin:], self.vectors[begin:], self.profile)


@dataclass(frozen=True, slots=True, eq=False)
class RatedCandidates:
    """The C candidates of an answer.

    Attributes:
        numbers: int32 [C], their numbers in the model; -1 for an item that it does not know.
        vectors: float32 [C, D]; zeros where there is none.
    """

    numbers: NDArray[np.int32]
    vectors: Floats

    def __len__(self) -> int:
        return len(self.numbers)


def taste_vector(history: UserHistory) -> Floats | None:
    """Return the direction of what a user likes, float32 [D] of length 1; None without an item that has a vector."""
    age = np.arange(len(history) - 1, -1, -1, dtype=np.float32)
    weights = history.weights * 0.5 ** (age / _HALF_LIFE)
    total = weights @ history.vectors
    length = float(np.linalg.norm(total))
    return None if not (history.weights > 0).any() or length < _LEAST_DEVIATION else np.asarray(total / length)


def ranking_features(known: KnownItems, history: UserHistory, candidates: RatedCandidates) -> Floats:
    """Return the features of each candidate for a user, float32 [C, F]. See `FEATURES`."""
    features = np.zeros((len(candidates), len(FEATURES)), np.float32)
    is_known, has_vector = candidates.numbers >= 0, candidates.vectors.any(axis=1)
    positive = (history.weights > 0) & (history.numbers >= 0)
    chosen = history.numbers >= 0
    if known.als is not None and positive.any():
        als = known.als.factors @ known.als.user(history.numbers[chosen], history.weights[chosen])
        _put(features, 0, als, candidates.numbers)
    if known.bpr is not None and positive.any():
        bpr = known.bpr.factors @ known.bpr.user(history.numbers[positive], history.weights[positive])
        _put(features, 1, bpr, candidates.numbers)
    for column, score in ((2, _content(history)), (3, _nearest(history)), (4, _profile(history))):
        if score is not None:
            reference = score(known.vectors[known.vectors.any(axis=1)])
            features[:, column] = _standardised(score(candidates.vectors), reference) * has_vector
    for column, counts in ((5, known.counts), (6, known.recent_counts)):
        _put(features, column, np.log1p(counts), candidates.numbers)
    features[:, 7] = is_known
    features[:, 8] = has_vector
    features[:, 9] = np.log1p(len(history)) / 5
    features[:, 10] = history.profile is not None
    return features


class _Similarity:
    """Scores vectors, float32 [N, D], by a user's taste."""

    def __init__(self, directions: Floats, most: int = 1) -> None:
        self._directions, self._most = directions, most

    def __call__(self, vectors: Floats) -> Floats:
        similarities = vectors @ self._directions.T  # [N, directions]
        best: Floats = np.sort(similarities, axis=1)[:, -self._most :].mean(axis=1)
        return best


def _content(history: UserHistory) -> _Similarity | None:
    taste = taste_vector(history)
    return None if taste is None else _Similarity(taste[None])


def _nearest(history: UserHistory) -> _Similarity | None:
    liked = history.vectors[(history.weights > 0) & history.vectors.any(axis=1)]
    return _Similarity(liked, _NEAREST) if len(liked) else None


def _profile(history: UserHistory) -> _Similarity | None:
    return None if history.profile is None else _Similarity(history.profile[None])


def _put(features: Floats, column: int, scores: Floats, numbers: NDArray[np.int32]) -> None:
    """Write the standardised scores of all items of the model to those candidates that it knows."""
    known = numbers >= 0
    features[known, column] = _standardised(scores[numbers[known]], scores)


def _standardised(scores: Floats, reference: Floats) -> Floats:
    source = reference if len(reference) > 1 else scores
    if not len(source):
        return scores
    standard = (scores - source.mean()) / max(float(source.std()), _LEAST_DEVIATION)
    return np.asarray(np.clip(standard, -_MOST, _MOST), np.float32)
