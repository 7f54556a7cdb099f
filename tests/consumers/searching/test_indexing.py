"""Writing the index, in a folder and in PostgreSQL: what a commit holds, what a killed writer leaves, retention."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from structlog.testing import capture_logs

from tests.consumers.conftest import START_NS
from tests.consumers.searching.conftest import (
    DIMENSIONS,
    PIPELINE,
    SPACE,
    SearchWorld,
    SeedEmbedder,
    StorePlace,
    unit_vector,
)
from triptych.consumers.searching import indexing, window_index
from triptych.consumers.searching.description_feed import DescriptionFeed
from triptych.consumers.searching.index_store import IndexMeta, IndexStore, RowConditions
from triptych.consumers.searching.indexing import IndexLoop, Retention
from triptych.consumers.searching.postgres import postgres_index
from triptych.consumers.searching.rows import IndexRow
from triptych.consumers.subscription import topic_changes
from triptych.schemas.errors import UsageError
from triptych.schemas.names import descriptions_topic, results_topic
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.memory.transport import MemoryTransport
from triptych.units import NS_PER_S


class KilledError(Exception):
    """The writer was killed."""


@pytest.fixture
def store(each_store: StorePlace) -> StorePlace:
    """Return where the index is written: each test runs with both."""
    return each_store


def test_a_second_run_continues_where_the_index_ends(world: SearchWorld) -> None:
    """Nothing is read twice."""
    world.publish(*(world.result(number, f"w{number}") for number in range(5)))
    assert world.index().windows == 5
    world.publish(world.result(5, "w5"))
    assert world.index().windows == 1
    assert len(world.keys()) == 6


def test_topics_that_were_created_again_between_two_runs_are_read_from_their_beginning(world: SearchWorld) -> None:
    """They have more records than the old ones, so that the old offsets exist in them. What was indexed stays."""
    old = [world.result(number, f"w{number}") for number in range(5)]
    world.publish(*old)
    world.describe(old[0], "a lorry")
    world.index()
    kept = world.keys()
    for name in (results_topic, descriptions_topic):
        world.transport.recreate(name(PIPELINE))
    new = [world.result(number, f"w{number}") for number in range(100, 120)]
    world.publish(*new)
    for result in new[:3]:
        world.describe(result, "a bus")
    with capture_logs() as logs:
        counts = world.index()
    assert (counts.windows, counts.descriptions) == (20, 3)
    parts = [f"{result.window}|subtitles" for result in new] + [f"{one.window}|description" for one in new[:3]]
    assert world.keys() == sorted(kept + parts)
    found = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert sorted(found) == ["descriptions_topic_recreated", "results_topic_recreated"]
    assert world.index().windows == 0


def test_topics_that_change_while_they_are_read_are_followed(
    world: SearchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the index is being written: descriptions are created again and grow, and results are created again."""
    monkeypatch.setattr(topic_changes, "INTERVAL_S", 0.02)
    monkeypatch.setattr(indexing, "_COMMIT_EVERY_S", 0.05)
    memory, topic = world.transport, descriptions_topic(PIPELINE)
    results = [world.result(number, f"w{number}") for number in range(9)]
    stop = threading.Event()
    with world.writer() as writer, ThreadPoolExecutor(1) as thread:
        loop = IndexLoop(writer)
        running = thread.submit(loop.run, memory, stop)
        try:
            for change, result in (
                (lambda: None, results[0]),
                (lambda: memory.recreate(topic), results[1]),
                (lambda: memory.add_partitions(topic, 40), results[2]),
                (lambda: memory.recreate(results_topic(PIPELINE)), results[3]),
            ):
                change()
                world.publish(result)
                world.describe(result, "a lorry")
                deadline_s = time.monotonic() + 60
                while f"{result.window}|description" not in world.keys():  # noqa: SIM118 - not a mapping
                    assert time.monotonic() < deadline_s, f"{result.window} is not in the index"
                    assert not running.done(), running.result()
                    time.sleep(0.02)
        finally:
            stop.set()
            running.result(60)
    assert len(world.keys()) == 8


def test_a_descriptions_topic_that_is_created_later_is_read(
    world: SearchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline has none until somebody describes its windows."""
    monkeypatch.setattr(topic_changes, "INTERVAL_S", 0.02)
    memory = MemoryTransport()
    feed = DescriptionFeed(memory, IndexMeta(PIPELINE))
    assert feed.poll() == []
    feed.end_now()
    assert feed.is_at_end()
    there = SearchWorld(memory, world.place, world.make)
    there.describe(world.result(0), "a lorry")
    deadline_s = time.monotonic() + 60
    rows: list[IndexRow] = []
    while not rows:
        assert time.monotonic() < deadline_s
        rows = feed.poll(0.02)
    assert [row.text.strip() for row in rows] == ["a lorry"]
    assert feed.topic_id == memory.admin().identify([descriptions_topic(PIPELINE)])[descriptions_topic(PIPELINE)].id
    feed.close()
    there.close()


def kill_before_commit(writer: IndexStore, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the writer be killed before its commit of this number, counted from 1."""
    numbers, write = count(1), writer.write

    def write_or_be_killed(rows: Sequence[IndexRow], meta: IndexMeta) -> None:
        if next(numbers) == number:
            raise KilledError
        write(rows, meta)

    monkeypatch.setattr(writer, "write", write_or_be_killed)


@pytest.mark.parametrize("commits", [1, 2, 3])
def test_a_writer_killed_before_a_commit_loses_and_doubles_nothing(
    world: SearchWorld, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    """The rows and the positions behind them are one commit: it is there, or the batch is read again."""
    monkeypatch.setattr(indexing, "_BATCH_WINDOWS", 30)
    results = [world.result(number, f"w{number}", like=number) for number in range(90)]
    world.publish(*results)
    world.describe(results[3], "a lorry")
    with world.writer() as writer:
        kill_before_commit(writer, commits, monkeypatch)
        with pytest.raises(KilledError):
            IndexLoop(writer).run(world.transport, threading.Event(), until_end=True)
    before = len(world.keys())
    assert 60 * (commits - 1) <= before < 60 * commits
    world.index()
    expected = [f"{one.window}|{part}" for one in results for part in ("subtitles", "video")]
    assert world.keys() == sorted([*expected, f"{results[3].window}|description"])
    assert world.reader().rows() == 181


def test_what_is_too_old_is_deleted(world: SearchWorld) -> None:
    """By the time of publication."""
    world.publish(*(world.result(number, f"w{number}") for number in range(10)))
    now_ns = START_NS + 20 * NS_PER_S + NS_PER_S // 4
    counts = world.index(Retention(keep_s=11.9), wall_ns=lambda: now_ns)
    assert counts.expired == 4
    assert len(world.keys()) == 6


def test_the_oldest_go_from_an_index_that_is_too_large(world: SearchWorld) -> None:
    """The newest stay."""
    world.publish(*(world.result(number, f"w{number}") for number in range(200)))
    world.index()
    with world.writer() as writer:
        limit, deleted = 2 * writer.size_bytes(), 0
        assert writer.shrink(limit) == 0
        while not deleted:
            limit //= 2
            deleted = writer.shrink(limit)
    assert 20 <= deleted <= 150
    assert len(world.keys()) == 200 - deleted
    assert world.keys()[-1] == world.result(199, "").window + "|subtitles"


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

    def reach(loop: IndexLoop, _: int) -> None:
        reached.append(loop)
        stop.set()

    monkeypatch.setattr(IndexLoop, "maintain", reach)
    with world.writer() as writer:
        loop = IndexLoop(writer, Retention(keep_s=60.0), monotonic_s=now_s)
        loop.run(world.transport, stop)
    assert len(reached) == 2  # while it ran, and at its end


def test_descriptions_of_a_new_index_begin_where_it_begins(world: SearchWorld) -> None:
    """`--since now` leaves out what was described before."""
    old, new = world.result(0, "x"), world.result(9, "y")
    world.describe(old, "an old lorry")
    with world.writer() as writer:
        IndexLoop(writer).run(world.transport, threading.Event(), since="now", until_end=True)
    world.describe(new, "a new lorry")
    world.index()
    assert world.keys() == [f"{new.window}|description"]


def test_only_one_process_writes_an_index(world: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to do. When the first one has ended, the second one may."""
    monkeypatch.setattr(postgres_index, "_LOCK_WAIT_S", 0.2)
    with (
        world.writer(),
        pytest.raises(UsageError, match="another `triptych index` writes"),
        world.writer(),
    ):
        pass
    world.publish(world.result(0, "bank"))
    assert world.index().windows == 1


def test_vectors_are_found_after_their_index_was_made(world: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The approximate index answers as the exact comparison does, for windows before and after it was made."""
    monkeypatch.setattr(window_index, "_VECTOR_INDEX_ROWS", 300)
    monkeypatch.setattr(postgres_index, "_VECTOR_INDEX_ROWS", 300)
    world.publish(*(world.result(5 * number, "x", like=number) for number in range(300)))
    world.index()
    assert world.reader().meta.trained_rows >= 300
    world.publish(world.result(5_000, "x", like=7_000))
    world.index()
    search = world.search(SeedEmbedder())
    for seed, number in ((11, 55), (7_000, 5_000)):
        assert search.find(f"like {seed}").moments[0].windows[0].window == world.result(number, "").window


def backlogs_of_maintenance(world: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Index everything that exists, with maintenance after each commit. Return how much each was told to be left."""
    told: list[int] = []
    monkeypatch.setattr(indexing, "_BATCH_WINDOWS", 40)
    monkeypatch.setattr(indexing, "_MAINTAIN_EVERY_COMMITS", 1)
    with world.writer() as writer:
        maintain = writer.maintain

        def record(*, backlog: int = 0) -> None:
            told.append(backlog)
            maintain(backlog=backlog)

        monkeypatch.setattr(writer, "maintain", record)
        IndexLoop(writer).run(world.transport, threading.Event(), until_end=True)
    return told


def test_maintenance_knows_how_many_results_are_left(world: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """In all partitions, also in those that were not read yet, and after a restart."""
    world.publish(*(world.result(number, "x", stream=f"s{number % 7}") for number in range(100)))
    told = backlogs_of_maintenance(world, monkeypatch)
    assert told[:2] == [60, 20]
    assert set(told[2:]) == {0}
    world.publish(*(world.result(number, "x", stream=f"s{number % 7}") for number in range(100, 150)))
    told = backlogs_of_maintenance(world, monkeypatch)
    assert told[0] == 10
    assert set(told[1:]) == {0}


def test_a_broker_that_does_not_say_how_many_results_are_left_ends_nothing(
    world: SearchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None are assumed."""

    def fail(*_: object) -> int:
        raise BrokerUnavailableError("no broker")

    monkeypatch.setattr(indexing, "records_after", fail)
    world.publish(*(world.result(number, "x") for number in range(100)))
    assert set(backlogs_of_maintenance(world, monkeypatch)) == {0}
    assert len(world.keys()) == 100


def test_an_index_of_another_format_is_refused(world: SearchWorld) -> None:
    """The error says how to write it again."""
    with world.writer() as writer:
        writer.write([], replace(writer.meta, version=99))
    with pytest.raises(UsageError, match=r"expected an index of format 1.* got 99"):
        world.reader()


def test_what_an_index_says_of_itself_is_read_again(world: SearchWorld) -> None:
    """By the next writer, and by readers that were open before."""
    with world.writer() as writer:
        reader = world.reader()
        said = replace(
            writer.meta,
            space=SPACE,
            dimensions=DIMENSIONS,
            cursor="c/1",
            description_offsets={"0": 4, "1": 2},
            other_spaces=3,
            graph="",
        )
        writer.write([IndexRow("w", "video", "r", "city", 1, 2, 3, "car", tuple(unit_vector(1).tolist()))], said)
        assert reader.meta != writer.meta
        reader.refresh()
        assert replace(reader.meta, graph="") == replace(writer.meta, graph="") == said
    with world.writer() as writer:
        assert replace(writer.meta, graph="") == said


def test_the_last_row_of_a_key_stays(world: SearchWorld) -> None:
    """Of the same commit, and of two; with all that it says. A row without a vector takes the older one away."""
    vector = tuple(unit_vector(1).tolist())
    first = IndexRow("w", "video", "r/0", "city", 1, 2, 3, "car", vector, {"labels": ["car"]})
    second = replace(first, result="r/1", stream="dock", start_ns=4, end_ns=5, published_ns=6, text="", details=None)
    third = replace(second, result="r/2", vector=None, text="bridge 'x' \\ \"y\" 桥", details={"labels": ["x'\\桥"]})
    with world.writer() as writer:
        meta = replace(writer.meta, space=SPACE, dimensions=DIMENSIONS)
        for rows, shown, near in (([first], first, 1), ([first, second], second, 1), ([third], third, 0)):
            writer.write(rows, meta)
            (row,) = writer.with_details(writer.newest_rows(RowConditions(), 10))
            names = ("window", "part", "result", "stream", "start_ns", "end_ns", "text")
            assert [row[name] for name in names] == [getattr(shown, name) for name in names]
            assert row["details"] == shown.details_json()
            assert len(writer.rank_by_meaning(unit_vector(1), RowConditions(), 10)) == near
            assert writer.rows() == 1


@pytest.mark.parametrize(
    ("patterns", "streams"),
    [
        (("city-*",), {"city-1", "city-22"}),
        (("city-?",), {"city-1"}),
        (("city_1",), {"city_1"}),
        (("c%",), set()),
        (("%*", "a.?"), {"%1", "a.b"}),
        (("*\\*", "x'y"), {"b\\c"}),
        (("City-1",), set()),
        (("*",), {"city-1", "city-22", "city_1", "cityX1", "%1", "a.b", "b\\c"}),
        (("\0*",), set()),
    ],
)
def test_patterns_choose_streams(world: SearchWorld, patterns: tuple[str, ...], streams: set[str]) -> None:
    """Only `*` and `?` have a meaning; those of SQL stand for themselves."""
    names = ("city-1", "city-22", "city_1", "cityX1", "%1", "a.b", "b\\c")
    with world.writer() as writer:
        vectors = {name: tuple(unit_vector(number).tolist()) for number, name in enumerate(names)}
        rows = [IndexRow(f"{name}/w", "video", "r", name, 1, 2, 3, "car", vectors[name]) for name in names]
        writer.write(rows, replace(writer.meta, space=SPACE, dimensions=DIMENSIONS))
        conditions = RowConditions(stream_patterns=patterns)
        assert {row["stream"] for row in writer.newest_rows(conditions, 10)} == streams
        assert {row["stream"] for row in writer.rank_by_words("car", conditions, 10)} == streams
        assert {row["stream"] for row in writer.rank_by_meaning(unit_vector(1), conditions, 10)} == streams


def test_conditions_hold_in_each_ranking(world: SearchWorld) -> None:
    """Streams, times, parts and windows; the nearest and the newest first, and no more than were asked for."""
    with world.writer() as writer:
        rows = [
            IndexRow(f"w{n}", part, "r", "ab"[n % 2], 10 * n, 10 * n + 10, n, "car", tuple(unit_vector(n).tolist()))
            for n in range(20)
            for part in ("video", "audio")
        ]
        writer.write(rows, replace(writer.meta, space=SPACE, dimensions=DIMENSIONS))
        for conditions, expected in (
            (RowConditions(streams=("a",)), range(0, 20, 2)),
            (RowConditions(streams=("a", "nothing")), range(0, 20, 2)),
            (RowConditions(since_ns=100), range(10, 20)),
            (RowConditions(until_ns=100), range(10)),
            (RowConditions(since_ns=101, until_ns=110), [10]),
            (RowConditions(windows=("w3", "w4", "x")), [3, 4]),
            (RowConditions(windows=()), []),
            (RowConditions(parts=("audio",), streams=("b",), until_ns=60), [1, 3, 5]),
            (RowConditions(parts=("description",)), []),
        ):
            windows = {f"w{number}" for number in expected}
            found = [
                writer.rank_by_words("cars", conditions, 100),
                writer.rank_by_words("car", conditions, 100, needs_all=True),
                writer.rank_by_meaning(unit_vector(4), conditions, 100),
                writer.newest_rows(conditions, 100),
            ]
            assert [{row["window"] for row in ranked} for ranked in found] == [windows] * 4
            assert set(writer.windows_with_words("car", conditions, 100)) == windows
            assert {row["part"] for ranked in found for row in ranked} <= set(conditions.parts)
        near = writer.rank_by_meaning(unit_vector(4), RowConditions(), 7)
        assert [row["window"] for row in near[:2]] == ["w4", "w4"]
        similarities = [row["similarity"] for row in near]
        exact = sorted((float(unit_vector(n) @ unit_vector(4)) for n in range(20) for _ in range(2)), reverse=True)
        np.testing.assert_allclose(similarities, exact[:7], atol=2e-3)
        newest = writer.newest_rows(RowConditions(), 3)
        assert [row["window"] for row in newest] == ["w19", "w19", "w18", "w18", "w17", "w17"]
        assert len(writer.windows_with_words("car", RowConditions(), 5)) == 5
