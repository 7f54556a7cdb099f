"""The rows of the windows that a condition such as `said` leaves, and their ranking by words.

LanceDB looks up 1,000 windows in 15 ms, and would do so again for each ranking by words.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
from lancedb.query import MatchQuery

from triptych.consumers.searching.index_store import MAX_REQUIRED_WINDOWS, FoundRow, RowConditions
from triptych.consumers.searching.lance_queries import placed_rows, where, where_found
from triptych.consumers.searching.rows import WINDOW_PARTS

if TYPE_CHECKING:
    from lancedb.table import Table
    from numpy.typing import NDArray

_MAX_ROWS: Final = len(WINDOW_PARTS) * MAX_REQUIRED_WINDOWS
_MAX_MATCHES: Final = 200_000
"""So many rows with a word are compared with those that were chosen. If there are more, LanceDB is given the keys."""


class ChosenRows:
    """Looks up the ids of the rows that meet conditions, and keeps them until others are asked for. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._table: Table | None = None
        self._wanted: tuple[int, RowConditions] | None = None
        self._ids: NDArray[np.uint64] | None = None

    def ids(self, table: Table, conditions: RowConditions) -> NDArray[np.uint64]:
        """Return the sorted ids of the rows of this version of a table. There may be some without words or vector."""
        with self._lock:
            wanted = (table.version, conditions)
            if self._ids is None or self._table is not table or self._wanted != wanted:
                # The ids cannot be read alone. Numbers are read fastest.
                found = table.search().where(where_found(table, conditions)).select(["start_ns"])
                rows = found.with_row_id(with_row_id=True).limit(_MAX_ROWS).to_arrow()
                self._ids = np.sort(rows["_rowid"].to_numpy())
                self._table, self._wanted = table, wanted
            return self._ids


def rank_by_words(
    table: Table, chosen: ChosenRows, conditions: RowConditions, text: str, most: int, *, needs_all: bool = False
) -> list[FoundRow] | None:
    """Return the rows with some or all words of a text, best first, as `lance_queries.rank_by_words` does.

    None if very many rows of the table have the words.
    """
    query = MatchQuery(text, "text", operator="AND" if needs_all else "OR")
    search = table.search(query, query_type="fts").select(["_score"]).with_row_id(with_row_id=True)
    found = search.limit(_MAX_MATCHES).to_arrow()
    if found.num_rows == _MAX_MATCHES:
        return None
    if not found.num_rows:
        return []
    ids, scores = found["_rowid"].to_numpy(), found["_score"].to_numpy()
    best = np.flatnonzero(np.isin(ids, chosen.ids(table, conditions)))[:most]
    return _with_measure(table, dict(zip(ids[best].tolist(), scores[best].tolist(), strict=True)), "words_score")


def newest_rows(table: Table, conditions: RowConditions, most_windows: int) -> list[FoundRow]:
    """Return the rows of the newest windows, newest first."""
    rows = table.search().where(where(table, conditions)).select(["key"]).with_row_id(with_row_id=True)
    found = placed_rows(table, rows.limit(_MAX_ROWS).to_arrow())
    newest = {window for _, window in sorted({(-row["start_ns"], row["window"]) for row in found})[:most_windows]}
    chosen = (row for row in found if row["window"] in newest)
    return sorted(chosen, key=lambda row: (-row["start_ns"], row["window"], row["part"]))


def _with_measure(table: Table, measures: Mapping[int, float], name: str) -> list[FoundRow]:
    """Return the rows of these ids, in their order, each with its measure."""
    if not measures:
        return []
    taken = table.take_row_ids(list(measures)).select(["key"]).with_row_id().to_arrow()
    found = {row["_rowid"]: row for row in placed_rows(table, taken)}
    return [{**found[number], name: measure} for number, measure in measures.items()]
