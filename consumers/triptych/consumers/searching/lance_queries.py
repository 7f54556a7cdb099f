"""The queries of a search to the table of LanceDB, and their conditions as its SQL.

Conditions have no patterns of streams here: see `stream_names`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from lancedb.query import MatchQuery

from triptych.consumers.searching.index_store import DetailedRow, FoundRow, RowConditions
from triptych.consumers.searching.rows import WINDOW_PARTS, Part, place_of_key, row_key

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb.table import Table
    from numpy.typing import NDArray

_REFINE: Final = 1
"""So many times the wanted vectors are compared exactly. 2 and 10 find no more of the nearest, in more time."""
_PROBES: Final = 40
"""So many clusters of vectors are looked through. At 2,000,000 vectors 20 find .964 of the ten nearest, 40 find .980
and 100 find .984. Each costs .3 ms."""
_FOUND_PARTS: Final = frozenset(WINDOW_PARTS) - {"quality"}
"""The parts with words or a vector."""
_PLACE: Final = ["window", "part", "stream", "start_ns", "end_ns"]
"""Columns that are read of rows whose key does not say them."""
_DETAILS: Final = ["result", "text", "details"]
"""Columns that are only read of the rows that are shown: of all rows found, that takes as long as to find them."""

NUMBER_COLUMN: Final = "window_number"
"""Has a number of the window of each row. LanceDB looks up 600 integers in half the time of as many ids of windows."""
_HEX_DIGITS: Final = 15
"""60 bits: that two of a million windows have the same number is less likely than one in a million."""
NUMBER_SQL: Final = " + ".join(
    f"(strpos('0123456789abcdef', substr(md5(`window`), {place}, 1)) - 1) * {16 ** (_HEX_DIGITS - place)}"
    for place in range(1, _HEX_DIGITS + 1)
)
"""`window_number` as SQL, which adds the numbers to an index of an earlier release. It cannot read hexadecimal ones."""


def rank_by_words(
    table: Table, text: str, conditions: RowConditions, most: int, *, needs_all: bool = False
) -> list[FoundRow]:
    """Return the rows with some or all words of a text, best first, each with BM25 as `words_score`."""
    if needs_all and (conditions.since_ns is not None or conditions.until_ns is not None):
        # Few rows have all words, so that to look at their times takes less than a list of all rows of these times.
        of_all_times = replace(conditions, since_ns=None, until_ns=None)
        rows = _with_words(table, text, of_all_times, most, needs_all=True)
        if len(rows) < most:
            return [row for row in rows if _meets_times(row, conditions)]
    return _with_words(table, text, conditions, most, needs_all=needs_all)


def _with_words(table: Table, text: str, conditions: RowConditions, most: int, *, needs_all: bool) -> list[FoundRow]:
    query = MatchQuery(text, "text", operator="AND" if needs_all else "OR")
    search = table.search(query, query_type="fts")
    if condition := where_found(table, conditions):
        search = search.where(condition, prefilter=True)
    rows = search.select(["key", "_score"]).with_row_id(with_row_id=True).limit(most).to_arrow()
    return [{**row, "words_score": row["_score"]} for row in placed_rows(table, rows)]


def rank_by_meaning(table: Table, vector: NDArray[np.float32], conditions: RowConditions, most: int) -> list[FoundRow]:
    """Return the rows nearest to a vector, float32 [D], nearest first, each with the cosine as `similarity`."""
    if conditions.windows is not None:
        return _nearest_of_chosen(table, vector, conditions, most)
    search = table.search(vector, vector_column_name="vector").distance_type("cosine")
    search = search.nprobes(_PROBES).refine_factor(_REFINE)
    if condition := where_found(table, conditions):
        search = search.where(condition, prefilter=True)
    rows = search.select(["key", "_distance"]).with_row_id(with_row_id=True).limit(most).to_arrow()
    return [{**row, "similarity": 1 - row["_distance"]} for row in placed_rows(table, rows)]


def _nearest_of_chosen(
    table: Table, vector: NDArray[np.float32], conditions: RowConditions, most: int
) -> list[FoundRow]:
    """Return the nearest rows of the windows that the conditions name. All their vectors are compared.

    The index of the vectors would find few of them: most are in clusters that it does not look through.
    """
    search = table.search(vector, vector_column_name="vector").distance_type("cosine").bypass_vector_index()
    search = search.where(where_found(table, conditions), prefilter=True).select(["key", "vector", "_distance"])
    rows = search.with_row_id(with_row_id=True).limit(most).to_arrow()
    # LanceDB rounds the vector that is looked for to 16 bits, as those of rows are, which can exchange neighbours.
    vectors = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = vectors.reshape(-1, len(vector)).astype(np.float32)
    similarities = vectors @ vector / np.maximum(np.linalg.norm(vectors, axis=1), np.finfo(np.float32).tiny)
    found = placed_rows(table, rows.drop_columns("vector"))
    order = np.argsort(-similarities, kind="stable")
    return [{**found[place], "similarity": float(similarities[place])} for place in order]


def windows_with_words(table: Table, words: str, conditions: RowConditions, most: int) -> list[str]:
    """Return the windows that have one row with all these words."""
    query = MatchQuery(words, "text", operator="AND")
    search = table.search(query, query_type="fts").where(where(table, conditions), prefilter=True)
    found: list[str] = search.select(["window", "_score"]).limit(most).to_arrow()["window"].to_pylist()
    return found


def placed_rows(table: Table, rows: pa.Table) -> list[FoundRow]:
    """Return rows that were read with their ids and keys, with window, part, stream and times instead of keys.

    A key says all of these, and to read a column of a few rows takes as long for each as for the key.
    """
    found = rows.drop_columns("key").to_pylist()
    places = [place_of_key(key) for key in rows["key"].to_pylist()]
    read: dict[int, dict[str, Any]] = {}
    if unknown := [row["_rowid"] for row, place in zip(found, places, strict=True) if place is None]:
        read = {row["_rowid"]: row for row in table.take_row_ids(unknown).select(_PLACE).with_row_id().to_list()}
    return [{**row, **(place or read[row["_rowid"]])} for row, place in zip(found, places, strict=True)]


def with_details(table: Table, rows: Sequence[FoundRow]) -> list[DetailedRow]:
    """Return rows that were found in this version of the table, in their order, with what is shown of them."""
    chosen = list(dict.fromkeys(int(row["_rowid"]) for row in rows))
    if not chosen:
        return []
    taken = table.take_row_ids(chosen).select(_DETAILS).with_row_id().to_list()
    details = {row["_rowid"]: row for row in taken}
    return [{**row, **details[row["_rowid"]]} for row in rows]


def where(table: Table, conditions: RowConditions) -> str:
    """Return conditions as SQL. The row of what the index says of itself has a part of its own, and meets none."""
    return " AND ".join((quoted_in("part", conditions.parts), *_beyond_parts(table, conditions)))


def where_found(table: Table, conditions: RowConditions) -> str:
    """Return the conditions of a ranking, which finds nothing of parts without words or vectors anyway.

    LanceDB makes a list of all rows that meet a condition before it ranks: 20 ms and more for a million windows.
    """
    if frozenset(conditions.parts) >= _FOUND_PARTS:
        return " AND ".join(_beyond_parts(table, conditions))
    return where(table, conditions)


def _beyond_parts(table: Table, conditions: RowConditions) -> list[str]:
    wanted = []
    if conditions.streams:
        wanted.append(quoted_in("stream", conditions.streams))
    if conditions.since_ns is not None:
        wanted.append(f"end_ns > {int(conditions.since_ns)}")
    if conditions.until_ns is not None:
        wanted.append(f"start_ns < {int(conditions.until_ns)}")
    if conditions.windows is not None:
        wanted.append(_among(table, conditions.windows, conditions.parts))
    return wanted


def _meets_times(row: FoundRow, conditions: RowConditions) -> bool:
    is_late_enough = conditions.since_ns is None or row["end_ns"] > conditions.since_ns
    return is_late_enough and (conditions.until_ns is None or row["start_ns"] < conditions.until_ns)


def _among(table: Table, windows: Sequence[str], parts: Sequence[Part]) -> str:
    """Return the condition that a row is of these windows, and in a table of an earlier release, one of these parts.

    Such a table has no numbers of windows until its writer next maintains it. Keys have an index, but there are as many
    as parts for each window.
    """
    if not windows:
        return "false"
    if NUMBER_COLUMN in table.schema.names:
        return f"{NUMBER_COLUMN} IN ({', '.join(str(window_number(window)) for window in windows)})"
    return quoted_in("key", [row_key(window, part) for window in windows for part in parts])


def window_number(window: str) -> int:
    """Return the number of a window."""
    return int(hashlib.md5(window.encode(), usedforsecurity=False).hexdigest()[:_HEX_DIGITS], 16)


def quoted_in(column: str, values: Iterable[str]) -> str:
    """Return the condition that a column has one of these values, as SQL."""
    return f"{column} IN ({', '.join(map(quoted, values))})"


def quoted(text: str) -> str:
    """Return a text as a string of SQL."""
    return "'" + text.replace("'", "''") + "'"
