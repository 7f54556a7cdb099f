"""The ranking head: a linear layer beside a small network, from features to a score. It runs without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.consumers.recommending.ranking_features import FEATURES

Floats = NDArray[np.float32]

_SHIPPED: Final = {
    "als": 1.0,
    "bpr": 0.5,
    "content": 1.0,
    "nearest": 0.5,
    "profile": 1.0,
    "popularity": 0.5,
    "recent popularity": 0.25,
}


@dataclass(frozen=True, slots=True, eq=False)
class RankingHead:
    """The weights of a head with F features and H hidden units.

    Attributes:
        linear: float32 [F].
        hidden: float32 [H, F].
        hidden_bias: float32 [H].
        output: float32 [H].
    """

    linear: Floats
    hidden: Floats
    hidden_bias: Floats
    output: Floats

    def scores(self, features: Floats) -> Floats:
        """Return a score for each candidate, float32 [C], from its features, float32 [C, F]."""
        hidden = np.maximum(features @ self.hidden.T + self.hidden_bias, 0)
        return np.asarray(features @ self.linear + hidden @ self.output, np.float32)


def shipped_head() -> RankingHead:
    """Return the head that serves before one was trained: a fixed weighted sum."""
    width = len(FEATURES)
    linear = np.array([_SHIPPED.get(name, 0.0) for name in FEATURES], np.float32)
    return RankingHead(linear, np.zeros((1, width), np.float32), np.zeros(1, np.float32), np.zeros(1, np.float32))
