"""Publish the interactions of a data set on the topic of a pipeline, with pseudonyms in place of its users' names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from triptych.consumers.recommending.interaction_topic import send_interactions
from triptych.consumers.recommending.pseudonyms import Pseudonyms
from triptych.schemas.errors import UsageError
from triptych.schemas.recommending.interactions import Interaction, ItemText
from triptych.training.recommending.adapters.imported import ImportedSet, stream_name
from triptych.training.recommending.adapters.rating_sets import RATING_SETS
from triptych.transport.protocols import Transport

_MOST_TITLE: Final = 500
_MOST_LABEL: Final = 64
_MOST_LABELS: Final = 32


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """How many records were sent."""

    interactions: int
    items: int


def import_set(transport: Transport, pipeline: str, pseudonyms: Pseudonyms, *, name: str, path: Path) -> ImportCounts:
    """Publish a data set: texts of its items, and what its users did with them, as clips `NAME-ITEM`. Blocks.

    The names of the users are those of the data set behind its name, `movielens/196` for example.

    Raises:
        UsageError: the files do not have the layout, or a row is malformed. What was read before it has been sent.
        TopicMissingError: the topic does not exist.
    """
    imported = RATING_SETS[name](path)
    try:
        items = send_interactions(transport, pipeline, item_texts(imported, name))
        interactions = send_interactions(transport, pipeline, interactions_of(imported, name, pseudonyms))
    except UsageError as error:
        raise UsageError(
            f"{error}. What stands before it may have been published: correct the file, and import it again, which "
            "replaces that"
        ) from error
    return ImportCounts(interactions, items)


def item_texts(imported: ImportedSet, name: str) -> Iterator[ItemText]:
    """Yield the texts of the items."""
    now_ns = time.time_ns()
    for item in imported.items:
        title = " ".join(item.title.split())[:_MOST_TITLE]
        if title:
            labels = tuple(label[:_MOST_LABEL] for label in item.labels if label)[:_MOST_LABELS]
            yield ItemText(kind="clip", item=stream_name(name, item.item), title=title, labels=labels, time_ns=now_ns)


def interactions_of(imported: ImportedSet, name: str, pseudonyms: Pseudonyms) -> Iterator[Interaction]:
    """Yield the interactions of the users."""
    for event in imported.events:
        yield Interaction(
            user=pseudonyms.of(f"{name}/{event.user}"),
            kind="clip",
            item=stream_name(name, event.item),
            action=event.action,
            time_ns=event.time_ns,
        )
