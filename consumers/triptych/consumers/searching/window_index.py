"""The index of a pipeline's windows: a table of LanceDB in a folder, with the positions up to which it was written.

Rows and positions are written in one commit, so a killed writer continues exactly where the index ends. Readers see
whole commits only, and may read while a writer writes. The commit also names the snapshot of the graph of these rows.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import lancedb
import numpy as np
import pyarrow as pa
import structlog
from lancedb.index import FTS, Bitmap, BTree, IvfSq

from triptych.consumers.searching import chosen_rows, lance_queries
from triptych.consumers.searching.chosen_rows import ChosenRows
from triptych.consumers.searching.index_location import is_server
from triptych.consumers.searching.index_store import (
    FORMAT_VERSION,
    KEEP_VERSIONS,
    DetailedRow,
    FoundRow,
    IndexMeta,
    IndexReadError,
    RowConditions,
    SearchIndexError,
)
from triptych.consumers.searching.lance_queries import NUMBER_COLUMN, NUMBER_SQL, window_number
from triptych.consumers.searching.rows import IndexRow
from triptych.consumers.searching.stream_names import StreamNames
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from lancedb.table import Table
    from numpy.typing import NDArray

    from triptych.consumers.searching.graph.window_graph import WindowGraph

log = structlog.get_logger(__name__)

_TABLE: Final = "windows"
_META: Final = "meta"
_VECTOR: Final = "vector"
_VECTOR_INDEX_ROWS: Final = 10_000
"""From this many rows on, the vectors get an approximate index. Below, all are compared, in milliseconds."""
_RETRAIN_FACTOR: Final = 4
_VECTOR_INDEX: Final = IvfSq(distance_type="cosine", target_partition_size=2_048, sample_rate=100, max_iterations=20)
"""Smaller clusters than LanceDB's of 8,192 vectors: fewer vectors are compared for the same recall. Each needs fewer
examples, so that training takes no longer."""
_SHRINK_TO: Final = 0.9
GRAPH_FOLDER: Final = "graph"
_GRAPH_ROWS: Final = 10_000
"""So many rows at once, when the graph of an index is made that has none."""

_FIELDS: Final = (
    pa.field("key", pa.string(), nullable=False),
    pa.field("part", pa.string(), nullable=False),
    pa.field("window", pa.string()),
    pa.field("result", pa.string()),
    pa.field("stream", pa.string()),
    pa.field("start_ns", pa.int64()),
    pa.field("end_ns", pa.int64()),
    pa.field("published_ns", pa.int64()),
    pa.field("text", pa.string()),
    pa.field("details", pa.string()),
    pa.field(NUMBER_COLUMN, pa.int64()),
)

_INDEXES: Final = {
    "key": BTree(),
    NUMBER_COLUMN: BTree(),
    "part": Bitmap(),
    "stream": Bitmap(),
    "start_ns": BTree(),
    "end_ns": BTree(),
    # With ICU's words and stop words removed, LanceDB 0.40 also loses the words beside them.
    "text": FTS(base_tokenizer="icu", language="English", stem=True, remove_stop_words=False),
}
"""The indexes of columns but the vectors, which get theirs when there are enough."""
_WITHOUT_NUMBER: Final = f"{NUMBER_COLUMN} IS NULL AND part != '{_META}'"

_ROW_COLUMNS: Final = [field.name for field in _FIELDS if field.name not in {"key", NUMBER_COLUMN}]


class IndexFolderError(SearchIndexError):
    """The folder holds no index, or one that cannot be used."""


class IncompleteIndexError(IndexFolderError):
    """The process that created the index was killed before its first commit."""


class WindowIndex:
    """One index in a folder, an `IndexStore`. Not thread-safe but for rankings; open it again for another thread."""

    ranks_in_threads: ClassVar[bool] = True

    def __init__(self, folder: Path, table: Table, meta: IndexMeta, graph: WindowGraph | None = None) -> None:
        self._folder = folder
        self._table = table
        self._graph = graph
        self.meta = meta
        """What the index says of itself. The next `write` stores it."""
        self._opened = self._found()
        self._read_version: int | None = None
        self._chosen = ChosenRows()
        self._streams = StreamNames()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open an existing index.

        Raises:
            IndexFolderError: the folder holds none, or one of another version.
        """
        _check_folder(folder)
        try:
            connection = lancedb.connect(folder) if folder.is_dir() else None
            if connection is None or _TABLE not in connection.list_tables().tables:
                raise IndexFolderError(
                    f"{folder}: expected an index, found none; `triptych index --index {folder}` writes one"
                )
            table = connection.open_table(_TABLE)
            return cls(folder, table, _read_meta(folder, table))
        except (OSError, RuntimeError, ValueError) as error:  # LanceDB has no error classes of its own
            raise IndexFolderError(
                f"{folder}: the index is damaged or cannot be read: {error}; delete the folder, and `triptych index` "
                "writes it again from the results that Kafka still has"
            ) from error

    @classmethod
    def create(cls, folder: Path, pipeline: str) -> Self:
        """Create an empty index. An unfinished one that a killed process left is replaced."""
        folder.mkdir(parents=True, exist_ok=True)
        table = lancedb.connect(folder).create_table(_TABLE, schema=pa.schema(_FIELDS), mode="overwrite")
        for column, config in _INDEXES.items():
            table.create_index(column, config=config)
        index = cls(folder, table, IndexMeta(pipeline))
        index.write([], index.meta)
        return index

    @property
    def table(self) -> Table:
        """The table, for queries."""
        return self._table

    @property
    def graph_folder(self) -> Path:
        """The folder of the graph's snapshots. `meta.graph` names the one of these rows."""
        return self._folder / GRAPH_FOLDER

    def close(self) -> None:
        """Nothing is open between calls."""

    def refresh(self) -> None:
        """See what other processes have written.

        Raises:
            IndexFolderError: the index was deleted, or written again in another format.
        """
        with self.errors_told():
            found = self._found()
            if found == self._opened:
                self._table.checkout_latest()
            else:
                # The numbers of versions may begin again: LanceDB would go on with the files of the index before.
                self._table = lancedb.connect(self._folder).open_table(_TABLE)
                self._opened, self._read_version = found, None
            if self._table.version != self._read_version:
                self.meta = _read_meta(self._folder, self._table)
                self._read_version = self._table.version

    def _found(self) -> tuple[int, int]:
        """Return what changes if the index is replaced. The inode of a deleted folder may be given to the next one."""
        found = (self._folder / f"{_TABLE}.lance").stat()
        return found.st_ino, found.st_ctime_ns

    def rows(self) -> int:
        """Return the number of rows."""
        return int(self._table.count_rows()) - 1

    def size_bytes(self, *, with_old_snapshots: bool = True) -> int:
        """Return how much the folder takes on the disk, or would without snapshots of the graph that are to go."""
        sizes = {}
        for path in self._folder.rglob("*"):
            if not with_old_snapshots and self._is_of_old_snapshot(path):
                continue
            try:
                found = path.stat()
            except FileNotFoundError:  # Oxigraph and LanceDB delete old files meanwhile
                continue
            if path.is_file():
                sizes[found.st_dev, found.st_ino] = found.st_size  # snapshots of the graph share files
        return sum(sizes.values())

    def _is_of_old_snapshot(self, path: Path) -> bool:
        folder, _, rest = str(path.relative_to(self._folder)).partition("/")
        name = rest.partition("/")[0]
        return folder == GRAPH_FOLDER and name.isdecimal() and name != self.meta.graph

    def write(self, rows: Sequence[IndexRow], meta: IndexMeta) -> None:
        """Write rows and what the index says of itself in one commit. A row replaces an older one of the same key.

        Raises:
            IndexFolderError: the folder cannot be written, because the disk is full for example. Nothing was committed.
        """
        if meta.dimensions and _VECTOR not in self._table.schema.names:
            with self.errors_told():
                self._table.add_columns(pa.field(_VECTOR, pa.list_(pa.float16(), meta.dimensions)))
        latest = {row.key: row for row in rows}
        if latest:
            meta = replace(meta, graph="" if self._graph is None else self._graph_with(list(latest.values())))
        self._commit(latest.values(), meta)

    def add_graph(self, graph: WindowGraph) -> None:
        """Keep this graph up to date from now on. If the index has none, it is made of the rows, which takes long.

        An index without rows gets a graph without facts: readers see an empty index, not one without a graph.
        """
        from triptych.consumers.searching.graph.window_graph import has_snapshot  # noqa: PLC0415 - an extra

        self._graph = graph
        rows = self.rows()
        if has_snapshot(self.graph_folder, self.meta.graph):
            return
        if rows:
            log.info("index_graph_made", rows=rows)
        found = self._table.search().where(f"part != '{_META}'").select(_ROW_COLUMNS)
        for batch in found.to_batches(_GRAPH_ROWS):
            graph.write([_row(document) for document in batch.to_pylist()])
        self._commit([], replace(self.meta, graph=graph.snapshot()))

    def _graph_with(self, rows: Sequence[IndexRow]) -> str:
        """Write rows to the graph and return the name of the snapshot that has them."""
        assert self._graph is not None  # noqa: S101 - the caller has looked
        self._graph.write(rows)
        return self._graph.snapshot()

    def _commit(self, rows: Iterable[IndexRow], meta: IndexMeta, delete_where: str | None = None) -> None:
        # Releases before the graph know no such field. They write this row without it, and the graph is made again.
        said = json.dumps(meta.document())
        about = {"key": _META, "part": _META, "text": "", "details": said, "result": meta.graph}
        documents = [about, *(_document(row) for row in rows)]
        batch = pa.Table.from_pylist(documents, schema=self._table.schema)
        merge = self._table.merge_insert("key").when_matched_update_all().when_not_matched_insert_all()
        if delete_where is not None:
            merge = merge.when_not_matched_by_source_delete(delete_where)
        with self.errors_told():
            merge.execute(batch, on_bad_vectors="null")  # "bad" includes those that are null, as of most parts
        self.meta = meta

    def maintain(self, *, backlog: int = 0) -> None:  # noqa: ARG002 - rows are written at the same speed either way
        """Add new rows to the indexes, merge small files, and delete old versions. Blocks, for minutes if it trains."""
        rows = self.rows()
        is_to_train = bool(self.meta.dimensions) and rows >= max(
            _VECTOR_INDEX_ROWS, _RETRAIN_FACTOR * self.meta.trained_rows
        )
        if is_to_train:
            with self.errors_told():
                self._table.create_index(_VECTOR, config=_VECTOR_INDEX, replace=True)
        self._upgrade()
        try:
            self._table.optimize(cleanup_older_than=KEEP_VERSIONS)
        except RuntimeError as error:  # LanceDB has no error classes of its own
            # Rows and positions are committed, and unindexed rows are found too: only slower.
            log.warning("index_not_optimized", error=str(error), rows=rows)
        if is_to_train:
            # Only now: LanceDB 0.40 cannot optimize, if the only new rows have no vectors, as this one, and a cluster
            # of the new index is empty.
            self.write([], replace(self.meta, trained_rows=rows))
        if self._graph is not None:
            self._graph.delete_snapshots(self.meta.graph, KEEP_VERSIONS, time.time())

    def _upgrade(self) -> None:
        """Add the numbers of windows and the indexes that a table or rows written by an earlier release lack."""
        with self.errors_told():
            if NUMBER_COLUMN not in self._table.schema.names:
                self._table.add_columns({NUMBER_COLUMN: NUMBER_SQL})
            elif self._table.count_rows(_WITHOUT_NUMBER):
                self._table.update(where=_WITHOUT_NUMBER, values_sql={NUMBER_COLUMN: NUMBER_SQL})
            existing = {column for one in self._table.list_indices() for column in one.columns}
            for column in _INDEXES.keys() - existing:
                self._table.create_index(column, config=_INDEXES[column])

    def expire(self, before_ns: int) -> int:
        """Delete what was published before a time. Return the number of rows deleted."""
        where = f"part != '{_META}' AND published_ns < {before_ns}"
        with self.errors_told():
            keys = self._table.search().where(where).select(["key"]).to_arrow()["key"].to_pylist()
        if not keys:
            return 0
        if self._graph is not None:
            self._graph.delete(keys)
        graph = "" if self._graph is None else self._graph.snapshot()
        self._commit([], replace(self.meta, graph=graph), delete_where=where)
        return len(keys)

    def shrink(self, max_bytes: int) -> int:
        """Delete the oldest rows if the index is larger than that, down to nine tenths. Return the number deleted."""
        # Old snapshots go within minutes whatever is deleted here, which would not make them go sooner.
        size, rows = self.size_bytes(with_old_snapshots=False), self.rows()
        if size <= max_bytes or not rows:
            return 0
        excess = min(rows, round(rows * (1 - _SHRINK_TO * max_bytes / size)))
        times = self._table.search().where(f"part != '{_META}'").select(["published_ns"]).to_arrow()["published_ns"]
        before_ns = int(np.partition(times.to_numpy(), excess - 1)[excess - 1]) + 1
        return self.expire(before_ns)

    def rank_by_words(
        self, text: str, conditions: RowConditions, most: int, *, needs_all: bool = False
    ) -> list[FoundRow]:
        """Return the rows with words of a text, best first, each with BM25 as `words_score`."""
        with self.errors_told(IndexReadError):
            conditions = self._streams.named(self._table, conditions)
            if conditions.windows is not None:
                found = chosen_rows.rank_by_words(
                    self._table, self._chosen, conditions, text, most, needs_all=needs_all
                )
                if found is not None:
                    return found
            return lance_queries.rank_by_words(self._table, text, conditions, most, needs_all=needs_all)

    def rank_by_meaning(self, vector: NDArray[np.float32], conditions: RowConditions, most: int) -> list[FoundRow]:
        """Return the rows nearest to a vector, float32 [D], nearest first, each with the cosine as `similarity`."""
        with self.errors_told(IndexReadError):
            conditions = self._streams.named(self._table, conditions)
            return lance_queries.rank_by_meaning(self._table, vector, conditions, most)

    def windows_with_words(self, words: str, conditions: RowConditions, most: int) -> list[str]:
        """Return the windows that have one row with all these words."""
        with self.errors_told(IndexReadError):
            named = self._streams.named(self._table, conditions)
            return lance_queries.windows_with_words(self._table, words, named, most)

    def newest_rows(self, conditions: RowConditions, most_windows: int) -> list[FoundRow]:
        """Return the rows of the newest windows, newest first."""
        with self.errors_told(IndexReadError):
            named = self._streams.named(self._table, conditions)
            return chosen_rows.newest_rows(self._table, named, most_windows)

    def with_details(self, rows: Sequence[FoundRow]) -> list[DetailedRow]:
        """Return rows that were found since the last `refresh`, in their order, with what is shown of them."""
        with self.errors_told(IndexReadError):
            return lance_queries.with_details(self._table, rows)

    @contextmanager
    def errors_told(self, kind: type[SearchIndexError] = IndexFolderError) -> Iterator[None]:
        """Turn the errors of LanceDB, which has no classes of its own, into one that names the folder.

        With `IndexReadError`, for reads of `table` that are repeated after `refresh`.
        """
        try:
            yield
        except (OSError, RuntimeError) as error:
            raise kind(f"{self._folder}: the index cannot be used: {error}") from error


@contextmanager
def index_writer(folder: Path, pipeline: str) -> Iterator[WindowIndex]:
    """Open the index of a pipeline for writing, or create it. Only one process may.

    Raises:
        UsageError: another process writes it, or it belongs to another pipeline.
        IndexFolderError: it cannot be used.
    """
    _check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = (folder / "writer.lock").open("w")
    except OSError as error:
        raise IndexFolderError(
            f"{folder}: expected a folder for the index that can be written, got: {error.strerror}; name another one "
            "with --index"
        ) from error
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{folder}: another `triptych index` writes this index; stop it, or name another folder"
            ) from None
        index = _open_or_create(folder, pipeline)
        if find_spec("pyoxigraph") is not None:  # without the extra `ask`, an index has no graph
            from triptych.consumers.searching.graph.window_graph import WindowGraph  # noqa: PLC0415 - an extra

            with closing(WindowGraph.open(index.graph_folder, index.meta.graph)) as graph:
                index.add_graph(graph)
                yield index
        else:
            yield index


def _check_folder(folder: Path) -> None:
    if is_server(folder):
        raise IndexFolderError(
            "expected the folder of an index, got the URL of a server: questions, reports, the graph and "
            "recommendations need an index in a folder; only index, search and page take a URL. "
            "`triptych index --index FOLDER` writes an index in a folder beside that on the server"
        )


def _open_or_create(folder: Path, pipeline: str) -> WindowIndex:
    try:
        is_new = not (folder / f"{_TABLE}.lance").is_dir()
        index = WindowIndex.create(folder, pipeline) if is_new else WindowIndex.open(folder)
    except IncompleteIndexError:
        index = WindowIndex.create(folder, pipeline)
    if index.meta.pipeline != pipeline:
        raise UsageError(
            f"{folder}: expected the index of pipeline {pipeline!r}, got that of {index.meta.pipeline!r}; "
            "name another folder"
        )
    return index


def _read_meta(folder: Path, table: Table) -> IndexMeta:
    found = table.search().where(f"key = '{_META}'").select(["details", "result"]).limit(1).to_list()
    if not found:
        raise IncompleteIndexError(f"{folder}: the index is empty: `triptych index` has not written to it yet")
    document = json.loads(found[0]["details"])
    if document.get("version") != FORMAT_VERSION:
        raise IndexFolderError(
            f"{folder}: expected an index of format {FORMAT_VERSION}, got {document.get('version')}; "
            "delete the folder, and `triptych index` writes it again"
        )
    meta = IndexMeta.from_document(document)
    return replace(meta, graph=found[0]["result"] or meta.graph)


def _document(row: IndexRow) -> dict[str, Any]:
    return {
        "key": row.key,
        "part": row.part,
        "window": row.window,
        "result": row.result,
        "stream": row.stream,
        "start_ns": row.start_ns,
        "end_ns": row.end_ns,
        "published_ns": row.published_ns,
        "text": row.text,
        "details": row.details_json(),
        NUMBER_COLUMN: window_number(row.window),
        _VECTOR: None if row.vector is None else np.asarray(row.vector, np.float16),
    }


def _row(document: Mapping[str, Any]) -> IndexRow:
    """Return a row that was read, without its vector."""
    return IndexRow(**{**document, "details": json.loads(document["details"] or "null")})
