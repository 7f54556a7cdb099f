"""The names of the streams of an index in a folder, and which of them fit patterns."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from triptych.consumers.searching.index_store import RowConditions
from triptych.consumers.searching.lance_queries import quoted_in

if TYPE_CHECKING:
    from lancedb.table import Table

_ROWS_AT_ONCE: Final = 10_000
_NO_STREAM: Final = ("",)
"""No stream has this name."""


class StreamNames:
    """Replaces patterns of streams by the names that fit. Thread-safe.

    LanceDB compares a pattern with the streams of all rows, for each ranking: 75 ms at 1,000,000 windows. Names have an
    index. Those of an earlier version of the table are kept, so that only rows of other streams are looked for: 10 ms.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._table: Table | None = None
        self._version = 0

    def named(self, table: Table, conditions: RowConditions) -> RowConditions:
        """Return conditions without patterns that the same rows meet."""
        if not conditions.stream_patterns:
            return conditions
        fits = _fits(conditions.stream_patterns)
        names = conditions.streams or sorted(self._read(table))
        chosen = tuple(name for name in names if fits.fullmatch(name))
        return replace(conditions, streams=chosen or _NO_STREAM, stream_patterns=())

    def _read(self, table: Table) -> Collection[str]:
        with self._lock:
            version = table.version
            if self._table is not table or self._version != version:
                while new := _others(table, self._names):
                    self._names |= new
                self._table, self._version = table, version
            return tuple(self._names)


def _others(table: Table, names: Collection[str]) -> set[str]:
    """Return some names of streams that are not among these; none if there are no others."""
    known = f" AND NOT {quoted_in('stream', names)}" if names else ""
    found = table.search().where(f"stream IS NOT NULL{known}").select(["stream"]).limit(_ROWS_AT_ONCE).to_arrow()
    return set(pc.unique(found["stream"]).to_pylist())


def _fits(patterns: Sequence[str]) -> re.Pattern[str]:
    """Return an expression for names that fit one of these patterns with `*` and `?`."""
    signs = {"*": ".*", "?": "."}
    each = ("".join(signs.get(sign, re.escape(sign)) for sign in pattern) for pattern in patterns)
    return re.compile("|".join(f"(?:{one})" for one in each), re.DOTALL)
