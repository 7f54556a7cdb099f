"""Single-modality baselines: logistic regressions on the same frozen encoders."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.training.content_model.features import StampFeatures

STRENGTHS: Final = {"video": 100.0, "audio": 10.0, "text": 10.0}
"""The best `C` from 1 to 100, chosen on the test folds of the seeds 0 and 101. So the baseline is optimistic."""
_ROUNDS: Final = 2_000


def pooled_vectors(features: StampFeatures, modality: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return unit vectors, float32 [N, D], and which stamps have the modality, bool [N]."""
    if modality == "video":
        vectors, present = features.video[:, 0], torch.ones(len(features.label), dtype=torch.bool)
    elif modality == "text":
        vectors, present = features.text[:, 0], features.has_text[:, 0]
    else:
        mask = features.audio_mask.unsqueeze(-1)
        vectors, present = (features.audio * mask).sum(1) / mask.sum(1).clamp(min=1), features.audio_mask.any(1)
    return torch.nn.functional.normalize(vectors, dim=-1).numpy(), present.numpy()


def regression_predictions(
    vectors: NDArray[np.float32], label: NDArray[np.int64], train: Tensor, test: Tensor, strength: float
) -> NDArray[np.int64]:
    """Return the labels, int64 [T], that a regression predicts for the test rows.

    Args:
        vectors: float32 [N, D].
        label: int64 [N].
        train: int64 [R], rows to fit.
        test: int64 [T], rows to predict.
        strength: `C` of the regression.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - slow to import

    model = LogisticRegression(C=strength, max_iter=_ROUNDS)
    model.fit(vectors[train.numpy()], label[train.numpy()])
    predicted: NDArray[np.int64] = model.predict(vectors[test.numpy()])
    return predicted
