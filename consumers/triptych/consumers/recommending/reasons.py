"""Why an item is recommended: what it has in common with what the user watched or liked. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from triptych.consumers.recommending.preferences import Preference
from triptych.consumers.recommending.recommendable import Recommendable

ReasonKind = Literal["liked", "watched", "profile", "others", "popular", "new"]
_MOST_SHARED: Final = 4
_LEAST_LETTERS: Final = 4
_LEAST_SIMILARITY: Final = 0.2
_WORD: Final = re.compile(r"[^\W\d_]+")
_COMMON: Final = frozenset((
    "that", "this", "with", "from", "have", "been", "were", "will", "would", "could", "should", "there",
    "their", "they", "them", "what", "when", "where", "which", "while", "your", "about", "after", "again",
    "because", "before", "being", "into", "just", "like", "more", "most", "only", "other", "over", "some",
    "such", "than", "then", "these", "those", "through", "very", "also", "here", "make", "much", "well",
    "going", "know", "want", "come", "really", "think", "right", "yeah",
))  # fmt: skip
_LANGUAGES: Final = {
    "ar": "Arabic", "de": "German", "en": "English", "es": "Spanish", "fr": "French", "hi": "Hindi", "it": "Italian",
    "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "ru": "Russian",
    "tr": "Turkish", "uk": "Ukrainian", "zh": "Chinese",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RecommendationReason:
    """Why an item is recommended.

    Attributes:
        kind: `liked` or `watched` an item that is like it, the `profile` is, `others` who watched the same watched it,
            it is `popular`, or it is `new`.
        item: the item that it is like; empty if there is none.
        title: what is shown of that item.
        shared: labels, words and the language that both have.
        similarity: cosine of the vectors of both; None without them.
    """

    kind: ReasonKind
    item: str = ""
    title: str = ""
    shared: tuple[str, ...] = ()
    similarity: float | None = None

    def __str__(self) -> str:
        """Return it as a sentence without a full stop."""
        common = f": {', '.join(self.shared)}" if self.shared else ""
        match self.kind:
            case "liked" | "watched":
                return f"because you {self.kind} {self.title}{common}"
            case "profile":
                return f"because of your profile{common}"
            case "others":
                return f"because others who watched {self.title} watched it{common}"
            case "popular":
                return "because others watched or liked it"
            case "new":
                return "because it is new"


def shared_features(one: Recommendable, other: Recommendable) -> tuple[str, ...]:
    """Return what two items have in common: labels, then words of what was said, then the language."""
    labels = {label.casefold() for label in other.labels}
    found = [label for label in one.labels if label.casefold() in labels]
    theirs = significant_words(other.words)
    words = [word for word in significant_words(one.words) if word in theirs and word not in found]
    shared = [*dict.fromkeys(found), *words][:_MOST_SHARED]
    if one.language and one.language == other.language:
        shared.append(_LANGUAGES.get(one.language, one.language))
    return tuple(shared)


def significant_words(text: str) -> dict[str, None]:
    """Return the words of a text of four letters or more that are no common ones of English, each once, in order."""
    words = (word.casefold() for word in _WORD.findall(text))
    return dict.fromkeys(word for word in words if len(word) >= _LEAST_LETTERS and word not in _COMMON)


def reason_of(
    item: Recommendable,
    history: Sequence[tuple[Preference, Recommendable]],
    *,
    closeness: Mapping[str, float],
    profile_similarity: float | None,
    count: int,
) -> RecommendationReason:
    """Return why an item is recommended.

    Args:
        item: the item.
        history: the items that the user watched or liked.
        closeness: how much the users of an item of the history are those of this item: cosine of the factors.
        profile_similarity: cosine of the item and the profile.
        count: how many users watched or liked the item.
    """
    near = [(_similarity(item, other), preference, other) for preference, other in history]
    best = max(near, key=lambda one: one[0], default=None)
    similarity = -1.0 if best is None else best[0]
    if profile_similarity is not None and profile_similarity > max(similarity, _LEAST_SIMILARITY):
        return RecommendationReason("profile", similarity=profile_similarity)
    if best is not None and (similarity > _LEAST_SIMILARITY or shared_features(item, best[2])):
        _, preference, other = best
        kind: ReasonKind = "liked" if preference.liked else "watched"
        shown = similarity if item.vector is not None and other.vector is not None else None
        return RecommendationReason(kind, other.item, other.title, shared_features(item, other), shown)
    together = max(history, key=lambda one: closeness.get(one[1].item, 0.0), default=None)
    if together is not None and closeness.get(together[1].item, 0.0) > _LEAST_SIMILARITY:
        return RecommendationReason("others", together[1].item, together[1].title)
    return RecommendationReason("popular" if count else "new")


def _similarity(one: Recommendable, other: Recommendable) -> float:
    if one.vector is not None and other.vector is not None:
        return float(np.dot(one.vector, other.vector))
    return 0.1 * len(shared_features(one, other))
