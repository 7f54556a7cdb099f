"""Results as Parquet and as tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyarrow import parquet

from triptych.consumers import to_arrow, to_pandas
from triptych.consumers.exporting import export
from triptych.consumers.exporting.export import ExportOptions, export_results
from triptych.consumers.subscription import last_revisions as reading
from triptych.schemas.codec import parse_result
from triptych.schemas.errors import UsageError
from triptych.schemas.names import result_id
from triptych.schemas.results import LabelScore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def test_a_file_that_cannot_be_made_is_told(bench: Bench, made: list[Result], tmp_path: Path) -> None:
    """Its folder is missing, for example."""
    bench.publish(*made)
    with bench.subscriber() as subscriber, pytest.raises(UsageError, match=r"--to: .* cannot be written: No such file"):
        export_results(subscriber, tmp_path / "none" / "all.parquet", ExportOptions())


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


def revised(first: Result, revision: int, label: str) -> Result:
    """Return a revision of a result that saw something else."""
    return first.model_copy(
        update={
            "id": result_id(first.stream, first.start_ns, first.end_ns, revision),
            "revision": revision,
            "observations": first.observations.model_copy(update={"visual": (LabelScore(label=label, score=0.5),)}),
        }
    )


def rows_of(path: Path) -> dict[str, list[tuple[int, str]]]:
    """Return revision and label of the rows of each window."""
    rows: dict[str, list[tuple[int, str]]] = {}
    for row in parquet.read_table(path).to_pylist():
        rows.setdefault(row["window"], []).append((row["revision"], row["visual"][0]["label"]))
    return rows


def test_a_window_revised_many_results_later_has_one_row(
    bench: Bench, make_result: MakeResult, between: Callable[[], int], tmp_path: Path
) -> None:
    """Its newest revision, also where that lies in another poll, and where the first result is before `--since`.

    A rule is about the newest revision: an earlier one that it would choose is not written instead.
    """
    many = [make_result(number) for number in range(600)]  # more than a poll returns from any source
    early, late = many[0], many[1]
    bench.publish(early)
    since = between()
    bench.publish(*many[1:], revised(late, 1, "one"), *(make_result(number, "hall") for number in range(3)))
    bench.publish(revised(early, 1, "one"), revised(late, 2, "two"))

    newest = {early.window: [(1, "one")], late.window: [(2, "two")]}
    for options, count, expected in (
        (ExportOptions(), 603, newest),
        (ExportOptions(since=str(since)), 603, newest),
        (ExportOptions("hall"), 3, {}),
        (ExportOptions(rule="'cat' in visual"), 601, {}),
    ):
        with bench.subscriber() as subscriber:
            written = export_results(subscriber, tmp_path / "revised.parquet", options)
        rows = rows_of(tmp_path / "revised.parquet")
        assert written == len(rows) == count
        assert {window: found for window, found in rows.items() if found != [(0, "tabby cat")]} == expected


def test_what_is_published_between_the_passes_is_left_out(
    bench: Bench, made: list[Result], make_result: MakeResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window has a row though a revision comes after it was counted; new windows and new streams have none."""
    bench.publish(*made, revised(made[1], 1, "one"))
    counted = reading.revised_windows

    def publish_more(*args: Any) -> Any:  # noqa: ANN401 - stands in for the function
        found = counted(*args)
        bench.publish(revised(made[0], 1, "one"), revised(made[1], 2, "two"))
        bench.publish(make_result(9, "door"), make_result(1, "roof"))
        return found

    monkeypatch.setattr(reading, "revised_windows", publish_more)
    with bench.subscriber() as subscriber:
        export_results(subscriber, tmp_path / "all.parquet", ExportOptions())

    first = [(0, "tabby cat")]
    assert rows_of(tmp_path / "all.parquet") == {
        made[0].window: first, made[1].window: [(1, "one")], made[2].window: first, made[3].window: first
    }  # fmt: skip
