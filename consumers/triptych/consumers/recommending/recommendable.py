"""What can be recommended: items with their words, labels and vectors, and where they are looked up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from triptych.schemas.recommending.interactions import ItemKind, ItemText

Floats = NDArray[np.float32]
_TITLE_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True, eq=False)
class Recommendable:
    """An item that can be recommended.

    Attributes:
        item: kind and id.
        title: what is shown of it.
        labels: what was seen and heard in it, or its genres.
        language: language of its words; empty if unknown.
        vector: float32 [D] of length 1 in the space of the catalogue; None if it has none.
        time_ns: its event time, or when its text was written.
        words: what was said in it.
    """

    item: str
    title: str
    labels: tuple[str, ...] = ()
    language: str = ""
    vector: Floats | None = None
    time_ns: int = 0
    words: str = ""

    @property
    def kind(self) -> str:
        """The kind of the item."""
        return self.item.partition("/")[0]


class ItemCatalogue(Protocol):
    """Where items are looked up."""

    @property
    def space(self) -> str | None:
        """Return the name of the space of the vectors; None if there are none."""

    def find(self, items: Sequence[str]) -> dict[str, Recommendable]:
        """Return those of the items that exist."""

    def nearest(self, vector: Floats, kind: ItemKind, most: int) -> list[Recommendable]:
        """Return the items of a kind that are nearest to a vector, float32 [D], nearest first."""

    def newest(self, kind: ItemKind, most: int) -> list[Recommendable]:
        """Return the newest items of a kind, newest first."""


class ListedCatalogue:
    """Items in memory. All vectors are compared."""

    def __init__(self, items: Iterable[Recommendable], space: str | None = None) -> None:
        self._items = {item.item: item for item in items}
        self._space = space

    @property
    def space(self) -> str | None:
        """The name of the space of the vectors."""
        return self._space

    def find(self, items: Sequence[str]) -> dict[str, Recommendable]:
        """Return those of the items that exist."""
        return {item: self._items[item] for item in items if item in self._items}

    def nearest(self, vector: Floats, kind: ItemKind, most: int) -> list[Recommendable]:
        """Return the nearest items of a kind, nearest first."""
        chosen = [item for item in self._items.values() if item.kind == kind and item.vector is not None]
        if not chosen:
            return []
        similarities = np.stack([item.vector for item in chosen if item.vector is not None]) @ vector
        return [chosen[number] for number in np.argsort(-similarities, kind="stable")[:most]]

    def newest(self, kind: ItemKind, most: int) -> list[Recommendable]:
        """Return the newest items of a kind, newest first."""
        chosen = [item for item in self._items.values() if item.kind == kind]
        return sorted(chosen, key=lambda item: (-item.time_ns, item.item))[:most]


class JoinedCatalogue:
    """Several catalogues as one. The vectors of all of them belong to one space."""

    def __init__(self, catalogues: Sequence[ItemCatalogue]) -> None:
        self._catalogues = catalogues

    @property
    def space(self) -> str | None:
        """The name of the space of the vectors."""
        return next((one.space for one in self._catalogues if one.space is not None), None)

    def find(self, items: Sequence[str]) -> dict[str, Recommendable]:
        """Return those of the items that exist, each from the first catalogue that has it."""
        found: dict[str, Recommendable] = {}
        for catalogue in self._catalogues:
            found |= catalogue.find([item for item in items if item not in found])
        return found

    def nearest(self, vector: Floats, kind: ItemKind, most: int) -> list[Recommendable]:
        """Return the nearest items of a kind, nearest first."""
        found = [item for one in self._catalogues for item in one.nearest(vector, kind, most)]
        return sorted(found, key=lambda item: -_cosine(item, vector))[:most]

    def newest(self, kind: ItemKind, most: int) -> list[Recommendable]:
        """Return the newest items of a kind, newest first."""
        found = [item for one in self._catalogues for item in one.newest(kind, most)]
        return sorted(found, key=lambda item: -item.time_ns)[:most]


def text_item(text: ItemText, vector: Floats | None) -> Recommendable:
    """Return the item of a text."""
    title = text.title[:_TITLE_CHARACTERS]
    return Recommendable(text.item_key, title, text.labels, text.language or "", vector, text.time_ns)


def text_to_embed(text: ItemText) -> str:
    """Return the words of an item whose vector stands for it: its title and labels."""
    return ". ".join([text.title, ", ".join(text.labels)]) if text.labels else text.title


def _cosine(item: Recommendable, vector: Floats) -> float:
    return float("-inf") if item.vector is None else float(item.vector @ vector)
