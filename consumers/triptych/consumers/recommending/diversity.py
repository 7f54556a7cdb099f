"""Maximal marginal relevance (Carbonell and Goldstein, 1998): good items that differ from those above them. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def diversified(scores: Floats, vectors: Floats, most: int, diversity: float) -> list[int]:
    """Return the numbers of the chosen items, best first.

    Each step takes the item with the largest (1 - d) relevance - d similarity, where the relevance is the score scaled
    to 0 to 1 over the items, and the similarity is the largest cosine to an item that was taken.

    Args:
        scores: float32 [N].
        vectors: float32 [N, D], of length 1; zeros where an item has none, which is then similar to nothing.
        most: how many to choose.
        diversity: `d`, from 0 (by score alone) to 1.
    """
    if not len(scores):
        return []
    low, high = float(scores.min()), float(scores.max())
    relevance = (scores - low) / (high - low) if high > low else np.ones_like(scores)
    similarity = np.zeros(len(scores), np.float32)
    left = np.ones(len(scores), bool)
    chosen: list[int] = []
    while len(chosen) < min(most, len(scores)):
        gain = np.where(left, (1 - diversity) * relevance - diversity * similarity, -np.inf)
        best = int(np.argmax(gain))
        chosen.append(best)
        left[best] = False
        similarity = np.maximum(similarity, vectors @ vectors[best])
    return chosen
