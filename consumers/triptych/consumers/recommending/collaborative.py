"""Vectors of a user in the spaces of ALS and BPR, from the factors of the items that the user knows.

Models keep no vectors of users: each answer computes them anew, so an interaction counts at once, and a user who is
deleted is in no model.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final, cast

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float32]

BPR_RIDGE: Final = 0.01
_BPR_PAIRS: Final = 512
_BPR_STEPS: Final = 6
_FAR: Final = 30.0
_SEED: Final = 0


def one_blas_thread() -> AbstractContextManager[object]:
    """Return a context in which BLAS has one thread: `implicit` warns of more, which make its steps slower."""
    return cast("AbstractContextManager[object]", threadpool_limits(1, "blas"))


class AlsFactors:
    """The items' factors of alternating least squares (Hu, Koren and Volinsky, 2008), and users' vectors in them."""

    def __init__(self, factors: Floats, *, regularization: float, alpha: float) -> None:
        """Take the factors of the items, float32 [I, F], and the parameters that they were fitted with."""
        self.factors = factors
        with one_blas_thread():
            self._als = AlternatingLeastSquares(
                factors=factors.shape[1], regularization=regularization, alpha=alpha, num_threads=1
            )
        self._als.item_factors = factors

    def user(self, items: NDArray[np.int32], weights: Floats) -> Floats:
        """Return a user's vector, float32 [F], of the numbers and weights of items; below 0 is a dislike."""
        row = csr_matrix((weights, (np.zeros(len(items), np.int32), items)), shape=(1, len(self.factors)))
        vector: Floats = np.asarray(self._als.recalculate_user(0, row), np.float32)
        return vector


class BprFactors:
    """The items' factors of Bayesian personalised ranking (Rendle et al., 2009), and users' vectors in them.

    The last column of the factors is the bias of the item. `implicit` has no method for a new user's vector. It is the
    minimum of the mean loss over pairs of an item that the user likes and another one, with the ridge that BPR uses.
    """

    def __init__(self, factors: Floats) -> None:
        """Take the factors of the items, float32 [I, F + 1]."""
        self.factors = factors

    def user(self, items: NDArray[np.int32], weights: Floats) -> Floats:
        """Return a user's vector, float32 [F + 1], whose last number is 1, from items with positive weights."""
        width = self.factors.shape[1] - 1
        vector = np.zeros(width)
        rng = np.random.default_rng(_SEED)
        liked = rng.choice(items, _BPR_PAIRS, p=weights.astype(np.float64) / weights.sum(dtype=np.float64))
        others = rng.integers(0, len(self.factors), _BPR_PAIRS)
        pairs = self.factors[liked] - self.factors[others]
        differences, offsets = pairs[:, :width].astype(np.float64), pairs[:, width].astype(np.float64)
        for _ in range(_BPR_STEPS):
            wrong = 1 / (1 + np.exp(np.clip(differences @ vector + offsets, -_FAR, _FAR)))
            gradient = differences.T @ wrong / _BPR_PAIRS - BPR_RIDGE * vector
            curvature = (differences * (wrong * (1 - wrong))[:, None]).T @ differences / _BPR_PAIRS
            vector += np.linalg.solve(curvature + BPR_RIDGE * np.eye(width), gradient)
        return np.append(vector, 1.0).astype(np.float32)
