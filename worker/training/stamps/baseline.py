"""What a single modality can do: a logistic regression on the same frozen encoders."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.worker.training.stamps.features import StampFeatures

STRENGTHS: Final = (3.0, 10.0, 30.0, 100.0)
"""The inverse of how strongly weights are drawn to zero (`C` of scikit-learn), to choose from."""
_INNER_FOLDS: Final = 3
_ROUNDS: Final = 2_000


def pooled(features: StampFeatures, modality: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return a vector of length 1 for each stamp, [N, D], and which stamps have the modality."""
    if modality == "video":
        vectors, there = features.video[:, 0], torch.ones(len(features.label), dtype=torch.bool)
    elif modality == "text":
        vectors, there = features.text[:, 0], features.has_text[:, 0]
    else:
        mask = features.audio_mask.unsqueeze(-1)
        vectors, there = (features.audio * mask).sum(1) / mask.sum(1).clamp(min=1), features.audio_mask.any(1)
    return torch.nn.functional.normalize(vectors, dim=-1).numpy(), there.numpy()


def regression_answers(
    vectors: NDArray[np.float32], label: NDArray[np.int64], groups: NDArray[np.int64], train: Tensor, test: Tensor
) -> tuple[NDArray[np.int64], float]:
    """Return what a regression that was fitted to some rows names for others, and its strength.

    The strength is chosen by cross-validation within the rows to train on: nothing of the others has a part in it.
    """
    rows, asked = train.numpy(), test.numpy()
    strength = _best_strength(vectors[rows], label[rows], groups[rows])
    return _named(vectors[rows], label[rows], vectors[asked], strength), strength


def _best_strength(vectors: NDArray[np.float32], label: NDArray[np.int64], groups: NDArray[np.int64]) -> float:
    """Return the strength that is right most often; the smallest of those."""
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415 - slow to import

    splitter = StratifiedGroupKFold(_INNER_FOLDS, shuffle=True, random_state=0)
    folds = list(splitter.split(vectors, label, groups))
    right = [
        sum(int((_named(vectors[a], label[a], vectors[b], strength) == label[b]).sum()) for a, b in folds)
        for strength in STRENGTHS
    ]
    return STRENGTHS[int(np.argmax(right))]


def _named(
    vectors: NDArray[np.float32], label: NDArray[np.int64], asked: NDArray[np.float32], strength: float
) -> NDArray[np.int64]:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - slow to import

    model = LogisticRegression(C=strength, max_iter=_ROUNDS).fit(vectors, label)
    named: NDArray[np.int64] = model.predict(asked)
    return named
