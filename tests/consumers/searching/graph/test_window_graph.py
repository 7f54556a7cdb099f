"""The graph of an index is exactly that of its rows: after revisions, kills, retention, and for indexes without one."""

from __future__ import annotations

import shutil
import threading
from itertools import count
from pathlib import Path

import pytest
from pyoxigraph import Quad, Store

from tests.consumers.conftest import START_NS
from tests.consumers.searching.conftest import PIPELINE, SearchWorld
from triptych.consumers.searching import window_index
from triptych.consumers.searching.graph.facts import PREFIXES, entity_facts, row_facts
from triptych.consumers.searching.graph.window_graph import WindowGraph, WindowGraphError, open_snapshot
from triptych.consumers.searching.indexing import IndexLoop, Retention
from triptych.consumers.searching.window_index import WindowIndex, index_writer
from triptych.schemas.perception.objects import ObjectCount
from triptych.schemas.results import Quality, Result
from triptych.units import NS_PER_S


def graph_of(folder: Path) -> set[Quad]:
    """Return everything in the graph of the newest commit."""
    index = WindowIndex.open(folder)
    return set(open_snapshot(index.graph_folder, index.meta.graph))


def facts_of_rows(folder: Path) -> set[Quad]:
    """Return what the rows of the newest commit say."""
    rows = [window_index._row(document) for document in documents(folder)]  # noqa: SLF001 - reads rows as the index does
    return {quad for row in rows for quad in (*row_facts(row), *entity_facts(row))}


def documents(folder: Path) -> list[dict[str, object]]:
    """Return the rows as they are stored."""
    columns = window_index._ROW_COLUMNS  # noqa: SLF001 - as above
    search = WindowIndex.open(folder).table.search().where("part != 'meta'").select(columns)
    return list(search.limit(10_000).to_list())


def busy(world: SearchWorld, number: int, **changes: object) -> Result:
    """Return a result with words, a label, counts and a flag."""
    return world.result(
        number,
        f"ANNA: We met John Smith, number {number}.",
        seen="tabby",
        counts={"people": ObjectCount(median=1, largest=2), "dog": ObjectCount(median=1, largest=number % 3 + 1)},
        quality=Quality(flags=("black",)),
        **changes,
    )


def test_the_graph_says_what_the_rows_say(world: SearchWorld) -> None:
    """Things with their counts, cues with speaker and names, flags, and the next window."""
    world.publish(busy(world, 0), busy(world, 1))
    world.describe(busy(world, 1), "A lorry")
    world.index()
    assert graph_of(world.folder) == facts_of_rows(world.folder)
    index = WindowIndex.open(world.folder)
    store = open_snapshot(index.graph_folder, index.meta.graph)
    query = """
        ASK { ?a a tri:Window ; tri:next ?b ; tri:quality "black" . ?b tri:title "A lorry" .
              ?b tri:shows ?dog ; tri:says ?cue .
              ?dog tri:label "dog" . ?sighting tri:in ?b ; tri:of ?dog ; tri:count 2 .
              ?cue tri:speaker ?anna ; tri:mentions ?john . ?anna tri:label "ANNA" . ?john tri:label "John Smith" }
    """
    assert store.query(query, prefixes=PREFIXES, use_default_graph_as_union=True)


def test_a_revision_replaces_the_facts_of_its_window(world: SearchWorld) -> None:
    """Also those that it no longer has."""
    world.publish(busy(world, 0), world.result(1, "bank"))
    world.index()
    world.publish(world.result(0, "river", revision=1))
    world.index()
    assert graph_of(world.folder) == facts_of_rows(world.folder)
    assert "urn:triptych:thing:dog" not in str(graph_of(world.folder))


def test_a_writer_killed_between_graph_and_index_doubles_nothing(world: SearchWorld) -> None:
    """The graph was written, the commit was not: the next writer continues from the graph of the last commit."""

    class KilledError(Exception):
        pass

    class KilledIndex(WindowIndex):
        commits = count(1)

        def _commit(self, *args: object, **options: object) -> None:
            """Be killed before the second commit, when the graph of it was written."""
            if next(self.commits) == 2:
                raise KilledError
            super()._commit(*args, **options)  # type: ignore[arg-type]

    world.publish(*(busy(world, number) for number in range(6)))
    world.index()
    before = graph_of(world.folder)
    world.publish(world.result(0, "river", revision=1), *(busy(world, number) for number in range(6, 9)))
    with index_writer(world.folder, PIPELINE) as writer:
        killed = KilledIndex(world.folder, writer.table, writer.meta, writer._graph)  # noqa: SLF001 - the same graph
        killed.commits = count(2)
        with pytest.raises(KilledError):
            IndexLoop(killed).run(world.transport, threading.Event(), until_end=True)
        assert set(killed._graph._store) != before  # type: ignore[union-attr]  # noqa: SLF001 - it was written
    assert graph_of(world.folder) == before
    world.index()
    assert graph_of(world.folder) == facts_of_rows(world.folder)


def test_what_is_deleted_from_the_index_is_deleted_from_its_graph(world: SearchWorld) -> None:
    """In the same commit, with the entities that nothing names any more."""
    world.publish(world.result(0, "Ask Mary about it, Mary.", seen="lion"), *(busy(world, n) for n in range(1, 10)))
    now_ns = START_NS + 20 * NS_PER_S + NS_PER_S // 4
    assert world.index(Retention(keep_s=11.9), wall_ns=lambda: now_ns).expired
    assert graph_of(world.folder) == facts_of_rows(world.folder)
    assert not any("lion" in str(quad) for quad in graph_of(world.folder))


def test_an_index_without_a_graph_gets_one_of_its_rows(world: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was written before, or where pyoxigraph is not installed, or whose folder was deleted."""
    with monkeypatch.context() as without:
        without.setattr(window_index, "find_spec", lambda _: None)
        world.publish(busy(world, 0), world.result(1, "bank"))
        world.index()
        with pytest.raises(WindowGraphError, match="expected an index with a graph, found none"):
            graph_of(world.folder)
    world.index()
    assert graph_of(world.folder) == facts_of_rows(world.folder)
    with monkeypatch.context() as without:
        without.setattr(window_index, "find_spec", lambda _: None)
        world.publish(busy(world, 2))
        world.index()
    world.index()
    assert graph_of(world.folder) == facts_of_rows(world.folder)
    shutil.rmtree(world.folder / "graph")
    world.index()
    assert graph_of(world.folder) == facts_of_rows(world.folder)


def test_a_reader_keeps_the_graph_of_its_commit(world: SearchWorld) -> None:
    """Also while the writer goes on, and after old snapshots were deleted."""
    world.publish(busy(world, 0))
    world.index()
    index = WindowIndex.open(world.folder)
    store = open_snapshot(index.graph_folder, index.meta.graph)
    before = set(store)
    with index_writer(world.folder, PIPELINE) as writer:
        world.publish(*(busy(world, number) for number in range(1, 50)))
        IndexLoop(writer).run(world.transport, threading.Event(), until_end=True)
        graph = writer._graph  # noqa: SLF001 - deletes what a reader holds
        assert isinstance(graph, WindowGraph)
        graph.delete_snapshots(writer.meta.graph, window_index.KEEP_VERSIONS, 4e9)
    assert set(store) == before
    assert isinstance(store, Store)
    assert [path.name for path in index.graph_folder.iterdir() if path.name.isdecimal()] == [
        WindowIndex.open(world.folder).meta.graph
    ]
