"""Rankings of an index in a folder under conditions, held beside a comparison of all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.consumers.searching.conftest import DIMENSIONS, SPACE, unit_vector
from triptych.consumers.searching.index_store import FoundRow, RowConditions
from triptych.consumers.searching.lance_queries import NUMBER_COLUMN, window_number
from triptych.consumers.searching.rows import IndexRow
from triptych.consumers.searching.window_index import WindowIndex
from triptych.schemas.names import window_id

SAID = ("the bank is open", "桥着火了", "the bank by the river", "nothing")
ALL_TIMES = RowConditions(since_ns=-1, until_ns=1_000)
CONDITIONS = {
    "none": RowConditions(),
    "stream": RowConditions(streams=("city-1",)),
    "streams": RowConditions(streams=("city-1", "it's/7|x")),
    "pattern": RowConditions(stream_patterns=("city-*",)),
    "since": RowConditions(since_ns=115),
    "until": RowConditions(until_ns=110),
    "span of a stream": RowConditions(streams=("city-2",), since_ns=65, until_ns=215),
    "pattern and since": RowConditions(stream_patterns=("*7|x", "city-1"), since_ns=115),
    "everything": ALL_TIMES,
    "no stream": RowConditions(streams=("dock",)),
    "no time": RowConditions(since_ns=2_000),
}


def rows_of(number: int) -> list[IndexRow]:
    """Return the rows of a window: pictures and words, each with a vector."""
    stream, start_ns = ("city-1", "city-2", "it's/7|x")[number % 3], 10 * number
    place = (f"r{number}", stream, start_ns, start_ns + 10, start_ns)
    window = window_id(stream, start_ns, start_ns + 10)
    return [
        IndexRow(window, "video", *place, f"car own{number}", tuple(unit_vector(number).tolist())),
        IndexRow(window, "subtitles", *place, SAID[number % 4], tuple(unit_vector(100 + number).tolist())),
        IndexRow(window, "quality", *place, details={"flags": ["black"]}),
    ]


ROWS = [row for number in range(24) for row in rows_of(number)]


def drop_numbers(index: WindowIndex) -> None:
    """Leave an index as an earlier release writes it."""
    index.table.drop_columns([NUMBER_COLUMN])


def write_without_numbers(index: WindowIndex) -> None:
    """Leave an index that this release maintained after an earlier one wrote rows to it."""
    index.table.update(where="start_ns >= 100", values_sql={NUMBER_COLUMN: "NULL"})
    index.maintain()


def maintain_old(index: WindowIndex) -> None:
    """Leave an index of an earlier release that this one has maintained."""
    drop_numbers(index)
    index.maintain()


def maintain_half(index: WindowIndex) -> None:
    """Leave rows that are in no index yet beside others."""
    index.maintain()
    index.write([replace(row, published_ns=row.published_ns + 1) for row in ROWS[: len(ROWS) // 2]], index.meta)


@pytest.fixture(
    scope="module",
    params=[WindowIndex.maintain, drop_numbers, maintain_old, write_without_numbers, maintain_half],
    ids=["new", "old", "old-maintained", "half-numbered", "half-indexed"],
)
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> WindowIndex:
    """Return an index of 24 windows of three streams, which no test writes."""
    index = WindowIndex.create(tmp_path_factory.mktemp("index"), "triptych")
    index.write(ROWS, replace(index.meta, space=SPACE, dimensions=DIMENSIONS))
    change: Callable[[WindowIndex], None] = request.param
    change(index)
    return index


def meets(row: IndexRow, name: str) -> bool:
    """Return whether a row meets the conditions of this name."""
    conditions = CONDITIONS[name]
    streams = {
        "pattern": ("city-1", "city-2"),
        "pattern and since": ("it's/7|x", "city-1"),
    }.get(name, conditions.streams)
    return (
        (not streams or row.stream in streams)
        and (conditions.since_ns is None or row.end_ns > conditions.since_ns)
        and (conditions.until_ns is None or row.start_ns < conditions.until_ns)
    )


def keys(found: list[FoundRow]) -> list[str]:
    """Return the keys of rows, in their order."""
    return [f"{row['window']}|{row['part']}" for row in found]


@pytest.mark.parametrize("most", [3, 100])
@pytest.mark.parametrize("said", ["", "bank", "桥", "zebra"])
@pytest.mark.parametrize("name", CONDITIONS)
def test_the_nearest_rows_are_those_of_a_comparison_with_all(
    index: WindowIndex, name: str, said: str, most: int
) -> None:
    """Under each condition alone, and with a word that was said."""
    conditions = CONDITIONS[name]
    if said:
        wanted = replace(conditions, parts=("subtitles",))
        conditions = replace(conditions, windows=tuple(index.windows_with_words(said, wanted, 100)))
    windows = {row.window for row in ROWS if row.part == "subtitles" and said in row.text}
    similarities = {
        row.key: float(unit_vector(99) @ row.vector)
        for row in ROWS
        if row.vector is not None and meets(row, name) and row.window in windows
    }
    found = index.rank_by_meaning(unit_vector(99), conditions, most)
    assert keys(found) == sorted(similarities, key=lambda key: -similarities[key])[:most]
    assert [row["similarity"] for row in found] == pytest.approx([similarities[key] for key in keys(found)], abs=2e-3)
    places = {row.key: (row.window, row.part, row.stream, row.start_ns, row.end_ns) for row in ROWS}
    for row, key in zip(found, keys(found), strict=True):
        assert (row["window"], row["part"], row["stream"], row["start_ns"], row["end_ns"]) == places[key]


@pytest.mark.parametrize("most", [2, 100])
@pytest.mark.parametrize("name", CONDITIONS)
def test_rows_with_all_words_meet_the_conditions(index: WindowIndex, name: str, most: int) -> None:
    """Whether more rows of any time have the words than are asked for, or fewer."""
    wanted = {row.key for row in ROWS if "bank" in row.text and meets(row, name)}
    found = keys(index.rank_by_words("the bank", CONDITIONS[name], most, needs_all=True))
    assert len(found) == min(most, len(wanted))
    assert wanted.issuperset(found)
    assert set(keys(index.rank_by_words("bank own3", CONDITIONS[name], 100))) == wanted | {
        row.key for row in ROWS if row.text == "car own3" and meets(row, name)
    }


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_newest_rows_meet_the_conditions(index: WindowIndex, name: str) -> None:
    """All parts of the newest windows, but no others."""
    rows = sorted((row for row in ROWS if meets(row, name)), key=lambda row: (-row.start_ns, row.window, row.part))
    newest = list(dict.fromkeys(row.window for row in rows))[:3]
    assert keys(index.newest_rows(CONDITIONS[name], 3)) == [row.key for row in rows if row.window in newest]
    pictures = index.newest_rows(replace(CONDITIONS[name], parts=("video",)), 3)
    assert keys(pictures) == [row.key for row in rows if row.window in newest and row.part == "video"]


def test_details_are_those_of_the_rows_found(index: WindowIndex) -> None:
    """Also where the row was found by its key."""
    found = index.with_details(index.rank_by_words("own5", ALL_TIMES, 10, needs_all=True))
    assert [(row["result"], row["text"]) for row in found] == [("r5", "car own5")]


@pytest.mark.parametrize("change", [drop_numbers, write_without_numbers])
def test_maintenance_adds_the_numbers_that_an_earlier_release_did_not_write(
    tmp_path: Path, change: Callable[[WindowIndex], None]
) -> None:
    """They are those that this release writes, whether it adds the column or fills it."""
    index = WindowIndex.create(tmp_path / "index", "triptych")
    index.write(ROWS, index.meta)
    change(index)
    index.maintain()
    found = index.table.search().where("part != 'meta'").select(["window", NUMBER_COLUMN]).limit(100).to_list()
    assert len(found) == len(ROWS)
    assert [row[NUMBER_COLUMN] for row in found] == [window_number(row["window"]) for row in found]
    assert any(one.columns == [NUMBER_COLUMN] for one in index.table.list_indices())
