"""The names of the streams of an index, which patterns are replaced by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from triptych.consumers.searching import stream_names
from triptych.consumers.searching.index_store import RowConditions
from triptych.consumers.searching.rows import IndexRow
from triptych.consumers.searching.stream_names import StreamNames
from triptych.consumers.searching.window_index import WindowIndex


def write(index: WindowIndex, *streams: str) -> None:
    """Write a row of each stream."""
    index.write([IndexRow(f"{name}/w", "video", "r", name, 1, 2, 3, "car") for name in streams], index.meta)


def test_streams_that_appear_later_fit_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: names are read in parts."""
    monkeypatch.setattr(stream_names, "_ROWS_AT_ONCE", 2)
    index, names = WindowIndex.create(tmp_path / "index", "triptych"), StreamNames()
    wanted = RowConditions(stream_patterns=("city-*", "gate"), since_ns=1)
    assert names.named(index.table, wanted).streams == ("",)
    write(index, *(f"city-{number}" for number in range(5)), "dock")
    assert names.named(index.table, wanted) == replace(
        wanted, streams=tuple(f"city-{number}" for number in range(5)), stream_patterns=()
    )
    write(index, "gate", "gates")
    assert names.named(index.table, wanted).streams[-1] == "gate"


def test_a_stream_must_be_named_and_fit(tmp_path: Path) -> None:
    """If there are both, names and patterns."""
    index, names = WindowIndex.create(tmp_path / "index", "triptych"), StreamNames()
    write(index, "city-1", "city-2", "dock")
    both = RowConditions(streams=("city-1", "dock"), stream_patterns=("city-*",))
    assert names.named(index.table, both).streams == ("city-1",)
    assert names.named(index.table, replace(both, stream_patterns=("gate",))).streams == ("",)
