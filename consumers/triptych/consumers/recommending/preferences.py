"""What the interactions of a user say about items, as one number for each item. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from triptych.schemas.recommending.interactions import Interaction

LIKED_WEIGHT: Final = 2.0
WATCHED_WEIGHT: Final = 1.0
SKIPPED_WEIGHT: Final = -1.0
_WHOLE_S: Final = 30.0
"""Watching this many seconds counts like watching with an unknown duration."""
_MOST_WATCHED: Final = 2.0
_LEAST_WATCHED: Final = 0.1


@dataclass(frozen=True, slots=True)
class Preference:
    """What a user has shown about an item.

    Attributes:
        item: kind and id of the item.
        weight: positive if it was watched or liked, negative if it was skipped.
        liked: whether it was liked.
        time_ns: when the newest interaction with it was.
    """

    item: str
    weight: float
    liked: bool
    time_ns: int


def preferences_of(interactions: Iterable[Interaction]) -> list[Preference]:
    """Return the preferences of one user, oldest first.

    A skip counts if it is newer than the like of the same item, and otherwise the like does.
    """
    by_item: dict[str, dict[str, Interaction]] = {}
    for interaction in interactions:
        by_item.setdefault(interaction.item_key, {})[interaction.action] = interaction
    found = [_preference(item, actions) for item, actions in by_item.items()]
    return sorted(found, key=lambda preference: (preference.time_ns, preference.item))


def _preference(item: str, actions: dict[str, Interaction]) -> Preference:
    time_ns = max(action.time_ns for action in actions.values())
    liked, skipped, watched = actions.get("liked"), actions.get("skipped"), actions.get("watched")
    if skipped is not None and (liked is None or skipped.time_ns > liked.time_ns):
        newer_watch = liked is None and watched is not None and watched.time_ns > skipped.time_ns
        if not newer_watch:
            return Preference(item, SKIPPED_WEIGHT, liked=False, time_ns=time_ns)
    weight = (LIKED_WEIGHT if liked else 0.0) + (_watched_weight(watched) if watched else 0.0)
    return Preference(item, weight, liked=liked is not None, time_ns=time_ns)


def _watched_weight(watched: Interaction) -> float:
    if watched.seconds is None:
        return WATCHED_WEIGHT
    return min(max(watched.seconds / _WHOLE_S, _LEAST_WATCHED), _MOST_WATCHED)
