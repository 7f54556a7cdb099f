"""The index of a pipeline on a server of PostgreSQL with pgvector.

Rows and what the index says of itself are written in one transaction, in the session that holds the lock of the only
writer. A batch that is written again changes nothing. So the writer repeats what the server has not confirmed.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

import numpy as np
import structlog
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from psycopg import Connection, sql

from triptych.consumers.searching.index_store import (
    FORMAT_VERSION,
    DetailedRow,
    FoundRow,
    IndexMeta,
    RowConditions,
)
from triptych.consumers.searching.postgres import postgres_schema
from triptych.consumers.searching.postgres.postgres_queries import PostgresQueries
from triptych.consumers.searching.postgres.postgres_server import PostgresIndexError, PostgresServer
from triptych.consumers.searching.postgres.word_tokens import MAX_CHARACTERS, words_for_index
from triptych.consumers.searching.rows import IndexRow
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = structlog.get_logger(__name__)
_Value = TypeVar("_Value")

_VECTOR_INDEX_ROWS: Final = 10_000
"""From this many rows on, the vectors get an approximate index. Below, all are compared, in milliseconds."""
_LARGE_BACKLOG: Final = 10_000
"""While more results than that are to be written, no approximate index is made."""
_REBUILD_SHARE: Final = 0.25
"""One that exists is deleted if they are also more than this share of the rows.

To make it takes a seventh of the time for each vector that it takes to put it into one (`python -m benchmarks.search
--store postgresql`), but of all vectors, and searches by meaning compare all meanwhile.
"""
_SHRINK_TO: Final = 0.9
_SIZE_OF_INDEXES: Final = 2.4
"""A row and its entries in the indexes take so many times the size of the row.

2.37 at 100,000 windows, two vectors of 512 numbers each: `python -m benchmarks.search --store postgresql`.
"""
_SAMPLED_ROWS: Final = 10_000
_LOCK_WAIT_S: Final = 10.0
"""The server frees the lock of a killed writer when it notices the end of its connection."""
_LOCK_POLL_S: Final = 0.1
_KEY_COLUMNS: Final = ("key", "part", "window", "result", "stream", "start_ns", "end_ns", "published_ns", "text")
_READER_SESSION: Final = {"default_transaction_read_only": "on", "statement_timeout": "60s"}
_WRITER_SESSION: Final = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "client_connection_check_interval": "5s",
    "statement_timeout": "0",
}
"""With these the server notices soon that a writer has gone. To index the vectors takes minutes, which is longer than
the limit that some servers have for all users."""


class PostgresIndex:
    """One index, an `IndexStore`. Not thread-safe; open it again for another thread."""

    ranks_in_threads: ClassVar[bool] = False
    """It has one connection."""

    def __init__(self, server: PostgresServer, schema: str, stop: threading.Event | None = None) -> None:
        """Use an index that exists. With `stop`, which ends the program, calls wait while the server is away."""
        self._server = server
        self._schema = schema
        self._stop = stop
        self._queries = PostgresQueries(schema)
        self._windows = sql.Identifier(schema, "windows")
        self._meta_table = sql.Identifier(schema, postgres_schema.META_TABLE)
        self.meta = self._run(self._read_meta)
        """What the index says of itself. The next `write` stores it."""
        self._stored = self.meta

    @classmethod
    def open(cls, url: str, pipeline: str | None = None, password: str | None = None) -> Self:
        """Open an existing index for reading.

        Args:
            url: of libpq, `postgresql://USER@HOST:PORT/DATABASE`.
            pipeline: whose index; None for that of a database with one index.
            password: of the user; None if libpq finds it itself, or needs none.

        Raises:
            PostgresIndexError: there is none, or one that cannot be used.
            PostgresUnavailableError: the server does not answer.
        """

        def prepare(connection: Connection[Any]) -> None:
            postgres_schema.check_server(connection, server.shown)
            postgres_schema.use_extension(connection, server.shown)
            register_vector(connection)

        server = PostgresServer(url, password=password, session=_READER_SESSION, on_connect=prepare)
        try:
            schema = server.run(lambda connection: postgres_schema.found_schema(connection, pipeline, server.shown))
            return cls(server, schema)
        except BaseException:
            server.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._server.close()

    def refresh(self) -> None:
        """See what other processes have written."""
        self.meta = self._run(self._read_meta)

    def rows(self) -> int:
        """Return the number of rows."""
        return int(self._number("SELECT count(*) FROM {windows}"))

    def size_bytes(self) -> int:
        """Return how much the table and its indexes take on the disk, with what deleted rows have left."""
        return int(self._number("SELECT pg_total_relation_size({name}::regclass)"))

    def write(self, rows: Sequence[IndexRow], meta: IndexMeta) -> None:
        """Write rows and what the index says of itself in one transaction. A row replaces an older one of its key."""
        latest = {row.key: row for row in rows}

        def commit(connection: Connection[Any]) -> None:
            self._check_only_writer(connection, meta)
            if meta.dimensions:
                self._add_vector(connection, meta.dimensions)
            if latest:
                self._write_rows(connection, list(latest.values()), has_vector=bool(meta.dimensions))
            self._write_meta(connection, meta)

        self._run(commit)
        self.meta = self._stored = meta

    def maintain(self, *, backlog: int = 0) -> None:
        """Give the vectors an approximate index when they are many, and update what queries are planned by.

        PostgreSQL itself removes deleted rows (autovacuum).

        Args:
            backlog: how many results exist that are not in the index yet. While they are many, they are written without
                an approximate index, which is many times as fast.
        """
        rows = self.rows()
        if not self.meta.trained_rows and rows >= _VECTOR_INDEX_ROWS and backlog <= _LARGE_BACKLOG:
            self._index_vectors(rows)
        elif self.meta.trained_rows and backlog > max(_LARGE_BACKLOG, _REBUILD_SHARE * rows):
            self._stop_indexing_vectors(backlog)

        def update(connection: Connection[Any]) -> None:
            words = sql.Literal(f'"{self._schema}".windows_words')
            connection.execute(sql.SQL("SELECT gin_clean_pending_list({}::regclass)").format(words))
            connection.execute(sql.SQL("ANALYZE {}").format(self._windows))

        self._run(update)

    def expire(self, before_ns: int) -> int:
        """Delete what was published before a time. Return the number of rows deleted."""
        query = sql.SQL("DELETE FROM {} WHERE published_ns < %s").format(self._windows)
        return self._run(lambda connection: connection.execute(query, (before_ns,)).rowcount)

    def shrink(self, max_bytes: int) -> int:
        """Delete the oldest rows if the index is larger than that, down to nine tenths. Return the number deleted.

        What counts are the rows and their entries in the indexes. The files on the server do not become smaller: later
        rows take the room of those that were deleted.
        """
        rows = self.rows()
        size = rows * self._row_bytes(rows) * _SIZE_OF_INDEXES
        if size <= max_bytes or not rows:
            return 0
        excess = min(rows, round(rows * (1 - _SHRINK_TO * max_bytes / size)))
        newest_ns = self._number(
            "SELECT published_ns FROM {windows} ORDER BY published_ns LIMIT 1 OFFSET {offset}", offset=excess - 1
        )
        return self.expire(int(newest_ns) + 1)

    def rank_by_words(
        self, text: str, conditions: RowConditions, most: int, *, needs_all: bool = False
    ) -> list[FoundRow]:
        """Return the rows with words of a text, best first, each with `ts_rank_cd` as `words_score`."""
        return self._run(
            lambda connection: self._queries.rank_by_words(connection, text, conditions, most, needs_all=needs_all)
        )

    def rank_by_meaning(self, vector: NDArray[np.float32], conditions: RowConditions, most: int) -> list[FoundRow]:
        """Return the rows nearest to a vector, float32 [D], nearest first, each with the cosine as `similarity`."""
        return self._run(lambda connection: self._queries.rank_by_meaning(connection, vector, conditions, most))

    def windows_with_words(self, words: str, conditions: RowConditions, most: int) -> list[str]:
        """Return the windows that have one row with all these words."""
        return self._run(lambda connection: self._queries.windows_with_words(connection, words, conditions, most))

    def newest_rows(self, conditions: RowConditions, most_windows: int) -> list[FoundRow]:
        """Return the rows of the newest windows, newest first."""
        return self._run(lambda connection: self._queries.newest_rows(connection, conditions, most_windows))

    def with_details(self, rows: Sequence[FoundRow]) -> list[DetailedRow]:
        """Return rows that were found, as they are: they were read as a whole, since they may have gone meanwhile."""
        return list(rows)

    def _run(self, call: Callable[[Connection[Any]], _Value]) -> _Value:
        return self._server.run(call) if self._stop is None else self._server.run_until(call, self._stop)

    def _number(self, query: str, **values: float) -> float:
        """Return the one number that a query returns; 0 for none."""
        names = {"windows": self._windows, "name": sql.Literal(f'"{self._schema}".windows')}
        composed = sql.SQL(query).format(**names, **values)
        row = self._run(lambda connection: connection.execute(composed).fetchone())
        return 0.0 if row is None or row[0] is None else row[0]

    def _read_meta(self, connection: Connection[Any]) -> IndexMeta:
        query = sql.SQL("SELECT version, document FROM {}").format(self._meta_table)
        found = connection.execute(query).fetchone()
        version = None if found is None else found[0]
        if found is None or version != FORMAT_VERSION:
            raise PostgresIndexError(
                f"{self._server.shown}: expected an index of format {FORMAT_VERSION} in the schema {self._schema}, got "
                f'{version}; DROP SCHEMA "{self._schema}" CASCADE, and `triptych index` writes it again'
            )
        return IndexMeta.from_document(found[1])

    def _check_only_writer(self, connection: Connection[Any], meta: IndexMeta) -> None:
        """Refuse to write on what another writer has written while this one had no connection, and so no lock.

        Its rows and positions may be newer. A commit that the server did not confirm has stored `meta` itself.
        """
        if self._read_meta(connection) not in (self._stored, meta):
            raise UsageError(
                f"{self._server.shown}: another `triptych index` has written the index of pipeline {meta.pipeline!r} "
                "while this one had no connection; run one of them only. Started again, it continues where the index "
                "ends"
            )

    def _write_meta(self, connection: Connection[Any], meta: IndexMeta) -> None:
        query = sql.SQL("UPDATE {} SET version = %s, document = %s::jsonb").format(self._meta_table)
        connection.execute(query, (meta.version, json.dumps(meta.document())))

    def _add_vector(self, connection: Connection[Any], dimensions: int) -> None:
        query = sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS vector halfvec({})").format(self._windows, dimensions)
        found = connection.execute(
            "SELECT FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'vector'",
            (f'"{self._schema}".windows',),
        )
        if found.fetchone() is None:  # the statement would lock readers out, though it changes nothing
            connection.execute(query)

    def _write_rows(self, connection: Connection[Any], rows: Sequence[IndexRow], *, has_vector: bool) -> None:
        """Copy rows to a temporary table, and from there to the index: the fastest way to replace many."""
        columns = [*_KEY_COLUMNS, "details", "spoken", *(["vector"] if has_vector else [])]
        vector = sql.SQL(", NULL::halfvec AS vector" if has_vector else "")
        connection.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE written ON COMMIT DROP AS SELECT {columns}, ''::text AS spoken{vector} "
                "FROM {windows} WITH NO DATA"
            ).format(
                columns=sql.SQL(", ").join(map(sql.Identifier, [*_KEY_COLUMNS, "details"])),
                vector=vector,
                windows=self._windows,
            )
        )
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        with connection.cursor().copy(
            sql.SQL("COPY pg_temp.written ({}) FROM STDIN (FORMAT BINARY)").format(names)
        ) as copy:
            copy.set_types(["text"] * 5 + ["int8"] * 3 + ["text"] * 3 + (["halfvec"] if has_vector else []))
            for row in rows:
                copy.write_row(_document(row)[: len(columns)])
        stored = [column for column in columns if column != "spoken"]
        connection.execute(
            sql.SQL(
                "INSERT INTO {windows} ({stored}, words) SELECT {stored}, to_tsvector({config}::regconfig, spoken) "
                "FROM pg_temp.written ON CONFLICT (key) DO UPDATE SET {updates}"
            ).format(
                windows=self._windows,
                stored=sql.SQL(", ").join(map(sql.Identifier, stored)),
                config=sql.Literal(f'"{self._schema}".words'),
                updates=sql.SQL(", ").join(
                    sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in [*stored[1:], "words"]
                ),
            )
        )

    def _index_vectors(self, rows: int) -> None:
        """Give the vectors an approximate index, if they are not too long for one."""
        dimensions = self.meta.dimensions
        if dimensions <= 0:
            return
        if dimensions <= postgres_schema.VECTOR_DIMENSIONS:
            started_s = time.monotonic()
            self._run(lambda connection: postgres_schema.create_vector_index(connection, self._schema))
            log.info("index_vectors_indexed", rows=rows, took_s=round(time.monotonic() - started_s, 3))
        self.write([], replace(self.meta, trained_rows=rows))

    def _stop_indexing_vectors(self, backlog: int) -> None:
        """Delete the approximate index. It is made again when the backlog has been written."""
        # In this order: a writer that is killed in between finds the index, and uses it.
        self.write([], replace(self.meta, trained_rows=0))
        self._run(lambda connection: postgres_schema.drop_vector_index(connection, self._schema))
        log.info("index_vectors_not_indexed", backlog=backlog)

    def _row_bytes(self, rows: int) -> float:
        """Return the mean size of a row, of a sample of them."""
        percent = min(100.0, 100.0 * _SAMPLED_ROWS / max(rows, 1))
        return self._number(
            "SELECT avg(pg_column_size(w.*))::float8 FROM {windows} AS w TABLESAMPLE SYSTEM ({percent}) REPEATABLE (1)",
            percent=percent,
        )


@contextmanager
def postgres_index_writer(
    url: str, pipeline: str, *, password: str | None = None, stop: threading.Event | None = None
) -> Iterator[PostgresIndex]:
    """Open the index of a pipeline for writing, or create it. Only one process may.

    Once it is open, its calls wait while the server is away, until `stop`.

    Raises:
        UsageError: another process writes it.
        PostgresIndexError: it cannot be used.
        PostgresUnavailableError: the server does not answer at the beginning, or it is away while the program stops.
    """
    stopped = stop or threading.Event()

    def prepare(connection: Connection[Any]) -> None:
        postgres_schema.check_server(connection, server.shown)
        postgres_schema.create_extension(connection)
        postgres_schema.use_extension(connection, server.shown)
        register_vector(connection)
        _lock(connection, pipeline, server.shown, stopped)

    server = PostgresServer(url, password=password, session=_WRITER_SESSION, on_connect=prepare)
    try:
        server.run(lambda connection: postgres_schema.create_schema(connection, pipeline, server.shown))
        yield PostgresIndex(server, postgres_schema.schema_of(pipeline), stopped)
    finally:
        server.close()


def _lock(connection: Connection[Any], pipeline: str, shown: str, stop: threading.Event) -> None:
    """Take the lock of the only writer, which the session holds until its end."""
    number = int.from_bytes(hashlib.sha256(f"triptych index {pipeline}".encode()).digest()[:8], "big", signed=True)
    deadline_s = time.monotonic() + _LOCK_WAIT_S
    while connection.execute("SELECT pg_try_advisory_lock(%s)", (number,)).fetchone() != (True,):
        if time.monotonic() > deadline_s or stop.wait(_LOCK_POLL_S):
            raise UsageError(
                f"{shown}: another `triptych index` writes the index of pipeline {pipeline!r}; stop it, or name "
                "another database"
            )


def _document(row: IndexRow) -> tuple[Any, ...]:
    """Return a row as it is copied."""
    if len(row.text) > MAX_CHARACTERS:
        log.warning("index_words_cut", result=row.result, part=row.part, characters=len(row.text), kept=MAX_CHARACTERS)
    text = row.text.replace("\0", " ")  # PostgreSQL stores no NUL
    return (
        row.key,
        row.part,
        row.window,
        row.result,
        row.stream,
        row.start_ns,
        row.end_ns,
        row.published_ns,
        text,
        row.details_json(),
        words_for_index(text),
        None if row.vector is None else HalfVector(np.asarray(row.vector, np.float32)),
    )
