"""Fit the factors and the head of a recommender to the events of users."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.consumers.recommending.ranking_features import FEATURES, ranking_features
from triptych.consumers.recommending.ranking_head import shipped_head
from triptych.training.recommending.fit_factors import FactorConfig, FittedItems, fit_factors
from triptych.training.recommending.fit_ranking_head import (
    FEWEST_LISTS,
    CandidateLists,
    FittedHead,
    RankingHeadConfig,
    fit_head,
)
from triptych.training.recommending.taste_data import TasteData, UserEvents

_MOST_TARGETS: Final = 20
_SHORT: Final = 5


@dataclass(frozen=True, slots=True)
class RecommenderConfig:
    """How a recommender is trained."""

    factors: FactorConfig = field(default_factory=FactorConfig)
    head: RankingHeadConfig = field(default_factory=RankingHeadConfig)


@dataclass(frozen=True, slots=True, eq=False)
class FittedRecommender:
    """The factors, fitted to all events, and the head, fitted to what factors of earlier events say of later ones."""

    items: FittedItems
    head: FittedHead


def fit_recommender(data: TasteData, config: RecommenderConfig | None = None) -> FittedRecommender:
    """Fit a recommender. Blocks for seconds to minutes.

    The head learns from a temporal split: factors of the earlier events, and of each user what came later. So the
    items and users that are new in the later part teach it what to do with new ones.

    Raises:
        UsageError: there are no events.
    """
    chosen = config or RecommenderConfig()
    split_ns = data.split_time_ns(1 - chosen.head.held_out)
    earlier = data.before(split_ns)
    head = FittedHead(shipped_head(), 0.0, 0.0, 0)
    if earlier.events:
        lists = _lists(data, split_ns, fit_factors(earlier, chosen.factors), chosen.head)
        if lists is not None:
            head = fit_head(lists, chosen.head)
    return FittedRecommender(fit_factors(data, chosen.factors), head)


def _lists(data: TasteData, split_ns: int, fitted: FittedItems, config: RankingHeadConfig) -> CandidateLists | None:
    """Return a list for each user who watched or liked something later; None with too few of them."""
    rng = np.random.default_rng(config.seed)
    later = [user.where((user.times_ns >= split_ns) & (user.weights > 0)) for user in data.users]
    numbers = [number for number, events in enumerate(later) if len(events)]
    if len(numbers) < FEWEST_LISTS:
        return None
    numbers = sorted(rng.permutation(numbers)[: config.most_lists])
    pool = np.flatnonzero(data.counts() > 0).astype(np.int32)
    width = _MOST_TARGETS + config.negatives
    features = np.zeros((len(numbers), width, len(FEATURES)), np.float32)
    targets, present = np.zeros((len(numbers), width), np.float32), np.zeros((len(numbers), width), bool)
    for row, number in enumerate(numbers):
        user = data.users[number]
        known = _perhaps_short(user.where(user.times_ns < split_ns), config, rng)
        right = rng.permutation(later[number].items)[:_MOST_TARGETS]
        items = np.concatenate([right, _others(pool, user, config.negatives, rng)])
        history = fitted.history_of(known, data.vectors)
        features[row, : len(items)] = ranking_features(fitted.known, history, fitted.candidates(items, data.vectors))
        targets[row, : len(right)] = 1 / len(right)
        present[row, : len(items)] = True
    return CandidateLists(features, targets, present)


def _perhaps_short(events: UserEvents, config: RankingHeadConfig, rng: np.random.Generator) -> UserEvents:
    if rng.random() >= config.short_history:
        return events
    kept = np.zeros(len(events), bool)
    kept[max(0, len(events) - int(rng.integers(0, _SHORT + 1))) :] = True
    return events.where(kept)


def _others(pool: NDArray[np.int32], user: UserEvents, most: int, rng: np.random.Generator) -> NDArray[np.int32]:
    drawn = rng.choice(pool, min(most, len(pool)), replace=False)
    return drawn[~np.isin(drawn, user.items)]
