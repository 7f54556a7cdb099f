"""How fast an index is written and searched, and what it finds: `python -m benchmarks.search [--windows N]`.

Generated windows of 40 streams. Each has pictures, with a vector and a label, and cues, with a vector and ten words
that are drawn from 20,000 by Zipf's law. The vectors lie in 3,000 clusters around a common mean, as vectors of encoders
do. They are written and searched through the program's own classes. The recall is that of the approximate index of the
vectors: how many of the ten nearest windows are among the first ten, by an exact comparison with all.

`--keep DIR` writes the index into a folder and leaves it there. If the folder has one of as many windows, it is only
searched: its figures of writing are those of the run that wrote it. The index has no graph, which no search uses.

`--store postgresql` uses an index on a server of PostgreSQL with pgvector instead of one in a folder. The benchmark
starts the server, with the settings of `SERVER_SETTINGS`, or `--url` names a database of a server that runs. Its schema
of the pipeline `benchmark-search` is deleted before and after.

The recall is that of a search for 100 moments, which asks for 600 rows. "Of a search for ten" is that of the 100 rows
that such a search asks for, for which the store looks at fewer candidates.

The contents are generated, so this says nothing about how well an encoder finds what is meant: see docs/spaces.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from tools.devservers import DevPostgres
from triptych.consumers.searching.index_store import IndexStore, RowConditions
from triptych.consumers.searching.postgres.postgres_index import PostgresIndex, postgres_index_writer
from triptych.consumers.searching.postgres.postgres_schema import schema_of
from triptych.consumers.searching.rows import WINDOW_PARTS, IndexRow
from triptych.consumers.searching.search import MomentQuery, MomentSearch
from triptych.consumers.searching.window_index import KEEP_VERSIONS, WindowIndex

Vectors = NDArray[np.float32]

DIMENSIONS: Final = 512
STREAMS: Final = 40
CLUSTERS: Final = 3_000
VOCABULARY: Final = 20_000
WORDS: Final = 10
BATCH: Final = 2_000
WINDOW_NS: Final = 2_000_000_000
START_NS: Final = 1_767_225_600_000_000_000
SPACE: Final = "generated-1"
QUERIES: Final = 100
NEAREST: Final = 10
SEED: Final = 20_261_129
OPTIMIZE_EVERY: Final = 50
"""Batches."""
COMMON_WORDS: Final = 20
RARE_WORDS: Final = 3_000
PARTS: Final = tuple(part for part in WINDOW_PARTS if part != "quality")
ROWS_OF_TEN: Final = 100
ANY_BACKLOG: Final = 10**9
"""More results than any share of the rows of an index."""
WRITTEN: Final = "written.json"
PIPELINE: Final = "benchmark-search"
SERVER_SETTINGS: Final = {
    "maintenance_work_mem": "4GB",
    "shared_buffers": "1GB",
    "max_parallel_maintenance_workers": "1",
}
"""Of the server that the benchmark starts."""


class GeneratedContent:
    """Draws windows. Equal numbers give equal windows."""

    def __init__(self) -> None:
        rng = np.random.default_rng(SEED)
        self._mean = _unit(rng.normal(size=(1, DIMENSIONS)))
        self._clusters = _unit(rng.normal(size=(CLUSTERS, DIMENSIONS)))
        weights = 1 / np.arange(1, VOCABULARY + 1)
        self._weights = weights / weights.sum()

    def vectors(self, count: int, rng: np.random.Generator) -> Vectors:
        """Return vectors of length 1, float32 [N, D]."""
        own = rng.normal(size=(count, DIMENSIONS)) / np.sqrt(DIMENSIONS)
        return _unit(0.6 * self._mean + 0.6 * self._clusters[rng.integers(0, CLUSTERS, count)] + 0.6 * own)

    def batch(self, first: int, count: int) -> tuple[list[IndexRow], Vectors]:
        """Return the rows of windows, and the vectors of their pictures and cues, float32 [2N, D]."""
        rng = np.random.default_rng((SEED, first))
        vectors = self.vectors(2 * count, rng)
        drawn = rng.choice(VOCABULARY, (count, WORDS), p=self._weights)
        rows = []
        for step in range(count):
            stream, number = f"camera-{(first + step) % STREAMS}", (first + step) // STREAMS
            start_ns = START_NS + number * WINDOW_NS
            window = f"{stream}/{start_ns}-{start_ns + WINDOW_NS}"
            place = (f"{window}/0", stream, start_ns, start_ns + WINDOW_NS, start_ns)
            words = " ".join(f"w{word}" for word in drawn[step])
            label = f"label{drawn[step][0] % 1000}"
            rows.append(
                IndexRow(window, "video", *place, label, tuple(vectors[2 * step].tolist()), {"labels": [label]})
            )
            rows.append(IndexRow(window, "subtitles", *place, words, tuple(vectors[2 * step + 1].tolist()), {}))
        return rows, vectors


class VectorOfQuery:
    """Stands in for a text encoder: the text `NUMBER` has the vector of that number."""

    name = SPACE

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors, float32 [N, D]."""
        return np.stack([self._vectors[int(text.split()[0].removeprefix("q"))] for text in texts])


@dataclass(frozen=True, slots=True)
class WrittenIndex:
    """What a run wrote.

    Attributes:
        windows: how many.
        figures: what writing took.
        nearest: the nearest windows of each query, by an exact comparison.
    """

    windows: int
    figures: dict[str, float]
    nearest: list[list[str]]


def main(args: Sequence[str]) -> int:
    """Write an index, search it, print a table. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=1_000_000)
    parser.add_argument("--store", choices=("lancedb", "postgresql"), default="lancedb")
    parser.add_argument("--url", help="database of PostgreSQL; without it, a server is started")
    parser.add_argument("--keep", type=Path, help="folder for the index; one that is there is searched")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(args)
    if options.store == "postgresql" and options.keep is not None:
        parser.error("--keep is for an index in a folder")
    if options.store == "lancedb" and options.url is not None:
        parser.error("--url needs --store postgresql")
    content = GeneratedContent()
    queries = content.vectors(QUERIES, np.random.default_rng((SEED, -1 % 2**32)))
    if options.store == "postgresql":
        figures = _measure_postgres(options.url, content, queries, options.windows)
    else:
        figures = _measure_folder(options.keep, content, queries, options.windows)
    for name, value in figures.items():
        sys.stdout.write(f"{name:<56}{value:>12,.3f}\n")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return 0


def _measure_folder(keep: Path | None, content: GeneratedContent, queries: Vectors, windows: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if keep is None else keep
        written = _read_written(folder, windows)
        if written is None:
            index = WindowIndex.create(folder / "index", "triptych")
            optimize = lambda: index.table.optimize(cleanup_older_than=KEEP_VERSIONS)  # noqa: E731
            written = _write(index, content, queries, windows, optimize)
            (folder / WRITTEN).write_text(json.dumps(asdict(written)), encoding="utf-8")
        return written.figures | _search(WindowIndex.open(folder / "index"), queries, written, windows)


def _measure_postgres(url: str | None, content: GeneratedContent, queries: Vectors, windows: int) -> dict[str, float]:
    with ExitStack() as opened:
        database, password = opened.enter_context(_database(url))
        _drop(database, password)
        opened.callback(_drop, database, password)
        with postgres_index_writer(database, PIPELINE, password=password) as writer:
            written = _write(writer, content, queries, windows, lambda: None)
        index = PostgresIndex.open(database, PIPELINE, password)
        opened.callback(index.close)
        found = _sizes(database, password, windows) | _search(index, queries, written, windows)
        with postgres_index_writer(database, PIPELINE, password=password) as writer:
            again = _write_again(writer, content, min(BATCH, windows))
            writer.maintain(backlog=ANY_BACKLOG)
            return written.figures | found | again | _compare_all(writer, queries)


def _compare_all(index: IndexStore, queries: Vectors) -> dict[str, float]:
    """Search while a large backlog is written, and the vectors have no approximate index."""
    find = lambda number: index.rank_by_meaning(queries[number], RowConditions(PARTS), ROWS_OF_TEN)  # noqa: E731
    times_ms = sorted(_timed_ms(find, number) for number in range(NEAREST))
    return {
        "meaning, without an index of the vectors, p50 ms": times_ms[len(times_ms) // 2],
        "meaning, without an index of the vectors, slowest ms": times_ms[-1],
    }


def _write_again(index: IndexStore, content: GeneratedContent, windows: int) -> dict[str, float]:
    """Write windows once more, as revisions are: now each vector is put into the approximate index at once."""
    rows, _ = content.batch(0, windows)
    began_s = time.perf_counter()
    index.write(rows, index.meta)
    return {"written with an index of the vectors, windows a second": windows / (time.perf_counter() - began_s)}


@contextmanager
def _database(url: str | None) -> Iterator[tuple[str, str | None]]:
    """Return the URL of a database and the password; start a server if no URL is given."""
    if url is not None:
        yield url, None
        return
    with DevPostgres() as server:
        for name, value in SERVER_SETTINGS.items():
            server.ask(f"ALTER SYSTEM SET {name} = '{value}'")
        server.stop()
        server.start()
        yield server.url(), server.password


def _drop(url: str, password: str | None) -> None:
    with psycopg.connect(url, password=password or os.environ.get("PGPASSWORD"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema_of(PIPELINE))))


def _sizes(url: str, password: str | None, windows: int) -> dict[str, float]:
    """Return the size of the table, of its indexes and of its rows."""
    table = f'"{schema_of(PIPELINE)}".windows'
    query: Final = (
        "SELECT pg_table_size(%(table)s::regclass), pg_indexes_size(%(table)s::regclass), "
        "coalesce(pg_relation_size(to_regclass(%(vector)s)), 0), "
        "(SELECT sum(pg_column_size(w.*))::float8 FROM {windows} AS w)"
    )
    composed = sql.SQL(query).format(windows=sql.Identifier(schema_of(PIPELINE), "windows"))
    with psycopg.connect(url, password=password or os.environ.get("PGPASSWORD")) as connection:
        names = {"table": table, "vector": f"{table}_vector"}
        found = connection.execute(composed, names).fetchone()
    if found is None:
        raise RuntimeError("PostgreSQL returned no sizes")
    heap, indexes, graph, rows = found
    return {
        "table, bytes a window": heap / windows,
        "indexes, bytes a window": indexes / windows,
        "index of the vectors, bytes a window": graph / windows,
        "rows, bytes a window": rows / windows,
        "table and indexes, times the rows": (heap + indexes) / rows,
    }


def _read_written(folder: Path, windows: int) -> WrittenIndex | None:
    """Return what an earlier run wrote into a folder; None if it is empty or does not exist.

    Raises:
        SystemExit: it holds something else, an index that is not complete, or one of another number of windows.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    about = folder / WRITTEN
    written = WrittenIndex(**json.loads(about.read_text(encoding="utf-8"))) if about.is_file() else None
    if written is None or written.windows != windows:
        found = "no complete index" if written is None else f"one of {written.windows:,} windows"
        raise SystemExit(f"{folder}: expected an index of {windows:,} windows, found {found}; name another folder")
    return written


def _write(
    index: WindowIndex | PostgresIndex,
    content: GeneratedContent,
    queries: Vectors,
    windows: int,
    optimize: Callable[[], object],
) -> WrittenIndex:
    """Write the index, and find the nearest windows of each query by an exact comparison."""
    best: list[list[tuple[float, str]]] = [[] for _ in queries]
    wall_s = cpu_s = 0.0
    meta = replace(index.meta, space=SPACE, dimensions=DIMENSIONS)
    for first in range(0, windows, BATCH):
        rows, vectors = content.batch(first, min(BATCH, windows - first))
        _keep_nearest(best, queries @ vectors.astype(np.float16).astype(np.float32).T, rows)
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        index.write(rows, meta)
        if (first // BATCH + 1) % OPTIMIZE_EVERY == 0:
            optimize()
            sys.stderr.write(f"\r{first + BATCH:,} windows written")
        wall_s, cpu_s = wall_s + time.perf_counter() - began_s, cpu_s + time.process_time() - began_cpu_s
    sys.stderr.write("\n")
    began_s = time.perf_counter()
    index.maintain()
    figures = {
        "written, windows a second": windows / wall_s,
        "written, CPU ms a window": 1e3 * cpu_s / windows,
        "last maintenance, seconds": time.perf_counter() - began_s,
        "size, bytes a window": index.size_bytes() / windows,
        "peak memory of writing, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    return WrittenIndex(windows, figures, [[window for _, window in nearest] for nearest in best])


def _search(index: IndexStore, queries: Vectors, written: WrittenIndex, windows: int) -> dict[str, float]:
    exact = [set(nearest) for nearest in written.nearest]
    by_words, by_both = MomentSearch(index), MomentSearch(index, VectorOfQuery(queries))
    rng = np.random.default_rng(SEED)
    words = [" ".join(f"w{word}" for word in rng.integers(COMMON_WORDS, RARE_WORDS, 2)) for _ in queries]
    half_ns = START_NS + windows // STREAMS // 2 * WINDOW_NS
    kinds: dict[str, Callable[[int], object]] = {
        "two words": lambda number: by_words.find(words[number]),
        "meaning": lambda number: by_both.find(f"q{number}"),
        "two words and meaning": lambda number: by_both.find(f"q{number} {words[number]}"),
        "the same, of one stream": lambda number: by_both.find(
            MomentQuery(f"q{number} {words[number]}", streams=(f"camera-{number % STREAMS}",))
        ),
        "the same, of the second half": lambda number: by_both.find(
            MomentQuery(f"q{number} {words[number]}", since_ns=half_ns)
        ),
        "the same, of ten streams by a pattern": lambda number: by_both.find(
            MomentQuery(f"q{number} {words[number]}", stream_patterns=(f"camera-{1 + number % 3}?",))
        ),
        "meaning, and a word that was said": lambda number: by_both.find(
            MomentQuery(f"q{number}", said=words[number].split()[0])
        ),
        "two words and meaning, and a word that was said": lambda number: by_both.find(
            MomentQuery(f"q{number} {words[(number + 1) % QUERIES]}", said=words[number].split()[0])
        ),
        "meaning, and a word said in a window of 1,000": lambda number: by_both.find(
            MomentQuery(f"q{number}", said=_word_of_share(1 / 1_000, number))
        ),
        "meaning, and a word said in a window of 100": lambda number: by_both.find(
            MomentQuery(f"q{number}", said=_word_of_share(1 / 100, number % NEAREST))
        ),
    }
    figures: dict[str, float] = {}
    for name, find in kinds.items():
        find(0)
        times_ms = sorted(_timed_ms(find, number) for number in range(len(queries)))
        figures[f"{name}, p50 ms"] = times_ms[len(times_ms) // 2]
        figures[f"{name}, p95 ms"] = times_ms[len(times_ms) * 95 // 100]
        figures[f"{name}, p99 ms"] = times_ms[-2]
    found = [_nearest_found(by_both, number) for number in range(len(queries))]
    shares = [len(one & wanted) / len(wanted) for one, wanted in zip(found, exact, strict=True)]
    figures[f"recall of the {NEAREST} nearest"] = float(np.mean(shares))
    few = [
        _share_of_nearest(index, query, RowConditions(PARTS), wanted)
        for query, wanted in zip(queries, exact, strict=True)
    ]
    figures[f"recall of the {NEAREST} nearest, of a search for ten"] = float(np.mean(few))
    return figures


def _word_of_share(share: float, number: int) -> str:
    """Return one of the words that about this share of the windows has, another one for each number."""
    weights = np.sum(1 / np.arange(1, VOCABULARY + 1))
    return f"w{round(WORDS / (weights * share)) + number}"


def _share_of_nearest(index: IndexStore, query: Vectors, conditions: RowConditions, wanted: set[str]) -> float:
    """Return how many of the nearest windows are the first in the rows that a search for ten moments asks for."""
    rows = index.rank_by_meaning(query, conditions, ROWS_OF_TEN)
    nearest = list(dict.fromkeys(row["window"] for row in rows))[:NEAREST]
    return len(wanted.intersection(nearest)) / len(wanted)


def _keep_nearest(best: list[list[tuple[float, str]]], scores: Vectors, rows: Sequence[IndexRow]) -> None:
    """Update the nearest windows of each query with the scores of a batch, float32 [Q, rows]."""
    top = np.argpartition(-scores, min(2 * NEAREST, scores.shape[1] - 1), axis=1)[:, : 2 * NEAREST]
    for query, columns in enumerate(top):
        merged: dict[str, float] = {window: score for score, window in best[query]}
        for column in columns:
            window = rows[column].window
            merged[window] = max(float(scores[query, column]), merged.get(window, -1.0))
        best[query] = sorted(((score, window) for window, score in merged.items()), reverse=True)[:NEAREST]


def _nearest_found(search: MomentSearch, number: int) -> set[str]:
    answer = search.find(MomentQuery(f"q{number}", limit=10 * NEAREST))
    windows = [window for moment in answer.moments for window in moment.windows if window.why[0].similarity is not None]
    nearest = sorted(windows, key=lambda one: -max(part.similarity or -1.0 for part in one.why))[:NEAREST]
    return {one.window for one in nearest}


def _timed_ms(find: Callable[[int], object], number: int) -> float:
    began_s = time.perf_counter()
    find(number)
    return 1e3 * (time.perf_counter() - began_s)


def _unit(vectors: NDArray[np.float64]) -> Vectors:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
