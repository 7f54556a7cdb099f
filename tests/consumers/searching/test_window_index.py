"""What only an index in a folder has: its files, its snapshots, and what earlier releases wrote."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.consumers.searching.conftest import PIPELINE, SearchWorld, SeedEmbedder
from triptych.consumers.asking.asker import Asker
from triptych.consumers.recommending.index_catalogue import IndexCatalogue
from triptych.consumers.searching.index_opening import open_index
from triptych.consumers.searching.index_store import SearchIndexError
from triptych.consumers.searching.indexing import IndexLoop, Retention
from triptych.consumers.searching.rows import IndexRow
from triptych.consumers.searching.search import MomentQuery
from triptych.consumers.searching.window_index import WindowIndex, index_writer
from triptych.schemas.errors import UsageError


def test_an_index_that_was_killed_while_it_was_created_is_created_again(world: SearchWorld) -> None:
    """Its table is there, its first commit is not."""
    with index_writer(world.folder, PIPELINE) as writer:
        writer.table.delete("part = 'meta'")
    world.publish(world.result(0, "bank"))
    assert world.index().windows == 1
    assert len(world.keys()) == 1


def test_an_open_search_goes_on_with_the_index_that_replaces_its_own(
    world: SearchWorld, indexed: Callable[..., SearchWorld]
) -> None:
    """The numbers of its versions begin again, and the folder often has the inode of the one that was deleted."""
    for number in range(6):  # the first index has more versions than those that replace it
        indexed(world.result(3 * number, "bank"))
    moments = world.search()
    for others in (5, 6, 7):
        assert moments.find("bank").moments
        shutil.rmtree(world.folder)
        with pytest.raises(SearchIndexError, match="the index cannot be used"):
            moments.find("bank")
        indexed(world.result(30 + 3 * others, "bank"))
    assert len(moments.find("bank").moments) == 9


@pytest.mark.parametrize("query", [MomentQuery("bank"), MomentQuery("like 2"), MomentQuery(said="bank")])
def test_a_search_reads_again_if_its_version_is_deleted_meanwhile(
    world: SearchWorld,
    indexed: Callable[..., SearchWorld],
    query: MomentQuery,
    delete_what_is_seen: Callable[[Callable[[], object]], list[int]],
) -> None:
    """A version may be older than the writer keeps old ones, and still be the newest until the search has begun."""
    indexed(*(world.result(3 * number, "bank", like=number) for number in range(3)))
    moments = world.search(SeedEmbedder() if query.text == "like 2" else None)
    revisions = [world.result(3 * number, "bank", like=number, revision=1) for number in range(3)]
    deleted = delete_what_is_seen(lambda: indexed(*revisions))
    assert len(moments.find(query).moments) == 3
    assert deleted


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


def test_a_folder_that_cannot_be_written_is_told(world: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, for example. The error names the folder."""

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("lance error: No space left on device")

    with index_writer(world.folder, PIPELINE) as writer:
        monkeypatch.setattr(type(writer.table.merge_insert("key")), "execute", full)
        with pytest.raises(UsageError, match=r"index: the index cannot be used: .*No space left"):
            writer.write([], writer.meta)


@pytest.mark.parametrize("place", ["file", "file/inner"], ids=["a file", "in a file"])
def test_a_place_that_can_have_no_folder_is_told(place: str, tmp_path: Path) -> None:
    """Before anything is read from Kafka."""
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(UsageError, match="expected a folder for the index that can be written"),
        index_writer(tmp_path / place, PIPELINE),
    ):
        pass


@pytest.mark.parametrize("open_folder", [WindowIndex.open, Asker.open])
def test_a_damaged_index_is_told_with_what_to_do(open_folder: Callable[[Path], object], world: SearchWorld) -> None:
    """Its versions are gone, for example. A writer says the same."""
    world.publish(world.result(0, "bank"))
    world.index()
    folder = world.folder
    shutil.rmtree(folder / "windows.lance" / "_versions")
    with pytest.raises(UsageError, match=r"damaged or cannot be read: .*; delete the folder"):
        open_folder(folder)
    with pytest.raises(UsageError, match="damaged or cannot be read"), index_writer(folder, PIPELINE):
        pass


def test_the_other_indexes_are_kept_up_to_date_when_that_of_equal_vectors_is_trained(tmp_path: Path) -> None:
    """Equal vectors leave clusters empty. The only row that is not indexed is that of the index itself."""
    vector = tuple(float(number == 0) for number in range(16))
    rows = [IndexRow(f"w{n}", "video", f"r{n}", "city", n, n + 1, n, "car", vector) for n in range(20_000)]
    index = WindowIndex.create(tmp_path / "index", PIPELINE)
    index.write(rows, replace(index.meta, space="test-1", dimensions=16))
    index.maintain()
    left = {one.name: index.table.index_stats(one.name).num_unindexed_rows for one in index.table.list_indices()}
    assert index.meta.trained_rows == 20_000
    assert len(left) == 8
    assert max(left.values()) <= 1


def test_maintenance_adds_the_indexes_that_an_earlier_release_did_not_write(tmp_path: Path) -> None:
    """Of the ends of windows, for example."""
    index = WindowIndex.create(tmp_path / "index", PIPELINE)
    index.write([IndexRow("w", "video", "r", "city", 1, 2, 1, "car")], index.meta)
    index.table.drop_index("end_ns_idx")
    index.maintain()
    found = {one.name: one.columns for one in index.table.list_indices()}
    assert found["end_ns_idx"] == ["end_ns"]


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


def test_a_folder_holds_the_index_of_one_pipeline(world: SearchWorld) -> None:
    """The error says what to do."""
    world.index()
    with (
        pytest.raises(UsageError, match="expected the index of pipeline 'other', got that of 'triptych'"),
        index_writer(world.folder, "other"),
    ):
        pass


@pytest.mark.parametrize("open_folder", [WindowIndex.open, IndexCatalogue.open, Asker.open])
def test_what_needs_a_folder_refuses_a_server(open_folder: Callable[[Path], object]) -> None:
    """The error says what to do. It does not show the URL, which may have a password."""
    with pytest.raises(UsageError, match="`triptych index --index FOLDER` writes an index in a folder") as caught:
        open_folder(Path("postgresql://me:hunter2@h/db"))
    assert "hunter2" not in str(caught.value)


def test_an_index_that_is_deleted_while_it_is_written_is_told(world: SearchWorld) -> None:
    """In one line, as any place that cannot be written."""
    world.publish(world.result(0, "bank"))
    with world.writer() as writer:
        shutil.rmtree(world.folder)
        with pytest.raises(UsageError, match=re.escape(str(world.folder))):
            IndexLoop(writer).run(world.transport, threading.Event(), until_end=True)


@pytest.mark.parametrize("location", ["mysql://root@db/index", "s3://bucket/index", Path("file:/tmp/index")])
def test_the_url_of_something_else_is_no_folder(location: Path | str) -> None:
    """It would be made as one."""
    with pytest.raises(UsageError, match="expected a folder, or postgresql://"):
        open_index(location)
