"""The rows of the windows that a condition such as `said` leaves, and their rankings.

LanceDB looks up the keys of 1,000 windows in 30 to 100 ms, and would do so again for each ranking.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from lancedb.query import MatchQuery

from triptych.consumers.searching.index_store import MAX_REQUIRED_WINDOWS, FoundRow, RowConditions
from triptych.consumers.searching.lance_queries import FOUND_COLUMNS, where
from triptych.consumers.searching.rows import WINDOW_PARTS

if TYPE_CHECKING:
    from lancedb.table import Table
    from numpy.typing import NDArray

_MAX_ROWS: Final = len(WINDOW_PARTS) * MAX_REQUIRED_WINDOWS
_MAX_MATCHES: Final = 200_000
"""So many rows with a word are compared with those that were chosen. If there are more, LanceDB is given the keys."""
_COMPARED_ROWS: Final = 8_192
"""So many vectors are in memory at once."""


class ChosenRows:
    """Reads the rows that meet conditions, and keeps them until others are asked for. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._table: Table | None = None
        self._wanted: tuple[int, RowConditions] | None = None
        self._rows: pa.Table | None = None

    def read(self, table: Table, conditions: RowConditions) -> pa.Table:
        """Return the rows of this version of a table, with their ids."""
        with self._lock:
            wanted = (table.version, conditions)
            if self._rows is None or self._table is not table or self._wanted != wanted:
                found = table.search().where(where(conditions)).select(FOUND_COLUMNS)
                self._rows = found.with_row_id(with_row_id=True).limit(_MAX_ROWS).to_arrow()
                self._table, self._wanted = table, wanted
            return self._rows


def rank_by_words(
    table: Table, rows: pa.Table, text: str, most: int, *, needs_all: bool = False
) -> list[FoundRow] | None:
    """Return those of these rows with some or all words of a text, best first, as `lance_queries.rank_by_words` does.

    None if very many rows of the table have the words.
    """
    query = MatchQuery(text, "text", operator="AND" if needs_all else "OR")
    search = table.search(query, query_type="fts").select(["_score"]).with_row_id(with_row_id=True)
    found = search.limit(_MAX_MATCHES).to_arrow()
    if found.num_rows == _MAX_MATCHES:
        return None
    ids, scores = found["_rowid"].to_numpy(), found["_score"].to_numpy()
    chosen = np.flatnonzero(np.isin(ids, rows["_rowid"].to_numpy()))[:most]
    measures = dict(zip(ids[chosen].tolist(), scores[chosen].tolist(), strict=True))
    return _with_measure(rows, measures, "words_score")


def rank_by_meaning(table: Table, rows: pa.Table, vector: NDArray[np.float32], most: int) -> list[FoundRow]:
    """Return those of these rows that are nearest to a vector, nearest first. All of them are compared.

    The index of the vectors would find few: most of the rows are in clusters that it does not look through.
    """
    ids = np.sort(rows["_rowid"].to_numpy())
    similarities: dict[int, float] = {}
    for first in range(0, len(ids), _COMPARED_ROWS):
        taken = table.take_row_ids(ids[first : first + _COMPARED_ROWS].tolist()).select(["vector"]).with_row_id()
        found = taken.to_arrow()
        found = found.filter(pc.is_valid(found["vector"]))
        vectors = found["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        vectors = vectors.reshape(-1, len(vector)).astype(np.float32)
        lengths = np.maximum(np.linalg.norm(vectors, axis=1), np.finfo(np.float32).tiny)
        similarities.update(zip(found["_rowid"].to_pylist(), (vectors @ vector / lengths).tolist(), strict=True))
    nearest = sorted(similarities.items(), key=lambda one: (-one[1], one[0]))[:most]
    return _with_measure(rows, dict(nearest), "similarity")


def newest_rows(rows: pa.Table, most_windows: int) -> list[FoundRow]:
    """Return those of these rows that are of the newest windows, newest first."""
    found = rows.to_pylist()
    newest = {window for _, window in sorted({(-row["start_ns"], row["window"]) for row in found})[:most_windows]}
    chosen = (row for row in found if row["window"] in newest)
    return sorted(chosen, key=lambda row: (-row["start_ns"], row["window"], row["part"]))


def _with_measure(rows: pa.Table, measures: Mapping[int, float], name: str) -> list[FoundRow]:
    """Return the rows of these ids, in their order, each with its measure."""
    chosen = rows.filter(np.isin(rows["_rowid"].to_numpy(), list(measures))).to_pylist()
    found = {row["_rowid"]: row for row in chosen}
    return [{**found[number], name: measure} for number, measure in measures.items()]
