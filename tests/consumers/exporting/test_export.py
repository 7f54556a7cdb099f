"""Results as Parquet and as tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyarrow import parquet

from triptych.consumers import to_arrow, to_pandas
from triptych.consumers.exporting import export
from triptych.consumers.exporting.export import ExportOptions, export_results
from triptych.schemas.codec import parse_result
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.consumers.conftest import Bench, MakeResult
    from triptych.schemas.results import Result

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture
def made(make_result: MakeResult) -> list[Result]:
    """Results of two streams, one with people."""
    people = {"counts": {"people": {"median": 1.0, "largest": 2}}}
    return [make_result(number, "door", **people) for number in range(3)] + [make_result(7, "hall")]


def test_a_file_has_a_row_for_each_result_with_its_whole_document(
    bench: Bench, made: list[Result], tmp_path: Path
) -> None:
    """Times, maps and lists come back, and the document is the result."""
    bench.publish(*made)
    with bench.subscriber() as subscriber:
        written = export_results(subscriber, tmp_path / "all.parquet", ExportOptions())

    rows = parquet.read_table(tmp_path / "all.parquet").to_pylist()
    assert written == len(rows) == 4
    by_id = {row["id"]: row for row in rows}
    for result in made:
        row = by_id[result.id]
        assert parse_result(row["document"]) == result
        assert row["start"].timestamp() == result.start_ns / 1e9
        assert row["visual"][0] == {"label": "tabby cat", "score": 0.81}
        assert row["words"] == "the city was asleep"
        assert row["counts"] == ([("people", 2)] if result.stream == "door" else None)
        assert (row["video"], row["audio"], row["subtitles"]) == ("present", "empty", "absent")


def test_a_stream_and_a_rule_choose_rows(bench: Bench, made: list[Result], tmp_path: Path) -> None:
    """As in `triptych watch`."""
    bench.publish(*made)
    for options, expected in (
        (ExportOptions("hall"), {"hall"}),
        (ExportOptions(rule="people > 0"), {"door"}),
        (ExportOptions(rule="people > 5"), set()),
    ):
        with bench.subscriber() as subscriber:
            export_results(subscriber, tmp_path / "some.parquet", options)
        assert set(parquet.read_table(tmp_path / "some.parquet")["stream"].to_pylist()) == expected


def test_rows_are_written_in_groups(
    bench: Bench, make_result: MakeResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than a group is in memory."""
    monkeypatch.setattr(export, "ROW_GROUP_ROWS", 10)
    bench.publish(*(make_result(number) for number in range(25)))
    with bench.subscriber() as subscriber:
        export_results(subscriber, tmp_path / "groups.parquet", ExportOptions())

    groups = parquet.ParquetFile(tmp_path / "groups.parquet").metadata
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [10, 10, 5]


def test_a_failed_export_leaves_the_earlier_file(
    bench: Bench, made: list[Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is replaced at the end only."""
    path = tmp_path / "all.parquet"
    path.write_bytes(b"earlier")
    bench.publish(*made)

    def fail(*_: object) -> Iterator[None]:
        raise OSError("disk full")

    monkeypatch.setattr(export, "record_batch", fail)
    with bench.subscriber() as subscriber, pytest.raises(OSError, match="disk full"):
        export_results(subscriber, path, ExportOptions())
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_another_suffix_is_an_error(bench: Bench, tmp_path: Path) -> None:
    """Nobody takes a Parquet file for CSV."""
    with bench.subscriber() as subscriber, pytest.raises(UsageError, match="ends with"):
        export_results(subscriber, tmp_path / "all.csv", ExportOptions())


def test_results_become_a_table_and_a_data_frame(made: list[Result]) -> None:
    """With the same columns."""
    table, frame = to_arrow(made), to_pandas(made)

    assert table.column_names == list(frame.columns)
    assert frame["start"].astype("int64").tolist() == [result.start_ns for result in made]
    assert frame["speech_share"].tolist() == pytest.approx([0.83] * 4)
    assert json.loads(frame["document"][0])["id"] == made[0].id


def test_the_examples_summarise_an_exported_file(bench: Bench, made: list[Result], tmp_path: Path) -> None:
    """With DuckDB and with pandas, as their docstrings say."""
    bench.publish(*made)
    path = tmp_path / "results.parquet"
    with bench.subscriber() as subscriber:
        export_results(subscriber, path, ExportOptions())

    def run(name: str, *args: str) -> list[str]:
        command = [sys.executable, str(EXAMPLES / name), str(path), *args]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    counted = run("results_in_duckdb.py", "CITY")
    assert counted[:2] == ["door: 3 windows, at most 2 people", "hall: 1 windows, at most 0 people"]
    assert len(counted) == 6
    assert counted[2].endswith(": the city was asleep")
    summary = run("results_in_pandas.py")
    assert summary[-2].split() == ["door", "3", "0.83", "-21.4"]
