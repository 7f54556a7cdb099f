"""The queries of a search to the table of PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pgvector import HalfVector
from psycopg import Connection, sql
from psycopg.rows import dict_row

from triptych.consumers.searching.index_store import FoundRow, RowConditions
from triptych.consumers.searching.postgres.like_patterns import like_pattern
from triptych.consumers.searching.postgres.word_tokens import query_of_all, query_of_any
from triptych.consumers.searching.rows import WINDOW_PARTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EF_SEARCH: Final = 200
"""So many candidates of the graph of vectors are kept, or as many as rows are asked for, if these are more.

Of 600,000 vectors, 100 keep .976 of the ten nearest in 7 ms (p50), 200 keep .997 in 8 ms, and 400 as many in 22 ms.
"""
_MOST_CANDIDATES: Final = 1_000
"""The most that pgvector takes. For more rows, it continues the search."""
_EXACT_ROWS: Final = 20_000
"""If the conditions leave so many rows or fewer, their vectors are all compared.

The graph looks through many times as many as it returns. Of one in 40 streams with 200,000 vectors, it found .84 of the
ten nearest in 301 ms (p50). Comparing the 5,000 of the stream takes 42 ms. With 20,000 rows both take as long.
"""
_COLUMNS: Final = sql.SQL('"window", part, result, stream, start_ns, end_ns, text, details')
_NORMALIZED_BY_LENGTH: Final = 1
"""`ts_rank_cd` divides by 1 plus the logarithm of the number of words."""


class PostgresQueries:
    """The queries of one index."""

    def __init__(self, schema: str) -> None:
        self._table = sql.Identifier(schema, "windows")
        self._config = sql.Literal(f'"{schema}".words')

    def rank_by_words(
        self, connection: Connection[Any], text: str, conditions: RowConditions, most: int, *, needs_all: bool
    ) -> list[FoundRow]:
        """Return the rows with words of a text, best first, each with `ts_rank_cd` as `words_score`."""
        words = query_of_all(text) if needs_all else query_of_any(text)
        if not words:
            return []
        query = sql.SQL(
            "SELECT {columns}, ts_rank_cd(words, query, {normalized})::float8 AS words_score "
            "FROM {table}, to_tsquery({config}::regconfig, {words}) AS query WHERE words @@ query AND {where} "
            'ORDER BY words_score DESC, start_ns DESC, "window", part LIMIT {most}'
        ).format(
            columns=_COLUMNS,
            normalized=_NORMALIZED_BY_LENGTH,
            table=self._table,
            config=self._config,
            words=words,
            where=where(conditions),
            most=most,
        )
        return _rows(connection, query)

    def rank_by_meaning(
        self, connection: Connection[Any], vector: NDArray[np.float32], conditions: RowConditions, most: int
    ) -> list[FoundRow]:
        """Return the rows nearest to a vector, float32 [D], nearest first, each with the cosine as `similarity`."""
        if not self._is_few(connection, conditions):
            connection.execute("SELECT set_config('hnsw.ef_search', %s, true)", (str(_candidates(most)),))
            connection.execute("SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)")
            found = self._nearest(connection, vector, conditions, most, uses_graph=True)
            if len(found) == most:
                return found
            # The graph gives up after `hnsw.max_scan_tuples`, or when there are no more.
        return self._nearest(connection, vector, conditions, most, uses_graph=False)

    def _is_few(self, connection: Connection[Any], conditions: RowConditions) -> bool:
        """Return whether the conditions leave so few rows that comparing all of them is faster than the graph.

        That is an estimate of the server, from its statistics of streams and times. To count would take as long as to
        compare. Either way the answer is right, only slower, or with a little less recall.
        """
        if conditions.windows is not None:
            return True
        if replace(conditions, parts=WINDOW_PARTS) == RowConditions():
            return False
        query = sql.SQL("EXPLAIN (FORMAT JSON) SELECT FROM {table} WHERE {where}").format(
            table=self._table, where=where(conditions)
        )
        explained = connection.execute(query).fetchone()
        return explained is not None and explained[0][0]["Plan"]["Plan Rows"] <= _EXACT_ROWS

    def _nearest(
        self,
        connection: Connection[Any],
        vector: NDArray[np.float32],
        conditions: RowConditions,
        most: int,
        *,
        uses_graph: bool,
    ) -> list[FoundRow]:
        # PostgreSQL uses the graph only for an order by exactly this distance. The graph returns the nearest nearly in
        # order; they are ordered once more.
        order = "distance" if uses_graph else "(vector <=> {wanted}) + 0"
        query = sql.SQL(
            "WITH nearest AS MATERIALIZED (SELECT {columns}, vector <=> {wanted} AS distance FROM {table} "
            "WHERE vector IS NOT NULL AND {where} ORDER BY {order} LIMIT {most}) "
            'SELECT {columns}, 1 - distance AS similarity FROM nearest ORDER BY distance + 0, "window", part'
        )
        wanted = sql.Literal(HalfVector(vector))
        return _rows(
            connection,
            query.format(
                columns=_COLUMNS,
                wanted=wanted,
                table=self._table,
                where=where(conditions),
                order=sql.SQL(order).format(wanted=wanted),
                most=most,
            ),
        )

    def windows_with_words(
        self, connection: Connection[Any], words: str, conditions: RowConditions, most: int
    ) -> list[str]:
        """Return the windows that have one row with all these words."""
        wanted = query_of_all(words)
        if not wanted:
            return []
        query = sql.SQL(
            'SELECT "window" FROM {table}, to_tsquery({config}::regconfig, {words}) AS query '
            "WHERE words @@ query AND {where} ORDER BY ts_rank_cd(words, query, {normalized}) DESC, start_ns DESC "
            "LIMIT {most}"
        ).format(
            table=self._table,
            config=self._config,
            words=wanted,
            where=where(conditions),
            normalized=_NORMALIZED_BY_LENGTH,
            most=most,
        )
        return [str(window) for (window,) in connection.execute(query)]

    def newest_rows(self, connection: Connection[Any], conditions: RowConditions, most_windows: int) -> list[FoundRow]:
        """Return the rows of the newest windows, newest first."""
        query = sql.SQL(
            'WITH newest AS (SELECT "window" FROM {table} WHERE {where} GROUP BY "window" '
            'ORDER BY max(start_ns) DESC, "window" LIMIT {most}) SELECT {columns} FROM {table} '
            'WHERE {where} AND "window" IN (SELECT "window" FROM newest) ORDER BY start_ns DESC, "window", part'
        ).format(columns=_COLUMNS, table=self._table, where=where(conditions), most=most_windows)
        return _rows(connection, query)


def where(conditions: RowConditions) -> sql.Composed:
    """Return conditions as SQL."""
    wanted = [sql.SQL("part = ANY({})").format(list(conditions.parts))]
    if conditions.streams:
        wanted.append(sql.SQL("stream = ANY({}::text[])").format(_storable(conditions.streams)))
    if conditions.stream_patterns:
        patterns = _storable([like_pattern(pattern) for pattern in conditions.stream_patterns])
        wanted.append(sql.SQL("stream LIKE ANY({}::text[])").format(patterns))
    if conditions.since_ns is not None:
        wanted.append(sql.SQL("end_ns > {}").format(conditions.since_ns))
    if conditions.until_ns is not None:
        wanted.append(sql.SQL("start_ns < {}").format(conditions.until_ns))
    if conditions.windows is not None:
        wanted.append(sql.SQL('"window" = ANY({}::text[])').format(_storable(conditions.windows)))
    return sql.SQL(" AND ").join(wanted)


def _storable(texts: Sequence[str]) -> list[str]:
    """Return those texts that PostgreSQL stores: no row has another one."""
    return [text for text in texts if "\0" not in text]


def _candidates(most: int) -> int:
    return min(max(_EF_SEARCH, most), _MOST_CANDIDATES)


def _rows(connection: Connection[Any], query: sql.Composed) -> list[FoundRow]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return list(cursor.execute(query).fetchall())
