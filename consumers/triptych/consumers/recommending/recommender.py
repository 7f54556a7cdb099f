"""Recommend items to users: candidates, features, the ranking head, diversity and reasons.

user = Pseudonyms.read("secret").of("anna")
with open_recommender(settings) as recommender:
    for item in recommender.recommend(RecommendationQuery(user, "clip")):
        print(item.item, item.score, item.reason)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from triptych.consumers.recommending.diversity import diversified
from triptych.consumers.recommending.preferences import Preference, preferences_of
from triptych.consumers.recommending.ranking_features import (
    KnownItems,
    RatedCandidates,
    UserHistory,
    ranking_features,
    taste_vector,
)
from triptych.consumers.recommending.ranking_head import shipped_head
from triptych.consumers.recommending.reasons import RecommendationReason, reason_of
from triptych.consumers.recommending.recommendable import (
    ItemCatalogue,
    JoinedCatalogue,
    ListedCatalogue,
    Recommendable,
    text_item,
    text_to_embed,
)
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from triptych.consumers.recommending.interaction_topic import InteractionLog
    from triptych.consumers.recommending.recommender_file import TrainedRecommender
    from triptych.consumers.searching.search import QueryEmbedder
    from triptych.schemas.recommending.interactions import ItemKind, ItemText

Floats = NDArray[np.float32]

DEFAULT_DIVERSITY: Final = 0.2
_NEAREST: Final = 300
_NEWEST: Final = 200
_BY_FACTORS: Final = 200
_DIVERSIFIED: Final = 5
"""So many times the number of items that are wanted are looked at for diversity."""
_EMBED_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One recommended item.

    Attributes:
        item: id of the window, or of the stream of a clip or feed.
        kind: which of them.
        title: what is shown of it.
        score: of the ranking head; comparable within one answer only.
        reason: why it is recommended.
    """

    item: str
    kind: str
    title: str
    score: float
    reason: RecommendationReason


@dataclass(frozen=True, slots=True)
class RecommendationQuery:
    """What to recommend.

    Attributes:
        user: the pseudonym.
        kind: kind of the items.
        most: the most items.
        diversity: from 0, by score alone, to 1.
    """

    user: str
    kind: ItemKind = "window"
    most: int = 10
    diversity: float = DEFAULT_DIVERSITY

    def __post_init__(self) -> None:
        if self.most < 1:
            raise UsageError(f"recommend: expected at least 1 item, got {self.most}")
        if not 0 <= self.diversity <= 1:
            raise UsageError(f"diversity: expected 0 to 1, got {self.diversity}")


KnownVectors = Callable[[Iterable["ItemText"]], dict[str, Floats]]


class TextCatalogue:
    """The items that have texts on the topic. Each text is embedded once, when it is first needed."""

    def __init__(self, embedder: QueryEmbedder | None) -> None:
        self._embedder = embedder
        self._texts: dict[str, ItemText] = {}
        self._vectors: dict[str, Floats] = {}
        self._listed = ListedCatalogue([])

    def update(self, texts: Mapping[str, ItemText], known_vectors: KnownVectors | None = None) -> ItemCatalogue:
        """Return the items of these texts. `known_vectors` returns the vectors of those that need no encoder."""
        if texts != self._texts:
            known = {} if known_vectors is None else known_vectors(texts.values())
            changed = [item for item, text in texts.items() if self._texts.get(item) != text]
            self._vectors |= {item: known[item] for item in changed if item in known}
            self._embed([texts[item] for item in changed if item not in known])
            self._texts = dict(texts)
            items = [text_item(text, self._vectors.get(item)) for item, text in texts.items()]
            self._listed = ListedCatalogue(items, None if self._embedder is None else self._embedder.name)
        return self._listed

    def _embed(self, texts: Sequence[ItemText]) -> None:
        for first in range(0, len(texts) if self._embedder is not None else 0, _EMBED_BATCH):
            batch = texts[first : first + _EMBED_BATCH]
            assert self._embedder is not None  # noqa: S101 - the range is empty without one
            vectors = self._embedder.embed_texts([text_to_embed(text) for text in batch])
            self._vectors |= dict(zip([text.item_key for text in batch], vectors, strict=True))


class Recommender:
    """Recommends items by what the topic of interactions holds at the time of each call. It belongs to one thread."""

    def __init__(
        self,
        log: InteractionLog,
        catalogue: ItemCatalogue | None,
        trained: TrainedRecommender | None = None,
        embedder: QueryEmbedder | None = None,
    ) -> None:
        """Serve a trained recommender; None serves the shipped weights, without factors.

        Args:
            log: the interactions.
            catalogue: windows and streams, such as an `IndexCatalogue`; None for items with texts only.
            trained: the trained recommender.
            embedder: embeds profiles and texts of items; None: they count nothing.

        Raises:
            UsageError: the spaces of the vectors of all these differ.
        """
        self._log, self._index, self._trained, self._embedder = log, catalogue, trained, embedder
        self._texts = TextCatalogue(embedder)
        self._profiles: dict[str, Floats] = {}
        self._numbers = {} if trained is None else {item: place for place, item in enumerate(trained.document.items)}
        spaces = {
            name
            for name in (
                None if catalogue is None else catalogue.space,
                None if trained is None else trained.document.space,
                None if embedder is None else embedder.name,
            )
            if name is not None
        }
        if len(spaces) > 1:
            raise UsageError(
                f"recommender: expected vectors of one space in the index, the model and the encoder, got "
                f"{', '.join(sorted(spaces))}; `triptych recommender train` trains a model of the index's space"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the interactions."""
        self._log.close()

    def recommend(self, query: RecommendationQuery) -> list[Recommendation]:
        """Return the best items for a user, best first. Reads what is new on the topic before. Blocks.

        Clips and windows that the user watched, liked or skipped are left out, and feeds that were skipped.
        """
        self._log.refresh()
        catalogue = self._catalogue()
        preferences = preferences_of(self._log.of(query.user))
        found = catalogue.find([preference.item for preference in preferences])
        found = self._from_model([one.item for one in preferences]) | found
        history = self._history(preferences, found, self._profile(query.user))
        left_out = {one.item for one in preferences if query.kind != "feed" or one.weight < 0}
        candidates = [item for item in self._candidates(query.kind, catalogue, history) if item.item not in left_out]
        if not candidates:
            return []
        dimensions = history.vectors.shape[1] or _dimensions(candidates)
        known, vectors = self._known(dimensions), _vectors(candidates, dimensions)
        numbers = np.array([self._numbers.get(item.item, -1) for item in candidates], np.int32)
        head = shipped_head() if self._trained is None else self._trained.head
        scores = head.scores(ranking_features(known, history, RatedCandidates(numbers, vectors)))
        best = np.argsort(-scores, kind="stable")[: _DIVERSIFIED * query.most]
        chosen = best[diversified(scores[best], vectors[best], query.most, query.diversity)]
        liked = [(one, found[one.item]) for one in preferences if one.weight > 0 and one.item in found]
        return [
            _recommendation(candidates[number], float(scores[number]), self._reason(candidates[number], liked, history))
            for number in chosen
        ]

    def ignores_profile(self, user: str) -> bool:
        """Return whether a user has a profile that does not count, because there is no encoder of texts."""
        return self._embedder is None and user in self._log.profiles

    def _catalogue(self) -> ItemCatalogue:
        texts = self._texts.update(self._log.texts, self._vectors_of_texts)
        return JoinedCatalogue([texts] if self._index is None else [self._index, texts])

    def _vectors_of_texts(self, texts: Iterable[ItemText]) -> dict[str, Floats]:
        """Return the vectors that the model keeps of items whose texts are still the same."""
        if self._trained is None:
            return {}
        document, vectors = self._trained.document, self._trained.known.vectors
        places = [(text_item(text, None), self._numbers.get(text.item_key)) for text in texts]
        return {
            item.item: vectors[place]
            for item, place in places
            if place is not None
            and (item.title, item.labels) == (document.titles[place], document.labels[place])
            and vectors[place].any()
        }

    def _from_model(self, items: Sequence[str]) -> dict[str, Recommendable]:
        """Return what the model keeps of items, for those that the index has deleted meanwhile."""
        if self._trained is None:
            return {}
        document, vectors = self._trained.document, self._trained.known.vectors
        places = {item: self._numbers[item] for item in items if item in self._numbers}
        return {
            item: Recommendable(
                item,
                document.titles[place],
                document.labels[place],
                document.languages[place],
                vectors[place] if vectors[place].any() else None,
            )
            for item, place in places.items()
        }

    def _profile(self, user: str) -> Floats | None:
        profile = self._log.profiles.get(user)
        if profile is None or self._embedder is None:
            return None
        if profile.text not in self._profiles:
            self._profiles = {profile.text: self._embedder.embed_texts([profile.text])[0]}
        return self._profiles[profile.text]

    def _history(
        self, preferences: Sequence[Preference], found: dict[str, Recommendable], profile: Floats | None
    ) -> UserHistory:
        dimensions = self._width(list(found.values()), profile)
        vectors = np.zeros((len(preferences), dimensions), np.float32)
        for place, preference in enumerate(preferences):
            item = found.get(preference.item)
            if item is not None and item.vector is not None and len(item.vector) == dimensions:
                vectors[place] = item.vector
        numbers = np.array([self._numbers.get(one.item, -1) for one in preferences], np.int32)
        return UserHistory(numbers, np.array([one.weight for one in preferences], np.float32), vectors, profile)

    def _width(self, items: Sequence[Recommendable], profile: Floats | None) -> int:
        if self._trained is not None and self._trained.known.vectors.shape[1]:
            return int(self._trained.known.vectors.shape[1])
        return len(profile) if profile is not None else _dimensions(items)

    def _known(self, dimensions: int) -> KnownItems:
        """Return what the model knows. Trained on items without vectors, it has vectors of length 0: here zeros."""
        if self._trained is not None:
            known = self._trained.known
            is_wide = known.vectors.shape[1] > 0
            return known if is_wide else replace(known, vectors=np.zeros((len(known), dimensions), np.float32))
        nothing = np.zeros(0, np.float32)
        return KnownItems(None, None, np.zeros((0, dimensions), np.float32), nothing, nothing)

    def _candidates(self, kind: ItemKind, catalogue: ItemCatalogue, history: UserHistory) -> list[Recommendable]:
        """Return the items worth ranking: near to the taste or the profile, new, popular, or best by factors."""
        found: dict[str, Recommendable] = {}
        for vector in (taste_vector(history), history.profile):
            if vector is not None:
                found |= {item.item: item for item in catalogue.nearest(vector, kind, _NEAREST)}
        found |= {item.item: item for item in catalogue.newest(kind, _NEWEST)}
        return list((found | catalogue.find(self._by_factors(kind, history))).values())

    def _by_factors(self, kind: ItemKind, history: UserHistory) -> list[str]:
        if self._trained is None:
            return []
        known, items = self._trained.known, self._trained.document.items
        of_kind = np.array([item.startswith(f"{kind}/") for item in items], bool)
        rankings = [known.counts]
        positive = (history.weights > 0) & (history.numbers >= 0)
        if positive.any() and known.als is not None and known.bpr is not None:
            numbers, weights = history.numbers[positive], history.weights[positive]
            rankings += [known.als.factors @ known.als.user(numbers, weights)]
            rankings += [known.bpr.factors @ known.bpr.user(numbers, weights)]
        best = [np.argsort(-np.where(of_kind, scores, -np.inf), kind="stable")[:_BY_FACTORS] for scores in rankings]
        return [items[place] for place in dict.fromkeys(np.concatenate(best).tolist()) if of_kind[place]]

    def _reason(
        self, item: Recommendable, liked: Sequence[tuple[Preference, Recommendable]], history: UserHistory
    ) -> RecommendationReason:
        place = self._numbers.get(item.item)
        closeness: dict[str, float] = {}
        if self._trained is not None and self._trained.known.als is not None and place is not None:
            factors = self._trained.known.als.factors
            own = factors[place] / max(float(np.linalg.norm(factors[place])), 1e-9)
            for _, other in liked:
                if (number := self._numbers.get(other.item)) is not None:
                    closeness[other.item] = float(factors[number] @ own / max(np.linalg.norm(factors[number]), 1e-9))
        has_both = history.profile is not None and item.vector is not None
        similarity = float(history.profile @ item.vector) if has_both else None  # type: ignore[operator]
        count = 0 if self._trained is None or place is None else int(self._trained.known.counts[place])
        return reason_of(item, liked, closeness=closeness, profile_similarity=similarity, count=count)


def _recommendation(item: Recommendable, score: float, reason: RecommendationReason) -> Recommendation:
    kind, _, name = item.item.partition("/")
    return Recommendation(name, kind, item.title, round(score, 4), reason)


def _dimensions(items: Sequence[Recommendable]) -> int:
    return next((len(item.vector) for item in items if item.vector is not None), 0)


def _vectors(items: Sequence[Recommendable], dimensions: int) -> Floats:
    vectors = np.zeros((len(items), dimensions), np.float32)
    for place, item in enumerate(items):
        if item.vector is not None and len(item.vector) == dimensions:
            vectors[place] = item.vector
    return vectors
