"""The windows and streams of an index as items. The vector of a window is the mean of those of its parts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triptych.consumers.recommending.recommendable import ListedCatalogue, Recommendable
from triptych.consumers.searching.index_store import IndexReadError
from triptych.consumers.searching.rows import WINDOW_PARTS, row_key
from triptych.consumers.searching.window_index import WindowIndex
from triptych.schemas.recommending.interactions import ItemKind

Floats = NDArray[np.float32]
_Found = TypeVar("_Found")

_COLUMNS: Final = ["window", "part", "stream", "start_ns", "text", "details"]
_VECTOR: Final = "vector"
_IS_ROW: Final = "part != 'meta'"
_ROWS_OF_STREAM: Final = 500
"""So many of the newest rows of a stream stand for it."""
_MOST_STREAMS: Final = 1_000
_STREAMS_AT_ONCE: Final = 20
_LOOK_AGAIN_S: Final = 10.0
_VECTOR_PARTS: Final = 3
"""A window has so many rows with vectors at most: pictures, sound and words."""
_REFINE: Final = 10
_TITLE_CHARACTERS: Final = 60
_MOST_LABELS: Final = 12


class IndexCatalogue:
    """Items of an index. Not thread-safe.

    Streams are read again when the index has changed and the last look was 10 s ago. They are those 1,000 that have
    the newest windows.
    """

    def __init__(self, index: WindowIndex, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._index, self._monotonic_s = index, monotonic_s
        self._streams = ListedCatalogue([])
        self._streams_version: int | None = None
        self._looked_s = float("-inf")
        self._newest: list[Recommendable] = []
        self._newest_of: tuple[int, int] | None = None
        """The version of the index and the number of windows that `_newest` is about."""
        self._since_ns = 0

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the index in a folder. Raises `IndexFolderError` if it holds none, or one that cannot be used."""
        return cls(WindowIndex.open(folder))

    @property
    def space(self) -> str | None:
        """The name of the space of the vectors; None without any."""
        return self._index.meta.space

    def find(self, items: Sequence[str]) -> dict[str, Recommendable]:
        """Return those of the items that the index has."""
        windows = [item.partition("/")[2] for item in items if item.startswith("window/")]
        found = self._read(lambda: self._windows(windows))
        others = [item for item in items if not item.startswith("window/")]
        return found | (self._all_streams().find(others) if others else {})

    def nearest(self, vector: Floats, kind: ItemKind, most: int) -> list[Recommendable]:
        """Return the items of a kind that are nearest to a vector, nearest first."""
        if kind != "window":
            return self._all_streams().nearest(vector, kind, most)
        self._index.refresh()
        return self._read(lambda: self._nearest_windows(vector, most))

    def newest(self, kind: ItemKind, most: int) -> list[Recommendable]:
        """Return the newest items of a kind, newest first."""
        if kind != "window":
            return self._all_streams().newest(kind, most)
        self._index.refresh()
        return self._read(lambda: self._newest_items(most))

    def _read(self, read: Callable[[], _Found]) -> _Found:
        """Return what is read. The writer may have deleted the version that was read; then a newer one is there."""
        try:
            with self._index.errors_told(IndexReadError):
                return read()
        except IndexReadError:
            self._index.refresh()
            with self._index.errors_told(IndexReadError):
                return read()

    def _nearest_windows(self, vector: Floats, most: int) -> list[Recommendable]:
        if self._index.meta.space is None or len(vector) != self._index.meta.dimensions:
            return []
        search = self._index.table.search(vector, vector_column_name=_VECTOR).distance_type("cosine")
        rows = search.where(_IS_ROW, prefilter=True).refine_factor(_REFINE).select(["window", "_distance"])
        windows = dict.fromkeys(row["window"] for row in rows.limit(_VECTOR_PARTS * most).to_list())
        found = self._windows(list(windows)[:most])
        return [found[f"window/{window}"] for window in windows if f"window/{window}" in found]

    def _newest_items(self, most: int) -> list[Recommendable]:
        wanted = (self._index.table.version, most)
        if self._newest_of != wanted:
            found = self._windows(self._newest_windows(most)).values()
            self._newest = sorted(found, key=lambda item: (-item.time_ns, item.item))
            self._newest_of = wanted
        return list(self._newest)

    def _newest_windows(self, most: int) -> list[str]:
        """Return the names of the newest windows.

        Windows that are newer than those of the last reading are all after its oldest one. So only what starts since
        then is read. If that has become too little, because rows have expired, all is read.
        """
        windows: list[str] = []
        for since_ns in dict.fromkeys((self._since_ns, 0)):
            where = f"{_IS_ROW} AND start_ns >= {since_ns}" if since_ns else _IS_ROW
            table = self._index.table.search().where(where).select(["window", "start_ns"]).to_arrow()
            starts = table["start_ns"].to_numpy()
            newest = np.argsort(-starts, kind="stable")[: len(WINDOW_PARTS) * most]
            windows = list(dict.fromkeys(table["window"].take(newest).to_pylist()))[:most]
            if len(windows) == most:
                self._since_ns = int(starts[newest[-1]])
                break
        return windows

    def _windows(self, windows: Sequence[str]) -> dict[str, Recommendable]:
        if not windows:
            return {}
        keys = [row_key(window, part) for window in windows for part in WINDOW_PARTS]
        names = ", ".join("'" + key.replace("'", "''") + "'" for key in keys)  # the table has an index of keys
        search = self._index.table.search().where(f"key IN ({names})").limit(len(keys))
        by_window = _grouped(search.select(self._columns).to_arrow(), "window")
        return {f"window/{window}": _item(f"window/{window}", rows) for window, rows in by_window.items()}

    def _all_streams(self) -> ListedCatalogue:
        now_s = self._monotonic_s()
        if now_s - self._looked_s > _LOOK_AGAIN_S:
            self._index.refresh()
            self._read(self._update_streams)
            self._looked_s = now_s
        return self._streams

    def _update_streams(self) -> None:
        version = self._index.table.version
        if version != self._streams_version:
            self._streams, self._streams_version = ListedCatalogue(self._read_streams(), self.space), version

    def _read_streams(self) -> Iterator[Recommendable]:
        table = (
            self._index.table.search()
            .where(_IS_ROW)
            .with_row_id(with_row_id=True)
            .select(["stream", "start_ns"])
            .to_arrow()
        )
        chosen = _newest_rows(table)
        for first in range(0, len(chosen), _STREAMS_AT_ONCE):
            ids = np.sort(np.concatenate(chosen[first : first + _STREAMS_AT_ONCE])).tolist()
            read = self._index.table.take_row_ids(ids).select(self._columns).to_arrow()
            for name, rows in _grouped(read, "stream").items():
                feed = _item(f"feed/{name}", rows)
                # A clip and a feed have the same content; which of both a stream is, the user says.
                yield from (feed, replace(feed, item=f"clip/{name}"))

    @property
    def _columns(self) -> list[str]:
        return [*_COLUMNS, *([_VECTOR] if _VECTOR in self._index.table.schema.names else [])]


def _newest_rows(table: pa.Table) -> list[NDArray[np.uint64]]:
    """Return the ids of the newest rows of each stream, the newest stream first.

    Args:
        table: stream, start and id of all rows.
    """
    names = table["stream"].combine_chunks().dictionary_encode()
    streams, starts = names.indices.to_numpy(), table["start_ns"].to_numpy()
    order = np.lexsort((-starts, streams))
    begins = np.searchsorted(streams[order], np.arange(len(names.dictionary) + 1))
    ids = table["_rowid"].to_numpy()[order]
    newest = np.argsort(-starts[order][begins[:-1]], kind="stable")[:_MOST_STREAMS]
    return [ids[begins[place] : min(begins[place] + _ROWS_OF_STREAM, begins[place + 1])] for place in newest]


def _grouped(table: pa.Table, column: str) -> dict[str, list[Mapping[str, Any]]]:
    """Return the rows of each window or stream, oldest first, with their vectors as float32 [D] or None."""
    rows: list[dict[str, Any]] = table.select(_COLUMNS).to_pylist()
    if _VECTOR in table.column_names and rows:
        vectors = table[_VECTOR].combine_chunks()
        present = np.flatnonzero(vectors.is_valid().to_numpy(zero_copy_only=False))
        numbers = vectors.flatten().to_numpy()  # without those that are null
        values = numbers.reshape(len(present), vectors.type.list_size).astype(np.float32)
        for place, vector in zip(present.tolist(), values, strict=True):
            rows[place][_VECTOR] = vector
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["start_ns"], row["part"])):
        found.setdefault(row[column], []).append(row)
    return found


def _item(item: str, rows: Sequence[Mapping[str, Any]]) -> Recommendable:
    details = [json.loads(row["details"]) for row in rows if row["details"]]
    words = " ".join(row["text"] for row in rows if row["part"] == "subtitles" and row["text"])
    labels = _labels(details)
    languages = [one["language"] for one in details if one.get("language")]
    title = next((str(one["title"]) for one in reversed(details) if one.get("title")), "")
    if not title:
        title = item.partition("/")[2] if item.startswith(("clip/", "feed/")) else _title(rows[0], words, labels)
    return Recommendable(
        item,
        title,
        labels,
        max(set(languages), key=languages.count) if languages else "",
        _mean_vector(row.get(_VECTOR) for row in rows),
        max(row["start_ns"] for row in rows),
        words,
    )


def _title(row: Mapping[str, Any], words: str, labels: Sequence[str]) -> str:
    shown = words or ", ".join(labels)
    cut = shown[:_TITLE_CHARACTERS] + ("…" if len(shown) > _TITLE_CHARACTERS else "")
    return f'{row["stream"]} ("{cut}")' if cut else str(row["stream"])


def _labels(details: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return what was seen and heard, the most frequent first."""
    counts: dict[str, int] = {}
    for one in details:
        for name in (*one.get("labels", ()), *one.get("counts", {}), *one.get("sounds", ()), *one.get("matches", {})):
            counts[name] = counts.get(name, 0) + 1
    return tuple(sorted(counts, key=lambda name: (-counts[name], name))[:_MOST_LABELS])


def _mean_vector(vectors: Iterable[Floats | None]) -> Floats | None:
    present = [vector for vector in vectors if vector is not None]
    total = np.sum(present, axis=0) if present else None
    length = 0.0 if total is None else float(np.linalg.norm(total))
    return None if total is None or not length else np.asarray(total / length, np.float32)
