"""Train a recommender from the interactions of a pipeline, and write its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triptych.consumers.recommending.interaction_topic import InteractionLog
from triptych.consumers.recommending.preferences import Preference, preferences_of
from triptych.consumers.recommending.recommendable import ItemCatalogue, JoinedCatalogue, Recommendable
from triptych.consumers.recommending.recommender import TextCatalogue
from triptych.consumers.recommending.recommender_file import (
    RecommenderDocument,
    TrainedRecommender,
    write_recommender,
)
from triptych.consumers.searching.search import QueryEmbedder
from triptych.schemas.errors import UsageError
from triptych.training.recommending.fit_recommender import RecommenderConfig, fit_recommender
from triptych.training.recommending.taste_data import Floats, TasteData, UserEvents


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What was trained: its version, what it was trained with, and the mean loss of both heads, in nats.

    Without enough lists (0), the shipped head stays, and the losses are 0.
    """

    version: str
    users: int
    items: int
    events: int
    lists: int
    loss: float
    shipped_loss: float


def train_from_log(
    log: InteractionLog,
    catalogue: ItemCatalogue | None,
    embedder: QueryEmbedder | None,
    path: Path,
    config: RecommenderConfig | None = None,
) -> TrainingReport:
    """Train with all interactions of a topic, and write the file. Blocks for seconds to minutes.

    Args:
        log: the interactions of all users; it is refreshed.
        catalogue: windows and streams with their vectors; None for items with texts only.
        embedder: embeds texts of items and profiles; None: they count nothing.
        path: the file; it is replaced when the new one is complete.
        config: how to train.

    Raises:
        UsageError: there are no interactions.
    """
    log.refresh()
    chosen = config or RecommenderConfig()
    preferences = {user: preferences_of(log.of(user)) for user in log.users}
    names = sorted({one.item for known in preferences.values() for one in known})
    if not names:
        raise UsageError(
            "recommender: expected interactions, found none; `triptych interact USER ITEM --liked` adds one"
        )
    texts = TextCatalogue(embedder).update(log.texts)
    items = JoinedCatalogue([texts] if catalogue is None else [catalogue, texts])
    found = items.find(names)
    data = _data(log, preferences, [found.get(name) or Recommendable(name, name) for name in names], embedder)
    fitted = fit_recommender(data, chosen)
    kept = [found.get(names[place]) or Recommendable(names[place], names[place]) for place in _kept(fitted.items.index)]
    space = (None if catalogue is None else catalogue.space) or (None if embedder is None else embedder.name)
    document = RecommenderDocument(
        trained_until_ns=max(one.time_ns for known in preferences.values() for one in known),
        users=len(preferences),
        events=data.events,
        space=space if data.vectors.shape[1] else None,  # a model without vectors fits any space
        regularization=chosen.factors.regularization,
        alpha=chosen.factors.alpha,
        items=tuple(item.item for item in kept),
        titles=tuple(item.title for item in kept),
        labels=tuple(item.labels for item in kept),
        languages=tuple(item.language for item in kept),
        head_loss=fitted.head.loss,
        shipped_head_loss=fitted.head.shipped_loss,
        head_lists=fitted.head.lists,
    )
    version = write_recommender(path, TrainedRecommender(document, fitted.items.known, fitted.head.head))
    head = fitted.head
    return TrainingReport(version, len(preferences), len(kept), data.events, head.lists, head.loss, head.shipped_loss)


def _kept(index: np.ndarray) -> list[int]:
    """Return the numbers of the items that the model knows, in its order."""
    return [int(place) for place in np.flatnonzero(index >= 0)]


def _data(
    log: InteractionLog,
    preferences: dict[str, list[Preference]],
    items: Sequence[Recommendable],
    embedder: QueryEmbedder | None,
) -> TasteData:
    width = next((len(item.vector) for item in items if item.vector is not None), 0)
    vectors = np.zeros((len(items), width), np.float32)
    for place, item in enumerate(items):
        if item.vector is not None and len(item.vector) == width:
            vectors[place] = item.vector
    numbers = {item.item: place for place, item in enumerate(items)}
    profiles = _profiles(log, embedder) if width else {}
    return TasteData([_events(known, numbers, profiles.get(user)) for user, known in preferences.items()], vectors)


def _profiles(log: InteractionLog, embedder: QueryEmbedder | None) -> dict[str, Floats]:
    if embedder is None or not log.profiles:
        return {}
    users = sorted(log.profiles)
    return dict(zip(users, embedder.embed_texts([log.profiles[user].text for user in users]), strict=True))


def _events(known: Sequence[Preference], numbers: dict[str, int], profile: Floats | None) -> UserEvents:
    return UserEvents(
        np.array([numbers[one.item] for one in known], np.int32),
        np.array([one.weight for one in known], np.float32),
        np.array([one.time_ns for one in known], np.int64),
        profile,
    )
