"""The windows and streams of an index as items. The vector of a window is the mean of those of its parts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from triptych.consumers.recommending.recommendable import ListedCatalogue, Recommendable
from triptych.consumers.searching.window_index import WindowIndex
from triptych.schemas.recommending.interactions import ItemKind

Floats = NDArray[np.float32]

_COLUMNS: Final = ["window", "part", "stream", "start_ns", "text", "details"]
_VECTOR: Final = "vector"
_PARTS: Final = 5
_ROWS_OF_STREAM: Final = 500
"""The newest rows of a stream stand for it."""
_MOST_STREAMS: Final = 1_000
_LOOK_AGAIN_S: Final = 10.0
_REFINE: Final = 10
_TITLE_CHARACTERS: Final = 60
_MOST_LABELS: Final = 12


class IndexCatalogue:
    """Items of an index. Not thread-safe. Streams are read again when the last reading is 10 s old."""

    def __init__(self, index: WindowIndex, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._index, self._monotonic_s = index, monotonic_s
        self._streams: ListedCatalogue | None = None
        self._read_s = 0.0

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
        found = self._windows(windows)
        others = [item for item in items if not item.startswith("window/")]
        return found | (self._all_streams().find(others) if others else {})

    def nearest(self, vector: Floats, kind: ItemKind, most: int) -> list[Recommendable]:
        """Return the items of a kind that are nearest to a vector, nearest first."""
        if kind != "window":
            return self._all_streams().nearest(vector, kind, most)
        self._index.refresh()
        if self._index.meta.space is None or len(vector) != self._index.meta.dimensions:
            return []
        search = self._index.table.search(vector, vector_column_name=_VECTOR).distance_type("cosine")
        rows = search.where("part != 'meta'", prefilter=True).refine_factor(_REFINE).select(["window", "_distance"])
        windows = dict.fromkeys(row["window"] for row in rows.limit(2 * most).to_list())
        found = self._windows(list(windows))
        return [found[f"window/{window}"] for window in windows if f"window/{window}" in found][:most]

    def newest(self, kind: ItemKind, most: int) -> list[Recommendable]:
        """Return the newest items of a kind, newest first."""
        if kind != "window":
            return self._all_streams().newest(kind, most)
        self._index.refresh()
        table = self._index.table.search().where("part != 'meta'").select(["window", "start_ns"]).to_arrow()
        if not table.num_rows:
            return []
        starts = table["start_ns"].to_numpy()
        newest = np.argsort(-starts, kind="stable")[: _PARTS * most]
        windows = dict.fromkeys(table["window"].take(newest).to_pylist())
        found = self._windows(list(windows)[:most])
        return sorted(found.values(), key=lambda item: (-item.time_ns, item.item))

    def _windows(self, windows: Sequence[str]) -> dict[str, Recommendable]:
        if not windows:
            return {}
        names = ", ".join("'" + window.replace("'", "''") + "'" for window in windows)
        rows = self._rows(f"window IN ({names})", _PARTS * len(windows))
        by_window: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            by_window.setdefault(row["window"], []).append(row)
        return {f"window/{window}": _item(f"window/{window}", parts) for window, parts in by_window.items()}

    def _all_streams(self) -> ListedCatalogue:
        now_s = self._monotonic_s()
        if self._streams is None or now_s - self._read_s > _LOOK_AGAIN_S:
            self._index.refresh()
            names = self._index.table.search().where("part != 'meta'").select(["stream"]).to_arrow()["stream"].unique()
            items = [item for name in names.to_pylist()[:_MOST_STREAMS] for item in self._stream(name)]
            self._streams, self._read_s = ListedCatalogue(items, self.space), now_s
        return self._streams

    def _stream(self, name: str) -> list[Recommendable]:
        quoted = "'" + name.replace("'", "''") + "'"
        rows = self._rows(f"stream = {quoted} AND part != 'meta'", _ROWS_OF_STREAM)
        # A clip and a feed have the same content; which of both a stream is, the user says.
        return [_item(f"{kind}/{name}", rows) for kind in ("clip", "feed")] if rows else []

    def _rows(self, where: str, most: int) -> list[Mapping[str, Any]]:
        columns = [*_COLUMNS, *([_VECTOR] if _VECTOR in self._index.table.schema.names else [])]
        rows: list[Mapping[str, Any]] = self._index.table.search().where(where).select(columns).limit(most).to_list()
        return sorted(rows, key=lambda row: (row["start_ns"], row["part"]))


def _item(item: str, rows: Sequence[Mapping[str, Any]]) -> Recommendable:
    details = [json.loads(row["details"]) for row in rows if row["details"]]
    words = " ".join(row["text"] for row in rows if row["part"] == "subtitles" and row["text"])
    labels = _labels(details)
    languages = [one["language"] for one in details if one.get("language")]
    title = next((str(one["title"]) for one in details if one.get("title")), "")
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


def _mean_vector(vectors: Iterable[Any]) -> Floats | None:
    present = [np.asarray(vector, np.float32) for vector in vectors if vector is not None]
    total = np.sum(present, axis=0) if present else None
    length = 0.0 if total is None else float(np.linalg.norm(total))
    return None if total is None or not length else np.asarray(total / length, np.float32)
