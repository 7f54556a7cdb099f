"""Writing the index: what a commit holds, what a killed writer leaves, retention, and one writer only."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tests.consumers.conftest import START_NS
from tests.consumers.searching.conftest import PIPELINE, SearchWorld
from triptych.consumers.searching.indexing import IndexLoop, Retention
from triptych.consumers.searching.rows import IndexRow
from triptych.consumers.searching.window_index import WindowIndex, index_writer
from triptych.schemas.errors import UsageError
from triptych.units import NS_PER_S


def keys(world: SearchWorld) -> list[str]:
    """Return the keys of all rows, sorted."""
    table = WindowIndex.open(world.folder).table
    return sorted(table.search().where("part != 'meta'").select(["key"]).limit(10_000).to_arrow()["key"].to_pylist())


def test_a_second_run_continues_where_the_index_ends(world: SearchWorld) -> None:
    """Nothing is read twice."""
    world.publish(*(world.result(number, f"w{number}") for number in range(5)))
    assert world.index().windows == 5
    world.publish(world.result(5, "w5"))
    assert world.index().windows == 1
    assert len(keys(world)) == 6


def test_a_writer_killed_before_its_commit_loses_and_doubles_nothing(world: SearchWorld) -> None:
    """The rows and the position behind them are one commit: it is there, or the batch is read again."""

    class KilledError(Exception):
        pass

    class KilledIndex(WindowIndex):
        commits = count(1)

        def write(self, rows: object, meta: object) -> None:
            """Be killed before the second commit of each run."""
            if next(self.commits) == 2:
                raise KilledError
            super().write(rows, meta)  # type: ignore[arg-type]

    world.publish(*(world.result(number, f"w{number}", like=number) for number in range(50)))
    with index_writer(world.folder, PIPELINE) as writer:
        killed = KilledIndex(world.folder, writer.table, writer.meta)
        loop = IndexLoop(killed)
        loop.run(world.transport, threading.Event(), until_end=True)
    world.publish(*(world.result(number, f"w{number}", like=number) for number in range(50, 90)))
    with index_writer(world.folder, PIPELINE) as writer:
        killed = KilledIndex(world.folder, writer.table, writer.meta)
        killed.commits = count(2)
        loop = IndexLoop(killed)
        with pytest.raises(KilledError):
            loop.run(world.transport, threading.Event(), until_end=True)
    assert len(keys(world)) == 100
    assert world.index().windows == 40
    assert len(keys(world)) == len(set(keys(world))) == 180


def test_an_index_that_was_killed_while_it_was_created_is_created_again(world: SearchWorld) -> None:
    """Its table is there, its first commit is not."""
    with index_writer(world.folder, PIPELINE) as writer:
        writer.table.delete("part = 'meta'")
    world.publish(world.result(0, "bank"))
    assert world.index().windows == 1
    assert len(keys(world)) == 1


def test_what_is_too_old_is_deleted(world: SearchWorld) -> None:
    """By the time of publication."""
    world.publish(*(world.result(number, f"w{number}") for number in range(10)))
    now_ns = START_NS + 20 * NS_PER_S + NS_PER_S // 4
    counts = world.index(Retention(keep_s=11.9), wall_ns=lambda: now_ns)
    assert counts.expired == 4
    assert len(keys(world)) == 6


def test_the_oldest_go_from_an_index_that_is_too_large(world: SearchWorld) -> None:
    """The newest stay."""
    world.publish(*(world.result(number, f"w{number}") for number in range(200)))
    world.index()
    with index_writer(world.folder, PIPELINE) as writer:
        deleted = writer.shrink(writer.size_bytes() // 2)
    assert 90 < deleted < 150
    assert len(keys(world)) == 200 - deleted
    assert keys(world)[-1] == world.result(199, "").window + "|subtitles"


def test_snapshots_that_are_about_to_go_cost_no_rows(world: SearchWorld) -> None:
    """Whatever their size: only what stays counts against the limit."""
    world.publish(*(world.result(number, f"w{number}") for number in range(20)))
    world.index()
    with index_writer(world.folder, PIPELINE) as writer:
        limit = writer.size_bytes()
        old = writer.graph_folder / "0000000000"
        old.mkdir()
        (old / "1.sst").write_bytes(bytes(9 * limit))
        assert writer.size_bytes() > 9 * limit
        assert writer.shrink(limit) == 0
        old.rename(writer.graph_folder / "other")
        assert writer.shrink(limit) > 0


def test_an_index_that_was_shrunk_is_not_shrunk_again_before_its_files_are_gone(world: SearchWorld) -> None:
    """Readers of older versions keep the deleted rows on the disk for ten minutes."""
    world.publish(*(world.result(number, f"w{number}") for number in range(200)))
    world.index()
    clock_s = [1_000.0]
    with index_writer(world.folder, PIPELINE) as writer:
        loop = IndexLoop(writer, Retention(max_bytes=writer.size_bytes() // 2), monotonic_s=lambda: clock_s[0])
        loop.maintain()
        after = writer.rows()
        assert after < 200
        clock_s[0] += 60.0
        loop.maintain()
        assert writer.rows() == after
        clock_s[0] += 3_600.0
        loop.maintain()
        assert writer.rows() < after  # nothing has deleted the old files here, so the folder is as large as before


def test_what_becomes_too_old_is_deleted_without_new_results(
    world: SearchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline that has stopped keeps its index no longer than a busy one."""
    world.publish(world.result(0, "bank"))
    world.index()
    seconds, stop = count(START_NS // NS_PER_S, 100), threading.Event()

    def now_s() -> float:
        now = next(seconds)
        if now > START_NS // NS_PER_S + 5_000:
            stop.set()
        return float(now)

    reached: list[IndexLoop] = []

    def reach(loop: IndexLoop) -> None:
        reached.append(loop)
        stop.set()

    monkeypatch.setattr(IndexLoop, "maintain", reach)
    with index_writer(world.folder, PIPELINE) as writer:
        loop = IndexLoop(writer, Retention(keep_s=60.0), monotonic_s=now_s)
        loop.run(world.transport, stop)
    assert len(reached) == 2  # while it ran, and at its end


def test_a_folder_that_cannot_be_written_is_told(world: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, for example. The error names the folder."""

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("lance error: No space left on device")

    with index_writer(world.folder, PIPELINE) as writer:
        monkeypatch.setattr(type(writer.table.merge_insert("key")), "execute", full)
        with pytest.raises(UsageError, match=r"index: the index cannot be used: .*No space left"):
            writer.write([], writer.meta)


def test_descriptions_of_a_new_index_begin_where_it_begins(world: SearchWorld) -> None:
    """`--since now` leaves out what was described before."""
    old, new = world.result(0, "x"), world.result(9, "y")
    world.describe(old, "an old lorry")
    with index_writer(world.folder, PIPELINE) as writer:
        IndexLoop(writer).run(world.transport, threading.Event(), since="now", until_end=True)
    world.describe(new, "a new lorry")
    world.index()
    assert keys(world) == [f"{new.window}|description"]


def test_only_one_process_writes_an_index_of_one_pipeline(world: SearchWorld) -> None:
    """The error says what to do."""
    with (
        index_writer(world.folder, PIPELINE),
        pytest.raises(UsageError, match="another `triptych index` writes"),
        index_writer(world.folder, PIPELINE),
    ):
        pass
    with (
        pytest.raises(UsageError, match="expected the index of pipeline 'other', got that of 'triptych'"),
        index_writer(world.folder, "other"),
    ):
        pass


def test_vectors_are_found_after_their_index_was_trained(world: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The approximate index answers as the exact comparison does, for windows before and after its training."""
    from tests.consumers.searching.conftest import SeedEmbedder
    from triptych.consumers.searching import window_index
    from triptych.consumers.searching.search import MomentSearch

    monkeypatch.setattr(window_index, "_VECTOR_INDEX_ROWS", 300)
    world.publish(*(world.result(5 * number, "x", like=number) for number in range(300)))
    world.index()
    assert WindowIndex.open(world.folder).meta.trained_rows >= 300
    world.publish(world.result(5_000, "x", like=7_000))
    world.index()
    search = MomentSearch.open(world.folder, SeedEmbedder())
    for seed, number in ((11, 55), (7_000, 5_000)):
        assert search.find(f"like {seed}").moments[0].windows[0].window == world.result(number, "").window


def test_the_other_indexes_are_kept_up_to_date_when_that_of_equal_vectors_is_trained(tmp_path: Path) -> None:
    """Equal vectors leave clusters empty. The only row that is not indexed is that of the index itself."""
    vector = tuple(float(number == 0) for number in range(16))
    rows = [IndexRow(f"w{n}", "video", f"r{n}", "city", n, n + 1, n, "car", vector) for n in range(20_000)]
    index = WindowIndex.create(tmp_path / "index", PIPELINE)
    index.write(rows, replace(index.meta, space="test-1", dimensions=16))
    index.maintain()
    left = {one.name: index.table.index_stats(one.name).num_unindexed_rows for one in index.table.list_indices()}
    assert index.meta.trained_rows == 20_000
    assert len(left) == 7
    assert max(left.values()) <= 1


def test_maintenance_adds_the_indexes_that_an_earlier_release_did_not_write(tmp_path: Path) -> None:
    """Of the ends of windows, for example."""
    index = WindowIndex.create(tmp_path / "index", PIPELINE)
    index.write([IndexRow("w", "video", "r", "city", 1, 2, 1, "car")], index.meta)
    index.table.drop_index("end_ns_idx")
    index.maintain()
    found = {one.name: one.columns for one in index.table.list_indices()}
    assert found["end_ns_idx"] == ["end_ns"]


def test_an_index_of_another_format_is_refused(world: SearchWorld) -> None:
    """The error says how to write it again."""
    with index_writer(world.folder, PIPELINE) as writer:
        writer.write([], replace(writer.meta, version=99))
    with pytest.raises(UsageError, match="expected an index of format 1, got 99"):
        WindowIndex.open(world.folder)


def test_a_later_format_is_told_before_its_fields_are_read(world: SearchWorld) -> None:
    """And an unknown field of the same format is left out."""
    with index_writer(world.folder, PIPELINE) as writer:
        meta = writer.meta

        def write(version: int) -> None:
            details = json.dumps({"pipeline": PIPELINE, "version": version, "later": {"a": 1}})
            writer.table.update(where="key = 'meta'", values={"details": details})

        write(1)
        assert WindowIndex.open(world.folder).meta == meta
        write(2)
        with pytest.raises(UsageError, match="expected an index of format 1, got 2"):
            WindowIndex.open(world.folder)


def test_releases_before_the_graph_can_read_an_index_that_has_one(world: SearchWorld) -> None:
    """They know these fields and no other. The row that they write has no graph, so it is made again."""
    world.publish(world.result(0, "bank"))
    world.index()
    index = WindowIndex.open(world.folder)
    assert index.meta.graph
    about = index.table.search().where("key = 'meta'").limit(1).to_list()[0]
    assert set(json.loads(about["details"])) == {
        "pipeline", "version", "space", "dimensions", "cursor", "description_offsets", "trained_rows", "other_spaces",
    }  # fmt: skip
    index.table.update(where="key = 'meta'", values_sql={"result": "NULL"})
    assert not WindowIndex.open(world.folder).meta.graph
    world.index()
    assert WindowIndex.open(world.folder).meta.graph


def test_a_graph_named_in_the_fields_is_read(world: SearchWorld) -> None:
    """As builds between two releases wrote it."""
    with index_writer(world.folder, PIPELINE) as writer:
        details = json.dumps({"pipeline": PIPELINE, "version": 1, "graph": "0000000007"})
        writer.table.update(where="key = 'meta'", values={"details": details, "result": ""})
    assert WindowIndex.open(world.folder).meta.graph == "0000000007"
