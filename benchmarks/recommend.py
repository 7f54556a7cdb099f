"""How well the recommender ranks: `python -m benchmarks.recommend [--users N] [--movielens FOLDER]`.

Generated users with a known taste choose among generated items over time. What a user chooses depends on the content of
an item (its vector lies near it), on traits that no vector tells, and on how popular the item is, with noise. The best
possible ranking is therefore known: that by the true taste, without the noise of the choice. Some users and items
appear near the end only.

The events before a time train everything; what users chose later is to be found among all items that they did not know,
by the trained recommender, by each of its parts alone, and by the true taste. Intervals are those of a bootstrap over
users; differences are paired.
`--movielens` measures the same on MovieLens, whose 100k ratings are among the files of the package recbole.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.consumers.recommending.diversity import diversified
from triptych.consumers.recommending.preferences import LIKED_WEIGHT, SKIPPED_WEIGHT, WATCHED_WEIGHT
from triptych.consumers.recommending.ranking_features import ranking_features
from triptych.models.spaces.text_space import build_text_space
from triptych.training.recommending.adapters.imported import ImportedEvent
from triptych.training.recommending.adapters.movielens import movielens
from triptych.training.recommending.fit_factors import FactorConfig
from triptych.training.recommending.fit_ranking_head import RankingHeadConfig
from triptych.training.recommending.fit_recommender import FittedRecommender, RecommenderConfig, fit_recommender
from triptych.training.recommending.ranking_metrics import MeanInterval, mean_interval, ndcg_at, recall_at
from triptych.training.recommending.taste_data import TasteData, UserEvents

Floats = NDArray[np.float32]

SEED: Final = 20_261_130
DIMENSIONS: Final = 64
CLUSTERS: Final = 24
TRAITS: Final = 8
CONTENT_WEIGHT: Final = 3.0
TRAIT_WEIGHT: Final = 1.5
POPULARITY_WEIGHT: Final = 0.8
NOISE: Final = 1.0
"""Scale of the Gumbel noise of a choice."""
ITEMS: Final = 2_000
EVENTS: Final = 40
"""Mean number of events of a user."""
OFFERED: Final = 200
"""Items that a user chooses one of, at each event."""
OLD_ITEMS: Final = 0.75
OLD_USERS: Final = 0.7
"""Shares that are there from the beginning; the others appear at random times."""
LIKED_SHARE: Final = 0.3
SKIPPED_SHARE: Final = 0.15
TRAIN_SHARE: Final = 0.8
COLD_HISTORY: Final = 3
MEASURED_USERS: Final = 1_000
SHOWN: Final = 10
FOUND: Final = 20
DIVERSITY: Final = 0.2
WITHOUT_SCORE: Final = -9.0

SMALL: Final = RecommenderConfig(FactorConfig(factors=32, bpr_rounds=50), RankingHeadConfig(steps=200, negatives=60))


@dataclass(frozen=True, slots=True, eq=False)
class GeneratedTaste:
    """Events with a known taste.

    Attributes:
        data: the events.
        utility: float32 [U, I], how much each user likes each item.
    """

    data: TasteData
    utility: Floats


def generate(users: int, items: int = ITEMS, seed: int = SEED) -> GeneratedTaste:
    """Draw users, items and events. Equal arguments give equal ones."""
    rng = np.random.default_rng(seed)
    centres = _unit(rng.normal(size=(CLUSTERS, DIMENSIONS)))
    content = _unit(centres[rng.integers(0, CLUSTERS, items)] + 0.6 * _unit(rng.normal(size=(items, DIMENSIONS))))
    taste = _unit(
        np.einsum("uk,kd->ud", rng.dirichlet(np.full(CLUSTERS, 0.15), users), centres)
        + 0.2 * _unit(rng.normal(size=(users, DIMENSIONS)))
    )
    traits = rng.normal(size=(users, TRAITS)) @ rng.normal(size=(TRAITS, items)) / np.sqrt(TRAITS)
    popularity = rng.normal(size=items)
    utility = (CONTENT_WEIGHT * taste @ content.T * 2 + TRAIT_WEIGHT * traits + POPULARITY_WEIGHT * popularity).astype(
        np.float32
    )
    released = np.where(rng.random(items) < OLD_ITEMS, 0.0, rng.random(items))
    begins = np.where(rng.random(users) < OLD_USERS, 0.0, rng.random(users))
    profiles = _unit(taste + 0.8 * _unit(rng.normal(size=(users, DIMENSIONS))))
    events = [
        _choose(utility[user], released, float(begins[user]), profiles[user] if user % 2 else None, rng)
        for user in range(users)
    ]
    return GeneratedTaste(TasteData(events, content), utility)


def _choose(
    utility: Floats, released: NDArray[np.float64], begin: float, profile: Floats | None, rng: np.random.Generator
) -> UserEvents:
    count = 1 + rng.poisson(EVENTS * (1 - begin))
    times = np.sort(begin + (1 - begin) * rng.random(count))
    known: dict[int, tuple[float, float]] = {}
    for moment in times:
        offered = np.flatnonzero(released <= moment)
        offered = rng.choice(offered, min(OFFERED, len(offered)), replace=False)
        offered = np.array([item for item in offered if item not in known])
        chosen = offered[np.argmax(utility[offered] + NOISE * rng.gumbel(size=len(offered)))]
        known[int(chosen)] = (float(moment), 2.0 if rng.random() < LIKED_SHARE else 1.0)
        if rng.random() < SKIPPED_SHARE:  # and one that was shown and does not please
            skipped = offered[np.argmin(utility[offered] + NOISE * rng.gumbel(size=len(offered)))]
            known.setdefault(int(skipped), (float(moment), -1.0))
    return UserEvents(
        np.array(list(known), np.int32),
        np.array([weight for _, weight in known.values()], np.float32),
        np.array([round(moment * 1e12) for moment, _ in known.values()], np.int64),
        profile,
    )


@dataclass(slots=True)
class _Measured:
    """Measures of one method: one number for each user, and the items that were shown to anyone."""

    ndcg: list[float]
    recall: list[float]
    shown: set[int]


Ranker = Callable[[int, Floats, NDArray[np.int32]], Floats]
"""Returns a score for each candidate: of a user, by the features, float32 [C, F], and the items, int32 [C]."""


def rankers(fitted: FittedRecommender, utility: Floats | None) -> dict[str, Ranker]:
    """Return the methods. Those of one part fall back to popularity where the part knows nothing of the user."""

    def column(number: int, needs: int) -> Ranker:
        def score(_user: int, features: Floats, _items: NDArray[np.int32]) -> Floats:
            own = np.where(features[:, needs] > 0, features[:, number], WITHOUT_SCORE)
            return np.asarray(own + 1e-3 * features[:, 5], np.float32)

        return score

    found: dict[str, Ranker] = {
        "fused": lambda _user, features, _items: fitted.head.head.scores(features),
        "popularity": column(5, 7),
        "recent popularity": column(6, 7),
        "ALS alone": column(0, 7),
        "BPR alone": column(1, 7),
        "item vectors alone (mean)": column(2, 8),
        "item vectors alone (nearest)": column(3, 8),
    }
    if utility is not None:
        found["true taste (ceiling)"] = lambda user, _features, items: utility[user][items]
    return found


def measure(
    data: TasteData,
    config: RecommenderConfig,
    *,
    utility: Floats | None = None,
    seed: int = SEED,
) -> dict[str, object]:
    """Train on the earlier events, rank for the users of the later ones, and return all figures."""
    split_ns = data.split_time_ns(TRAIN_SHARE)
    began_s = time.perf_counter()
    earlier = data.before(split_ns)
    fitted = fit_recommender(earlier, config)
    trained_s = time.perf_counter() - began_s
    later = [user.where((user.times_ns >= split_ns) & (user.weights > 0)) for user in data.users]
    users = [number for number, events in enumerate(later) if len(events)]
    users = sorted(np.random.default_rng(seed).permutation(users)[:MEASURED_USERS])
    exists = np.flatnonzero(data.counts() > 0).astype(np.int32)
    methods = rankers(fitted, utility)
    measured = {name: _Measured([], [], set()) for name in (*methods, "fused, diversified")}
    cold_items = {name: list[float]() for name in methods}
    vector_bytes = data.vectors
    for user in users:
        known = earlier.users[user]
        items = exists[~np.isin(exists, known.items)]
        features = ranking_features(
            fitted.items.known,
            fitted.items.history_of(known, data.vectors),
            fitted.items.candidates(items, data.vectors),
        )
        relevant = set(later[user].items.tolist())
        new = {item for item in relevant if fitted.items.index[item] < 0}
        for name, method in methods.items():
            scores = method(user, features, items)
            order = np.argsort(-scores, kind="stable")
            _add(measured[name], items[order[:FOUND]].tolist(), relevant)
            if new:
                cold = np.flatnonzero(fitted.items.index[items] < 0)
                cold_order = cold[np.argsort(-scores[cold], kind="stable")[:FOUND]]
                cold_items[name].append(recall_at(FOUND, items[cold_order].tolist(), new))
            if name == "fused":
                best = order[: 5 * FOUND]
                chosen = diversified(scores[best], vector_bytes[items[best]], FOUND, DIVERSITY)
                _add(measured["fused, diversified"], items[best[chosen]].tolist(), relevant)
    cold_users = [place for place, user in enumerate(users) if len(earlier.users[user]) <= COLD_HISTORY]
    return {
        "users": len(data.users),
        "items": len(exists),
        "events": data.events,
        "measured users": len(users),
        "cold users": len(cold_users),
        "training, seconds": trained_s,
        "head, validation loss": (fitted.head.shipped_loss, fitted.head.loss),
        "methods": {name: _figures(one, cold_users, len(exists)) for name, one in measured.items()},
        "recall@20 among new items": {name: mean_interval(values) for name, values in cold_items.items() if values},
        "nDCG@10, fused less": {
            name: mean_interval(np.subtract(measured["fused"].ndcg, one.ndcg).tolist())
            for name, one in measured.items()
            if name != "fused"
        },
        "recall@20, fused less": {
            name: mean_interval(np.subtract(measured["fused"].recall, one.recall).tolist())
            for name, one in measured.items()
            if name != "fused"
        },
    }


def _add(measured: _Measured, ranked: Sequence[int], relevant: set[int]) -> None:
    measured.ndcg.append(ndcg_at(SHOWN, ranked, relevant))
    measured.recall.append(recall_at(FOUND, ranked, relevant))
    measured.shown.update(ranked[:SHOWN])


def _figures(measured: _Measured, cold_users: Sequence[int], items: int) -> dict[str, MeanInterval | float]:
    figures: dict[str, MeanInterval | float] = {
        "nDCG@10": mean_interval(measured.ndcg),
        "recall@20": mean_interval(measured.recall),
        "coverage@10": len(measured.shown) / items,
    }
    if cold_users:
        figures["nDCG@10 of cold users"] = mean_interval([measured.ndcg[place] for place in cold_users])
    return figures


def movielens_data(folder: Path) -> TasteData:
    """Return the ratings of MovieLens. The vector of a movie is that of its title and genres in the semantic space."""
    space = build_text_space("base")
    assert space is not None  # noqa: S101 - the base model has one
    imported = movielens(folder)
    events = list(imported.events)
    names = sorted({event.item for event in events})
    texts = {item.item: ". ".join([item.title, ", ".join(item.labels)]) for item in imported.items}
    vectors = np.zeros((len(names), space.embed_texts(["a movie"]).shape[1]), np.float32)
    described = [number for number, name in enumerate(names) if name in texts]
    for first in range(0, len(described), 64):
        batch = described[first : first + 64]
        vectors[batch] = space.embed_texts([texts[names[number]] for number in batch])
    numbers = {name: number for number, name in enumerate(names)}
    by_user: dict[str, dict[int, ImportedEvent]] = {}
    for event in sorted(events, key=lambda event: event.time_ns):
        by_user.setdefault(event.user, {})[numbers[event.item]] = event
    return TasteData([_user_events(known) for _, known in sorted(by_user.items())], vectors)


def _user_events(known: Mapping[int, ImportedEvent]) -> UserEvents:
    weights = {"liked": LIKED_WEIGHT, "watched": WATCHED_WEIGHT, "skipped": SKIPPED_WEIGHT}
    return UserEvents(
        np.array(list(known), np.int32),
        np.array([weights[event.action] for event in known.values()], np.float32),
        np.array([event.time_ns for event in known.values()], np.int64),
    )


def _unit(vectors: NDArray[np.float64]) -> Floats:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _told(figures: Mapping[str, object], indent: int = 0) -> str:
    lines = []
    for name, value in figures.items():
        if isinstance(value, Mapping):
            lines += [f"{' ' * indent}{name}", _told(value, indent + 2)]
        else:
            shown = f"{value:.4f}" if isinstance(value, float) else str(value)
            lines.append(f"{' ' * indent}{name:<40}{shown}")
    return "\n".join(lines)


def main(args: Sequence[str]) -> int:
    """Measure, and print the figures. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=2_000, help="generated users")
    parser.add_argument("--items", type=int, default=ITEMS, help="generated items")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--movielens", type=Path, metavar="FOLDER", help="measure this data set instead")
    parser.add_argument("--small", action="store_true", help="train a little, to see that it runs")
    options = parser.parse_args(args)
    config = SMALL if options.small else RecommenderConfig()
    if options.movielens is not None:
        figures = {"MovieLens": measure(movielens_data(options.movielens), config)}
    else:
        generated = generate(options.users, options.items)
        figures = {"generated": measure(generated.data, config, utility=generated.utility)}
    sys.stdout.write(_told(figures) + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2, default=vars_of), encoding="utf-8")
    return 0


def vars_of(value: object) -> object:
    """Return an interval as JSON."""
    assert isinstance(value, MeanInterval)  # noqa: S101 - the only value that json does not know
    return [value.mean, value.low, value.high, value.users]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
