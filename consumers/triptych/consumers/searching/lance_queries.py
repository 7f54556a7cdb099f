"""The queries of a search to the table of LanceDB, and their conditions as its SQL.

Conditions have no patterns of streams here: see `stream_names`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from lancedb.query import MatchQuery

from triptych.consumers.searching.index_store import DetailedRow, FoundRow, RowConditions
from triptych.consumers.searching.rows import WINDOW_PARTS, Part, row_key

if TYPE_CHECKING:
    import numpy as np
    from lancedb.table import Table
    from numpy.typing import NDArray

_REFINE: Final = 1
"""So many times the wanted vectors are compared exactly. 2 and 10 find no more of the nearest, in more time."""
_PROBES: Final = 40
"""So many clusters of vectors are looked through. At 2,000,000 vectors 20 find .964 of the ten nearest, 40 find .980
and 100 find .984. Each costs .3 ms."""
_FOUND_PARTS: Final = frozenset(WINDOW_PARTS) - {"quality"}
"""The parts with words or a vector."""
FOUND_COLUMNS: Final = ["window", "part", "stream", "start_ns", "end_ns"]
"""Columns that are read of all rows found."""
_DETAILS: Final = ["result", "text", "details"]
"""Columns that are only read of the rows that are shown: of all rows found, that takes as long as to find them."""


def rank_by_words(
    table: Table, text: str, conditions: RowConditions, most: int, *, needs_all: bool = False
) -> list[FoundRow]:
    """Return the rows with some or all words of a text, best first, each with BM25 as `words_score`."""
    query = MatchQuery(text, "text", operator="AND" if needs_all else "OR")
    search = table.search(query, query_type="fts")
    if condition := _where_found(conditions):
        search = search.where(condition, prefilter=True)
    rows = search.select([*FOUND_COLUMNS, "_score"]).with_row_id(with_row_id=True).limit(most).to_list()
    return [{**row, "words_score": row["_score"]} for row in rows]


def rank_by_meaning(table: Table, vector: NDArray[np.float32], conditions: RowConditions, most: int) -> list[FoundRow]:
    """Return the rows nearest to a vector, float32 [D], nearest first, each with the cosine as `similarity`."""
    search = table.search(vector, vector_column_name="vector").distance_type("cosine")
    search = search.nprobes(_PROBES).refine_factor(_REFINE)
    if condition := _where_found(conditions):
        search = search.where(condition, prefilter=True)
    rows = search.select([*FOUND_COLUMNS, "_distance"]).with_row_id(with_row_id=True).limit(most).to_list()
    return [{**row, "similarity": 1 - row["_distance"]} for row in rows]


def windows_with_words(table: Table, words: str, conditions: RowConditions, most: int) -> list[str]:
    """Return the windows that have one row with all these words."""
    query = MatchQuery(words, "text", operator="AND")
    search = table.search(query, query_type="fts").where(where(conditions), prefilter=True)
    found: list[str] = search.select(["window", "_score"]).limit(most).to_arrow()["window"].to_pylist()
    return found


def with_details(table: Table, rows: Sequence[FoundRow]) -> list[DetailedRow]:
    """Return rows that were found in this version of the table, in their order, with what is shown of them."""
    chosen = list(dict.fromkeys(int(row["_rowid"]) for row in rows))
    if not chosen:
        return []
    taken = table.take_row_ids(chosen).select(_DETAILS).with_row_id().to_list()
    details = {row["_rowid"]: row for row in taken}
    return [{**row, **details[row["_rowid"]]} for row in rows]


def where(conditions: RowConditions) -> str:
    """Return conditions as SQL. The row of what the index says of itself has a part of its own, and meets none."""
    parts = f"part IN ({', '.join(quoted(part) for part in conditions.parts)})"
    return " AND ".join((parts, *_beyond_parts(conditions)))


def _where_found(conditions: RowConditions) -> str:
    """Return the conditions of a ranking, which finds nothing of parts without words or vectors anyway.

    LanceDB makes a list of all rows that meet a condition before it ranks: 20 ms and more for a million windows.
    """
    if frozenset(conditions.parts) >= _FOUND_PARTS:
        return " AND ".join(_beyond_parts(conditions))
    return where(conditions)


def _beyond_parts(conditions: RowConditions) -> list[str]:
    wanted = []
    if conditions.streams:
        wanted.append(f"stream IN ({', '.join(quoted(stream) for stream in conditions.streams)})")
    if conditions.since_ns is not None:
        wanted.append(f"end_ns > {int(conditions.since_ns)}")
    if conditions.until_ns is not None:
        wanted.append(f"start_ns < {int(conditions.until_ns)}")
    if conditions.windows is not None:
        wanted.append(_among(conditions.windows, conditions.parts))
    return wanted


def _among(windows: Sequence[str], parts: Sequence[Part]) -> str:
    """Return the condition that a row is one of these parts of these windows. Keys have an index, windows have none."""
    keys = (quoted(row_key(window, part)) for window in windows for part in parts)
    return f"key IN ({', '.join(keys)})" if windows else "false"


def quoted(text: str) -> str:
    """Return a text as a string of SQL."""
    return "'" + text.replace("'", "''") + "'"
