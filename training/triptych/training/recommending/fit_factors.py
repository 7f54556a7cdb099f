"""Fit the factors of items by ALS and BPR of the library `implicit`. Blocks for as long as they take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from triptych.consumers.recommending.collaborative import BPR_RIDGE, AlsFactors, BprFactors, one_blas_thread
from triptych.consumers.recommending.ranking_features import KnownItems, RatedCandidates, UserHistory
from triptych.training.recommending.taste_data import TasteData, UserEvents

_RECENT_SHARE: Final = 0.8
"""The newest fifth of the events is recent."""
_FEWEST_EVENTS: Final = 50
"""With fewer, factors say nothing."""


@dataclass(frozen=True, slots=True)
class FactorConfig:
    """How factors are fitted.

    Attributes:
        factors: numbers of an item, at most; fewer where there are few items.
        regularization: ridge of ALS.
        alpha: how much more an interaction counts than its absence (ALS).
        als_rounds: rounds of ALS.
        bpr_rounds: passes of BPR over the events.
        bpr_rate: its learning rate.
        seed: of the random start.
    """

    factors: int = 64
    regularization: float = 20.0
    alpha: float = 3.0
    als_rounds: int = 15
    bpr_rounds: int = 100
    bpr_rate: float = 0.02
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class FittedItems:
    """What was fitted, and which items of the data it is about.

    Attributes:
        known: the factors, vectors and counts of the items that were watched or liked.
        index: int32 [I], the number in `known` of each item of the data, or -1.
    """

    known: KnownItems
    index: NDArray[np.int32]

    def history_of(self, events: UserEvents, vectors: NDArray[np.float32]) -> UserHistory:
        """Return what the features need of a user's events; `vectors` are those of all items of the data."""
        return UserHistory(self.index[events.items], events.weights, vectors[events.items], events.profile)

    def candidates(self, items: NDArray[np.int32], vectors: NDArray[np.float32]) -> RatedCandidates:
        """Return items of the data as candidates."""
        return RatedCandidates(self.index[items], vectors[items])


def fit_factors(data: TasteData, config: FactorConfig) -> FittedItems:
    """Fit both models to all events. Equal data and seeds give equal factors."""
    counts = data.counts()
    kept = np.flatnonzero(counts)
    index = np.full(len(counts), -1, np.int32)
    index[kept] = np.arange(len(kept))
    recent = data.counts(data.split_time_ns(_RECENT_SHARE))[kept]
    matrix = _matrix(data, index, len(kept))
    als = bpr = None
    if matrix.nnz >= _FEWEST_EVENTS:
        width = max(2, min(config.factors, len(kept) // 2))
        with one_blas_thread():
            als, bpr = _als(matrix, width, config), _bpr(matrix, width, config)
    return FittedItems(KnownItems(als, bpr, data.vectors[kept], counts[kept], recent), index)


def _matrix(data: TasteData, index: NDArray[np.int32], items: int) -> csr_matrix:
    """Return the weights of users and known items, [U, items]."""
    rows = np.repeat(np.arange(len(data.users)), [len(user) for user in data.users])
    columns = index[np.concatenate([user.items for user in data.users])]
    weights = np.concatenate([user.weights for user in data.users])
    known = columns >= 0
    return csr_matrix((weights[known], (rows[known], columns[known])), shape=(len(data.users), items))


def _als(matrix: csr_matrix, width: int, config: FactorConfig) -> AlsFactors:
    model = AlternatingLeastSquares(
        factors=width,
        regularization=config.regularization,
        alpha=config.alpha,
        iterations=config.als_rounds,
        num_threads=1,
        random_state=config.seed,
    )
    model.fit(matrix, show_progress=False)
    return AlsFactors(model.item_factors, regularization=config.regularization, alpha=config.alpha)


def _bpr(matrix: csr_matrix, width: int, config: FactorConfig) -> BprFactors:
    liked = matrix.copy()
    liked.data = np.maximum(liked.data, 0)
    liked.eliminate_zeros()
    model = BayesianPersonalizedRanking(
        factors=width,
        learning_rate=config.bpr_rate,
        regularization=BPR_RIDGE,
        iterations=config.bpr_rounds,
        num_threads=1,  # with more, the order of the steps differs from run to run
        random_state=config.seed,
    )
    model.fit(liked, show_progress=False)
    return BprFactors(model.item_factors)
