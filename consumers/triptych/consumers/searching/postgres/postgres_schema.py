"""The tables of an index in PostgreSQL: one schema for each pipeline."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

import psycopg
import structlog
from psycopg import Connection, sql

from triptych.consumers.searching.index_store import FORMAT_VERSION, IndexMeta
from triptych.consumers.searching.postgres.postgres_server import PostgresIndexError

log = structlog.get_logger(__name__)

META_TABLE: Final = "triptych_index"
"""Has one row. A schema with this table is an index."""
_PREFIX: Final = "triptych_"
_MAX_IDENTIFIER_BYTES: Final = 63
_LEAST_SERVER: Final = 140000
_LEAST_PGVECTOR: Final = (0, 8)
"""0.7 has half-precision vectors. 0.8 also continues a search of which the conditions leave too little."""
_NOT_CREATED: Final = (
    *(psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile),
    *(psycopg.errors.UniqueViolation, psycopg.errors.DuplicateObject),
)
"""This user may not, the server has not its files, or another writer creates it at the same moment."""
VECTOR_DIMENSIONS: Final = 4_000
"""The most that pgvector's index of half-precision vectors takes. Longer ones are compared one by one."""
_VECTOR_INDEX: Final = "windows_vector"
_VECTOR_INDEX_OPTIONS: Final = "m = 24, ef_construction = 100"
"""With 600,000 vectors and 200 candidates, .997 of the ten nearest are found instead of .944 with pgvector's defaults
(16 and 64), as fast. Making the index takes 339 s instead of 199."""
_BUILD_MEMORY: Final = "maintenance_work_mem"
"""Is in the notice of pgvector that an index no longer fits into the memory for it."""

_CREATE: Final = """
CREATE SCHEMA {schema};
CREATE TABLE {meta} (
    one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    pipeline text NOT NULL,
    version integer NOT NULL,
    document jsonb NOT NULL
);
CREATE TABLE {windows} (
    key text COLLATE "C" PRIMARY KEY,
    part text COLLATE "C" NOT NULL,
    "window" text COLLATE "C" NOT NULL,
    result text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    start_ns bigint NOT NULL,
    end_ns bigint NOT NULL,
    published_ns bigint NOT NULL,
    text text NOT NULL,
    details text NOT NULL,
    words tsvector NOT NULL
);
CREATE INDEX windows_window ON {windows} ("window");
CREATE INDEX windows_stream ON {windows} (stream, start_ns);
CREATE INDEX windows_start ON {windows} (start_ns);
CREATE INDEX windows_published ON {windows} (published_ns);
CREATE INDEX windows_words ON {windows} USING gin (words);
CREATE TEXT SEARCH DICTIONARY {stems} (TEMPLATE = snowball, LANGUAGE = english);
CREATE TEXT SEARCH CONFIGURATION {config} (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION {config} ALTER MAPPING REPLACE simple WITH {stems};
"""
"""The dictionary is that of `english` without its list of stop words: who asks for `the who` finds it."""


def schema_of(pipeline: str) -> str:
    """Return the name of the schema of a pipeline."""
    name = f"{_PREFIX}{pipeline}"
    if len(name.encode()) <= _MAX_IDENTIFIER_BYTES:
        return name
    digest = hashlib.sha256(pipeline.encode()).hexdigest()[:16]
    begin = name.encode()[: _MAX_IDENTIFIER_BYTES - len(digest) - 1].decode(errors="ignore")  # no half of a letter
    return f"{begin}_{digest}"


def create_schema(connection: Connection[Any], pipeline: str, shown: str) -> None:
    """Create an empty index, if the pipeline has none.

    Raises:
        PostgresIndexError: this user may not create a schema.
    """
    schema = schema_of(pipeline)
    if connection.execute("SELECT to_regclass(%s)", (_qualified(schema, META_TABLE),)).fetchone() != (None,):
        return
    names = {"windows": "windows", "meta": META_TABLE, "stems": "stems", "config": "words"}
    parts = {name: sql.Identifier(schema, thing) for name, thing in names.items()}
    try:
        connection.execute(sql.SQL(_CREATE).format(schema=sql.Identifier(schema), **parts))
    except psycopg.errors.InsufficientPrivilege as error:
        database, user = connection.info.dbname, connection.info.user
        raise PostgresIndexError(
            f"{shown}: expected a user who may create the schema {schema}, got {user}: {error}; let the owner of the "
            f'database run: GRANT CREATE, TEMPORARY ON DATABASE "{database}" TO "{user}"'
        ) from error
    meta = IndexMeta(pipeline)
    connection.execute(
        sql.SQL("INSERT INTO {} (pipeline, version, document) VALUES (%s, %s, %s::jsonb)").format(parts["meta"]),
        (pipeline, FORMAT_VERSION, json.dumps(meta.document())),
    )


def found_schema(connection: Connection[Any], pipeline: str | None, shown: str) -> str:
    """Return the schema of the index of a pipeline; with None, that of the only index of the database.

    Only tables in schemas that are named like one of an index are read.

    Raises:
        PostgresIndexError: there is none, or this user may not read it.
    """
    found = connection.execute(
        "SELECT n.nspname, has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = %s AND c.relkind = 'r' "
        "AND starts_with(n.nspname::text, %s) ORDER BY 1",
        (META_TABLE, _PREFIX),
    ).fetchall()
    wanted = None if pipeline is None else schema_of(pipeline)
    chosen = [(schema, is_readable) for schema, is_readable in found if wanted in {None, schema}]
    if len(chosen) == 1:
        ((schema, is_readable),) = chosen
        if not is_readable:
            user = connection.info.user
            raise PostgresIndexError(
                f"{shown}: expected an index that the user {user} may read, got the schema {schema} without that "
                f'right; let its owner run: GRANT USAGE ON SCHEMA "{schema}" TO "{user}"; '
                f'GRANT SELECT ON ALL TABLES IN SCHEMA "{schema}" TO "{user}"'
            )
        return str(schema)
    query = sql.SQL("SELECT pipeline FROM {}")
    readable = [sql.Identifier(schema, META_TABLE) for schema, is_readable in found if is_readable]
    names = [str(name) for table in readable for (name,) in connection.execute(query.format(table))]
    expected = "one index" if pipeline is None else f"the index of pipeline {pipeline!r}"
    raise PostgresIndexError(
        f"{shown}: expected {expected}, found those of: {', '.join(names) or 'none'}; "
        f"`triptych index --index {shown} --pipeline NAME` writes one, --pipeline NAME reads it"
    )


def check_server(connection: Connection[Any], shown: str) -> None:
    """Refuse a server whose version or encoding does not fit."""
    if connection.info.server_version < _LEAST_SERVER:
        raise PostgresIndexError(
            f"{shown}: expected PostgreSQL {_LEAST_SERVER // 10_000} or newer, got "
            f"{connection.info.server_version // 10_000}"
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise PostgresIndexError(
            f"{shown}: expected a database with the encoding UTF8, got {encoding}; create one: "
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )


def use_extension(connection: Connection[Any], shown: str) -> None:
    """Make the types and operators of pgvector known to a connection, wherever the extension was created.

    Raises:
        PostgresIndexError: the database has not the extension, or an old version.
    """
    found = connection.execute(
        "SELECT n.nspname, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
        "WHERE e.extname = 'vector'"
    ).fetchone()
    expected = ".".join(map(str, _LEAST_PGVECTOR))
    if found is None:
        raise PostgresIndexError(
            f"{shown}: expected pgvector {expected} or newer in the database, found none; install it on the server, "
            "and let a superuser run: CREATE EXTENSION vector"
        )
    schema, version = found
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < _LEAST_PGVECTOR:
        raise PostgresIndexError(
            f"{shown}: expected pgvector {expected} or newer in the database, got {version}; install it on the server, "
            "and let a superuser run: ALTER EXTENSION vector UPDATE"
        )
    connection.execute("SELECT set_config('search_path', %s, false)", (f'pg_catalog, "{schema}"',))


def create_extension(connection: Connection[Any]) -> None:
    """Create the extension of vectors, if this user may. If not, `use_extension` says what to do."""
    try:
        with connection.transaction():
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except _NOT_CREATED:
        return


def create_vector_index(connection: Connection[Any], schema: str) -> None:
    """Create the approximate index of the vectors, which takes minutes and more. Tell if the memory is too small."""

    def tell(notice: psycopg.errors.Diagnostic) -> None:
        if _BUILD_MEMORY in (notice.message_primary or ""):
            log.warning("index_vectors_memory", reason=notice.message_primary, hint=notice.message_hint)

    connection.add_notice_handler(tell)
    try:
        connection.execute(
            sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING hnsw (vector halfvec_cosine_ops) WITH ({})").format(
                sql.Identifier(_VECTOR_INDEX), sql.Identifier(schema, "windows"), sql.SQL(_VECTOR_INDEX_OPTIONS)
            )
        )
    finally:
        connection.remove_notice_handler(tell)


def drop_vector_index(connection: Connection[Any], schema: str) -> None:
    """Delete the approximate index of the vectors, if there is one."""
    connection.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(schema, _VECTOR_INDEX)))


def _qualified(schema: str, name: str) -> str:
    return f'"{schema}"."{name}"'
