"""The graph of an index on the disk: written by `triptych index`, read by any number of processes meanwhile.

Oxigraph allows one process at a time, reading or writing. So the writer works in a folder of its own, and each commit
of the index names a snapshot, which nobody writes any more. Its files are links to those of the writer, which never
change. A reader sees the graph of exactly the rows that it sees, and a killed writer continues from the last commit.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from pyoxigraph import BlankNode, DefaultGraph, NamedNode, Store, Triple

from triptych.consumers.searching.graph.facts import entity_facts, row_facts, row_graph
from triptych.consumers.searching.rows import IndexRow
from triptych.schemas.errors import UsageError

_WORK: Final = "work"
_TABLES: Final = ".sst"
"""Files that Oxigraph never changes, once they are written."""

Subject = NamedNode | BlankNode | Triple


class WindowGraphError(UsageError):
    """The graph does not exist, or cannot be read or written."""


class WindowGraph:
    """The graph of an index, open for writing. Only the process that holds the lock of the index may."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._open_store: Store | None = store

    @property
    def _store(self) -> Store:
        if self._open_store is None:
            raise WindowGraphError(f"{self._folder}: the graph was closed")
        return self._open_store

    @classmethod
    def open(cls, folder: Path, snapshot: str) -> Self:
        """Continue from a snapshot; from nothing if the name is empty, or that of none.

        Raises:
            WindowGraphError: the folder cannot be written.
        """
        work = folder / _WORK
        shutil.rmtree(work, ignore_errors=True)
        try:
            if has_snapshot(folder, snapshot):
                shutil.copytree(folder / snapshot, work, copy_function=_link_or_copy)
            folder.mkdir(parents=True, exist_ok=True)
            return cls(folder, Store(work))
        except (OSError, RuntimeError) as error:
            raise WindowGraphError(_damaged(folder, error)) from error

    def write(self, rows: Sequence[IndexRow]) -> None:
        """Replace the facts of these rows. They can be read when a snapshot was taken."""
        with self._errors_told():
            named = self._remove([row.key for row in rows])
            self._store.extend(quad for row in rows for quad in (*row_facts(row), *entity_facts(row)))
            self._remove_unnamed(named)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the facts of rows, by their keys, and the entities that no row names any more."""
        with self._errors_told():
            self._remove_unnamed(self._remove(keys))

    def _remove(self, keys: Iterable[str]) -> set[Subject]:
        """Remove the facts of rows. Return what they were about, and named."""
        named: set[Subject] = set()
        for key in keys:
            graph = row_graph(key)
            if self._store.contains_named_graph(graph):
                found = self._store.quads_for_pattern(None, None, None, graph)
                named |= {quad.object for quad in found if isinstance(quad.object, NamedNode)}
                self._store.remove_graph(graph)
        return named

    def _remove_unnamed(self, nodes: Iterable[Subject]) -> None:
        """Remove the entities among these nodes that no row names."""
        for node in nodes:
            if next(self._store.quads_for_pattern(None, None, node), None) is None:
                for quad in list(self._store.quads_for_pattern(node, None, None, DefaultGraph())):
                    self._store.remove(quad)

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WindowGraphError(f"{self._folder}: the graph of the index cannot be written: {error}") from error

    def snapshot(self) -> str:
        """Write everything to the disk as a snapshot, and return its name."""
        with self._errors_told():
            numbers = [int(path.name) for path in _snapshots(self._folder)]
            name = f"{max(numbers, default=0) + 1:010}"
            self._store.backup(self._folder / name)
        return name

    def close(self) -> None:
        """Release the lock of Oxigraph, which has no other way than the end of its object."""
        self._open_store = None

    def delete_snapshots(self, current: str, older_than: timedelta, now_s: float) -> None:
        """Delete the snapshots that no reader uses any more: all but the current one, if they are older than that."""
        for path in _snapshots(self._folder):
            if path.name != current and now_s - path.stat().st_mtime > older_than.total_seconds():
                shutil.rmtree(path)


def has_snapshot(folder: Path, name: str) -> bool:
    """Return whether there is a snapshot of that name."""
    return name.isdecimal() and (folder / name / "CURRENT").is_file()


def open_snapshot(folder: Path, name: str) -> Store:
    """Open a snapshot for reading.

    Raises:
        WindowGraphError: there is none of that name.
    """
    if not has_snapshot(folder, name):
        raise WindowGraphError(
            f'{folder.parent}: expected an index with a graph, found none; install "triptych[ask]" where '
            f"`triptych index --index {folder.parent}` runs, and run it: it adds the graph of what it has indexed"
        )
    try:
        return Store.read_only(str(folder / name))
    except (OSError, RuntimeError) as error:
        raise WindowGraphError(_damaged(folder, error)) from error


def _damaged(folder: Path, error: Exception) -> str:
    return (
        f"{folder}: the graph of the index is damaged or cannot be read or written: {error}; if it is damaged, delete "
        "this folder, and `triptych index` makes it again of the index"
    )


def _snapshots(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.isdecimal()]


def _link_or_copy(source: str, target: str) -> None:
    (os.link if source.endswith(_TABLES) else shutil.copy2)(source, target)
