"""Which labels of detections a text names: by its words, else by the vectors of the text and of the labels. Pure.

A text that has all words of a label names it, and nothing else. One that has the words of none, because it is in
another language or uses a synonym, names the label with the nearest vector, if that is near enough. `python -m
benchmarks.label_names` measures both (docs/prompts.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.worker.matching.label_words import label_words, names_label

NEAREST_COSINE: Final[Mapping[str, float]] = {"semantic-1": 0.42}
"""From which cosine of text and label on a text names its nearest label, in the spaces that were measured."""


@dataclass(frozen=True, slots=True)
class LabelVectors:
    """The labels that a detector may find, and vectors of texts and labels in one space.

    Attributes:
        labels: the labels.
        space: the name of the space.
        by_text: the vectors, each float32 [D] of length 1, by text or label.
    """

    labels: tuple[str, ...]
    space: str
    by_text: Mapping[str, NDArray[np.float32]]


def named_labels(texts: Sequence[str], known: LabelVectors) -> frozenset[str]:
    """Return the labels that texts of the same meaning name: those by words, if there are any."""
    words = [label_words(text) for text in texts]
    by_words = {label for label in known.labels if any(names_label(own, label_words(label)) for own in words)}
    nearest_cosine = NEAREST_COSINE.get(known.space)
    if by_words or nearest_cosine is None or not known.labels:
        return frozenset(by_words)
    vectors = np.stack([known.by_text[label] for label in known.labels])  # [L, D]
    cosines = np.stack([known.by_text[text] for text in texts]) @ vectors.T  # [N, L]
    return frozenset(known.labels[row.argmax()] for row in cosines if row.max() >= nearest_cosine)
