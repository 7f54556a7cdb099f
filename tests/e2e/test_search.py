"""`triptych index` and `triptych search` as users run them: on a real Kafka, with `kill -9` while results arrive."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import UndefinedTable

from tests.e2e.programs import Installation, wait_until
from tests.kafka_topics import delete_topics
from tools.devservers import DevPostgres
from triptych.consumers.searching.graph.facts import row_graph
from triptych.consumers.searching.graph.window_graph import open_snapshot
from triptych.consumers.searching.window_index import WindowIndex
from triptych.schemas.codec import encode_result
from triptych.schemas.errors import UsageError
from triptych.schemas.names import result_id, results_topic
from triptych.schemas.results import Modalities, ModalityReport, ModelReference, Observations, Result, Words
from triptych.transport.protocols import Publisher, Transport
from triptych.transport.records import Message

START_NS = 1_767_225_600_000_000_000
WINDOW_NS = 2_000_000_000
NAME = "librivox_city_15s"
BATCH = 50
KILLS = 3


def said(number: int, stream: str) -> Result:
    """Return the result of a window in which a word of its own was said."""
    start_ns = START_NS + number * WINDOW_NS
    absent = ModalityReport(state="absent")
    return Result(
        id=result_id(stream, start_ns, start_ns + WINDOW_NS, 0),
        stream=stream,
        start_ns=start_ns,
        end_ns=start_ns + WINDOW_NS,
        closed_by="progress",
        published_ns=start_ns,
        modalities=Modalities(video=absent, audio=absent, subtitles=ModalityReport(state="present", items=1, used=1)),
        model=ModelReference(name="null", version="1", sha256="0" * 64),
        observations=Observations(
            words=(Words(text=f"word{number} of {stream}", start_ns=start_ns, end_ns=start_ns + WINDOW_NS),)
        ),
    )


@contextmanager
def publishing(here: Installation) -> Iterator[list[str]]:
    """Publish results of two streams until the end of the block. The list has the keys of their rows."""
    stop, keys = threading.Event(), list[str]()

    def publish() -> None:
        with closing(here.transport()) as transport, closing_publisher(transport) as publisher:
            number = 0
            while not stop.is_set():
                batch = [said(number + step, stream) for step in range(BATCH) for stream in ("north", "south")]
                for result in batch:
                    key, value, headers = encode_result(result, pipeline=here.pipeline)
                    publisher.send(Message(results_topic(here.pipeline), key, value, headers))
                publisher.flush(20)
                keys.extend(f"{result.window}|subtitles" for result in batch)
                number += BATCH
                stop.wait(0.1)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield keys
    finally:
        stop.set()
        thread.join()


def publish_all(here: Installation, results: Iterable[Result]) -> None:
    """Publish results as the worker does."""
    with closing(here.transport()) as transport, closing_publisher(transport) as publisher:
        for result in results:
            key, value, headers = encode_result(result, pipeline=here.pipeline)
            publisher.send(Message(results_topic(here.pipeline), key, value, headers))


@contextmanager
def closing_publisher(transport: Transport) -> Iterator[Publisher]:
    """Return a publisher and close it at the end."""
    publisher = transport.publisher()
    try:
        yield publisher
    finally:
        publisher.close(20)


def indexed_keys(here: Installation) -> list[str]:
    """Return the keys of all rows."""
    table = WindowIndex.open(here.folder / "index").table
    return table.search().where("part != 'meta'").select(["key"]).limit(1_000_000).to_arrow()["key"].to_pylist()


@pytest.mark.timeout(400)
def test_a_killed_indexer_loses_and_doubles_nothing(install: Callable[..., Installation]) -> None:
    """At three random moments while results arrive; then a last run to the end."""
    here, moments = install(), random.Random(5)  # noqa: S311 - when to kill
    command = ("index", "--index", str(here.folder / "index"))
    with publishing(here) as published:
        before = 0
        for _ in range(KILLS):
            with here.running(*command) as indexer:
                wait_until(grown(here, before), "a commit")
                time.sleep(moments.uniform(0, 1.5))  # when the kill comes is what varies; nothing waits for it
                indexer.kill()
            before = len(indexed_keys(here))
    here.run(*command, "--until-end").succeeded()
    assert Counter(indexed_keys(here)) == Counter(published)
    assert before < len(published)
    index = WindowIndex.open(here.folder / "index")
    graph = open_snapshot(index.graph_folder, index.meta.graph)
    assert Counter(graph.named_graphs()) == Counter(row_graph(key) for key in published)


def test_an_index_continues_in_a_results_topic_that_was_created_again(
    install: Callable[..., Installation],
) -> None:
    """It was made while the indexer was stopped, and has grown beyond the old positions."""
    here = install()
    index = ("index", "--index", str(here.folder / "index"), "--until-end")
    old, new = [said(number, "north") for number in range(20)], [said(number, "north") for number in range(100, 150)]
    publish_all(here, old)
    assert here.run(*index).succeeded().events("results_topic_recreated") == []
    delete_topics(here.bootstrap_servers, [results_topic(here.pipeline)])
    here.make_topics()
    publish_all(here, new)
    (line,) = here.run(*index).succeeded().events("results_topic_recreated")
    assert "read from its beginning" in line["hint"]
    assert Counter(indexed_keys(here)) == Counter(f"{result.window}|subtitles" for result in [*old, *new])


@pytest.mark.timeout(400)
def test_a_killed_indexer_and_a_killed_postgresql_lose_and_double_nothing(
    install: Callable[..., Installation], start_postgres: Callable[[], DevPostgres], tmp_path: Path
) -> None:
    """While results arrive. The indexer waits for its server; a search says that it is away, and works again."""
    server, word = start_postgres(), tmp_path / "password"
    word.write_text(server.password, encoding="utf-8")
    here = install(TRIPTYCH_INDEX_PASSWORD_FILE=str(word))
    location = ("--index", server.url())

    def indexed() -> list[str]:
        table = sql.Identifier(f"triptych_{here.pipeline}", "windows")
        with psycopg.connect(server.url(), password=server.password) as connection, suppress(UndefinedTable):
            return [key for (key,) in connection.execute(sql.SQL("SELECT key FROM {}").format(table))]
        return []

    with publishing(here) as published:
        with here.running("index", *location) as indexer:
            wait_until(lambda: len(indexed()) > 0, "a commit")
            indexer.kill()
        before = len(indexed())
        with here.running("index", *location) as indexer:
            wait_until(lambda: len(indexed()) > before, "a commit after the indexer was killed")
            server.process.kill()
            indexer.wait_for("index_server_away")
            away = here.run("search", *location, "word7")
            server.start()
            before = len(indexed())
            wait_until(lambda: len(indexed()) > before, "a commit after the server was killed")
            assert indexer.stop().exit_code == 0
    here.run("index", *location, "--until-end").succeeded()
    assert Counter(indexed()) == Counter(published)
    assert away.exit_code == 3
    assert "PostgreSQL does not answer" in away.err
    assert server.password not in away.err + indexer.err
    lines = here.run("search", *location, "--said", "word7", "--json").succeeded().out.splitlines()
    assert {json.loads(line)["stream"] for line in lines} == {"north", "south"}


def grown(here: Installation, before: int) -> Callable[[], bool]:
    """Return a check whether the index has more rows than before.

    It reads the index only after a commit. Otherwise it would take the processor from the indexer that it waits for.
    """
    versions = here.folder / "index" / "windows.lance" / "_versions"
    seen = 0

    def check() -> bool:
        nonlocal seen
        found = len(list(versions.glob("*")))
        is_new, seen = found != seen, found
        return is_new and count_or_zero(here) > before

    return check


def count_or_zero(here: Installation) -> int:
    """Return the number of rows, 0 while the index is being created."""
    try:
        return len(indexed_keys(here))
    except (UsageError, ValueError, RuntimeError):
        return 0


def test_moments_of_a_clip_are_found(install: Callable[..., Installation], clip: Callable[[str], str]) -> None:
    """From the clip to the line of the search. The evidence that it names exists."""
    here = install()
    here.run("produce", clip(f"{NAME}.mkv"), "--start-at", "2026-01-01T00:00:00Z").succeeded()
    here.run("work", "--until-end").succeeded()
    folder = ("--index", str(here.folder / "index"))
    assert "indexed" in here.run("index", *folder, "--until-end").succeeded().err

    words = here.delivered_results("kafka")[2].observations.words[0].text.split()
    lines = here.run("search", *folder, "--said", " ".join(words[:3]), "--json").succeeded().out.splitlines()
    found = json.loads(lines[0])
    assert found["stream"] == NAME
    assert set(words[:3]) <= set(" ".join(why["text"] for why in found["windows"][0]["why"]).split())

    shown = here.run("search", *folder, words[0]).succeeded()
    assert "triptych evidence" in shown.out
    here.run("evidence", found["windows"][0]["result"], "--out", str(here.folder / "evidence")).succeeded()
    nothing = here.run("search", *folder, "--said", "zebra").succeeded()
    assert "nothing was found" in nothing.out
