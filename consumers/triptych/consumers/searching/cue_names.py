"""Add the names that a model finds in cues to the rows of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from triptych.consumers.searching.rows import IndexRow

log = structlog.get_logger(__name__)


class NameFinder(Protocol):
    """Finds names in texts."""

    def names(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the names of each text, in order and each once."""


def with_names(rows: Sequence[IndexRow], finder: NameFinder) -> list[IndexRow]:
    """Return rows whose cues say which names they hold (`details.cues[].names`).

    A cue that the finder cannot read is left as it is: names are then found by their capitals.
    """
    texts = [cue["text"] for row in rows for cue in (row.details or {}).get("cues", ())]
    if not texts:
        return list(rows)
    found = _names_by_text(list(dict.fromkeys(texts)), finder)
    return [_named(row, found) for row in rows]


def _named(row: IndexRow, found: dict[str, tuple[str, ...]]) -> IndexRow:
    details = row.details or {}
    if "cues" not in details:
        return row
    cues = [
        {**cue, "names": list(found[cue["text"]])} if cue["text"] in found else dict(cue) for cue in details["cues"]
    ]
    return replace(row, details={**details, "cues": cues})


def _names_by_text(texts: Sequence[str], finder: NameFinder) -> dict[str, tuple[str, ...]]:
    try:
        return dict(zip(texts, finder.names(texts), strict=True))
    except Exception as error:  # noqa: BLE001 - a model may raise anything, and one text must not stop the others
        if len(texts) == 1:
            log.warning("names_not_found", reason=f"{error!r:.300}", characters=len(texts[0]))
            return {}
    middle = len(texts) // 2
    return _names_by_text(texts[:middle], finder) | _names_by_text(texts[middle:], finder)
