"""What only an index on a server has: several pipelines, a server that goes away, users, and its limits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from tests.consumers.conftest import MakeResult
from tests.consumers.searching.conftest import (
    DIMENSIONS,
    PIPELINE,
    SPACE,
    SearchWorld,
    SeedEmbedder,
    StorePlace,
    unit_vector,
)
from tests.servers import open_server
from tools.devservers import DevPostgres
from triptych.consumers.searching.index_opening import open_index, open_index_writer
from triptych.consumers.searching.index_store import IndexStore, RowConditions, SearchIndexError
from triptych.consumers.searching.indexing import IndexLoop
from triptych.consumers.searching.postgres import postgres_index, postgres_queries, postgres_server
from triptych.consumers.searching.postgres.postgres_index import PostgresIndex
from triptych.consumers.searching.postgres.postgres_queries import PostgresQueries
from triptych.consumers.searching.postgres.postgres_schema import create_extension, schema_of, use_extension
from triptych.consumers.searching.postgres.postgres_server import (
    PostgresIndexError,
    PostgresServer,
    PostgresUnavailableError,
)
from triptych.consumers.searching.rows import IndexRow
from triptych.consumers.searching.search import MomentSearch
from triptych.schemas.errors import UsageError
from triptych.transport.memory.transport import MemoryTransport

LIMIT_S = 60.0


@pytest.fixture
def store(database: StorePlace) -> StorePlace:
    """Return an empty database."""
    return database


@pytest.fixture(scope="module")
def stopped_server() -> Iterator[DevPostgres]:
    """Start a server for the tests that stop it."""
    with ExitStack() as stack:
        yield open_server(stack, DevPostgres)


@pytest.fixture
def own_server(stopped_server: DevPostgres) -> DevPostgres:
    """Return a server that a test may stop, with no index."""
    if not stopped_server.process.alive:
        stopped_server.start()
    stopped_server.ask(f"DROP SCHEMA IF EXISTS {schema_of(PIPELINE)} CASCADE")
    return stopped_server


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return an event that is set when a writer begins to wait for the server."""
    told = threading.Event()

    class Log:
        def warning(self, event: str, **_: object) -> None:
            """Take the event."""
            assert event == "index_server_away"
            told.set()

    monkeypatch.setattr(postgres_server, "log", Log())
    return told


def row(number: int, stream: str = "city", **changes: object) -> IndexRow:
    """Return a row with a vector of its own."""
    vector = tuple(unit_vector(number).tolist())
    made = IndexRow(f"{stream}/{number}", "video", f"r{number}", stream, number, number + 1, number, "car", vector)
    return replace(made, **changes)  # type: ignore[arg-type]


def write(writer: IndexStore, *rows: IndexRow) -> None:
    """Write rows of the space of the tests."""
    writer.write(rows, replace(writer.meta, space=SPACE, dimensions=DIMENSIONS))


def test_pipelines_share_a_database(world: SearchWorld, store: StorePlace) -> None:
    """Each has its own writer and its own rows. A reader names the pipeline, if there are several."""
    long = "p" * 128
    with world.writer("north") as north, world.writer("south") as south, world.writer(long) as other:
        write(north, row(1))
        write(south, row(2), row(3))
        write(other, *(row(number) for number in range(4)))
    counts = {}
    for name in ("north", "south", long):
        with closing(open_index(store.location, name, store.password)) as reader:
            assert reader.meta.pipeline == name
            counts[name] = reader.rows()
    assert counts == {"north": 1, "south": 2, long: 4}
    with pytest.raises(
        PostgresIndexError, match=r"expected one index, found those of: north, pp*, south; .*--pipeline"
    ):
        world.reader()
    with pytest.raises(PostgresIndexError, match="expected the index of pipeline 'west', found those of: north"):
        open_index(store.location, "west", store.password)


@pytest.mark.parametrize("pipeline", ["a", "p" * 128, "p" * 127 + "q", "桥" * 40, "ü" * 54, "a" + "ü" * 60])
def test_the_name_of_a_schema_fits_into_that_of_postgresql(pipeline: str) -> None:
    """It counts bytes, and cuts longer names without a word: those of two pipelines would be equal."""
    name = schema_of(pipeline)
    assert len(name.encode()) <= 63
    assert name.startswith("triptych_")
    assert name != schema_of(pipeline + "x")


@pytest.mark.parametrize("is_crash", [False, True], ids=["stopped", "killed"])
def test_a_writer_waits_for_its_server_and_a_search_works_again(
    own_server: DevPostgres, make_result: MakeResult, away: threading.Event, *, is_crash: bool
) -> None:
    """What was published meanwhile is in the index once. A search meanwhile says that the server does not answer."""
    with ExitStack() as stack:
        transport = stack.enter_context(closing(MemoryTransport()))
        world = stack.enter_context(
            closing(SearchWorld(transport, StorePlace(own_server.url(), own_server.password), make_result))
        )
        world.publish(*(world.result(3 * number, f"w{number}", like=number) for number in range(20)))
        world.index()
        search = world.search(SeedEmbedder())
        assert search.find("like 3").moments
        stop = threading.Event()
        stack.callback(stop.set)  # if the test fails, the thread of the writer would wait for ever
        writer = stack.enter_context(
            open_index_writer(world.place.location, PIPELINE, password=world.place.password, stop=stop)
        )
        (own_server.process.kill if is_crash else own_server.stop)()
        world.publish(*(world.result(3 * number, f"w{number}", like=number) for number in range(20, 40)))
        indexing = threading.Thread(target=lambda: IndexLoop(writer).run(transport, stop, until_end=True))
        indexing.start()
        assert away.wait(LIMIT_S)
        with pytest.raises(PostgresUnavailableError, match=r"postgresql://triptych@127.*PostgreSQL does not answer"):
            search.find("like 3")
        own_server.start()
        indexing.join(LIMIT_S)
        assert not indexing.is_alive()
        assert search.find("like 33").moments[0].windows[0].window == world.result(99).window
        assert world.reader().rows() == len(set(world.keys())) == 80


def test_a_program_that_stops_does_not_wait_for_its_server(own_server: DevPostgres, away: threading.Event) -> None:
    """The error is that of a server that is away. The exit code says that a later try may succeed."""
    stop = threading.Event()
    with open_index_writer(own_server.url(), PIPELINE, password=own_server.password, stop=stop) as writer:
        own_server.stop()
        errors: list[PostgresUnavailableError] = []

        def write_one() -> None:
            try:
                write(writer, row(1))
            except PostgresUnavailableError as error:
                errors.append(error)

        writing = threading.Thread(target=write_one)
        writing.start()
        assert away.wait(LIMIT_S)
        stop.set()
        writing.join(LIMIT_S)
        assert [error.exit_code for error in errors] == [3]


def test_a_writer_waits_for_room_on_the_disk(
    store: StorePlace, world: SearchWorld, away: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on when there is some. A reader says what is the matter; a lasting error ends both."""
    errors: list[psycopg.Error] = []
    copied = vars(PostgresIndex)["_write_rows"]

    def copy(*args: object, **options: object) -> None:
        if errors:
            raise errors.pop()
        copied(*args, **options)

    monkeypatch.setattr(PostgresIndex, "_write_rows", copy)
    with world.writer() as writer:
        errors += [psycopg.errors.DiskFull("No space left"), psycopg.errors.DiskFull("No space left")]
        write(writer, row(1))
        assert away.is_set()
        errors += [psycopg.errors.UndefinedTable("no table")]
        with pytest.raises(PostgresIndexError, match="the index cannot be used: no table"):
            write(writer, row(2))
    with closing(PostgresIndex.open(str(store.location), password=store.password)) as reader:
        assert reader.rows() == 1
        errors += [psycopg.errors.DiskFull("No space left")]
        with pytest.raises(PostgresUnavailableError, match="PostgreSQL cannot do it now: No space left"):
            write(reader, row(3))


def lose_connections(server: DevPostgres) -> None:
    """End the sessions of indexes on a server."""
    server.ask("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'triptych'")


def test_a_writer_whose_connection_was_lost_writes_with_another_one(
    store: StorePlace, postgres_server: DevPostgres, world: SearchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the lock again. If another writer has it by then, it ends."""
    monkeypatch.setattr(postgres_index, "_LOCK_WAIT_S", 0.2)
    with world.writer() as writer:
        write(writer, row(1))
        lose_connections(postgres_server)
        write(writer, row(2))
        lose_connections(postgres_server)
        with open_index_writer(store.location, PIPELINE, password=store.password) as second:
            write(second, row(3))
            with pytest.raises(UsageError, match="another `triptych index` writes the index of pipeline 'triptych'"):
                write(writer, row(4))
    assert world.keys() == ["city/1|video", "city/2|video", "city/3|video"]


def test_a_writer_ends_if_another_one_wrote_while_it_had_no_connection(
    postgres_server: DevPostgres, world: SearchWorld
) -> None:
    """Even if that one has ended, and the lock is free: the positions of the index would go back."""
    with world.writer() as writer:
        write(writer, row(1))
        lose_connections(postgres_server)
        with world.writer() as second:
            second.write([row(2)], replace(second.meta, cursor="later"))
        with pytest.raises(UsageError, match="another `triptych index` has written the index of pipeline 'triptych' w"):
            write(writer, row(3))
    assert world.keys() == ["city/1|video", "city/2|video"]
    assert world.reader().meta.cursor == "later"


def test_a_commit_that_the_server_did_not_confirm_is_written_again(
    postgres_server: DevPostgres, world: SearchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index has what the writer writes, not what it wrote before."""
    with world.writer() as writer:
        assert isinstance(writer, PostgresIndex)
        write(writer, row(1))
        run = writer._server.run  # noqa: SLF001 - the answer of the server is what is lost
        answers = []

        def lose_the_first(call: Callable[[psycopg.Connection[Any]], object]) -> object:
            answers.append(run(call))
            if len(answers) == 1:
                lose_connections(postgres_server)
                return run(call)
            return answers[-1]

        monkeypatch.setattr(writer._server, "run", lose_the_first)  # noqa: SLF001
        writer.write([row(2)], replace(writer.meta, cursor="next"))
        writer.write([row(3)], replace(writer.meta, cursor="last"))
    assert world.keys() == ["city/1|video", "city/2|video", "city/3|video"]


def test_a_session_that_ended_because_its_program_slept_is_made_again(postgres_server: DevPostgres) -> None:
    """Servers may end one that is idle in a transaction, as that of a machine that was suspended."""
    server = PostgresServer(postgres_server.url(), password=postgres_server.password)
    sessions = []

    def call(connection: psycopg.Connection[Any]) -> int:
        sessions.append(connection.info.backend_pid)
        if len(sessions) == 1:
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = 1")
            while (
                postgres_server.ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'triptych'") != "0"
            ):
                threading.Event().wait(0.01)
        return len(connection.execute("SELECT 1").fetchall())

    with closing(server):
        assert server.run(call) == 1
    assert len(set(sessions)) == 2


def test_a_machine_that_has_gone_is_noticed_after_a_minute(postgres_server: DevPostgres) -> None:
    """Linux alone repeats what was sent for a quarter of an hour. A URL may say another time."""
    for options, limit_ms in (("", "60000"), ("?tcp_user_timeout=5000", "5000")):
        with closing(PostgresServer(postgres_server.url() + options, password=postgres_server.password)) as server:
            assert server.run(lambda connection: connection.info.get_parameters()["tcp_user_timeout"]) == limit_ms


def test_the_encoding_of_the_environment_does_not_matter(world: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, psycopg could not send texts in that of an old terminal."""
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with world.writer() as writer:
        write(writer, row(1, text="桥着火了"))
    assert world.search().find("着火").moments[0].windows[0].why[0].text == "桥着火了"


@pytest.fixture
def users(postgres_server: DevPostgres) -> Iterator[DevPostgres]:
    """Have a user who may write but has a time limit, and one who only searches."""
    password = postgres_server.password
    for name in ("indexer", "reader"):
        postgres_server.ask(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    postgres_server.ask("GRANT CREATE ON DATABASE postgres TO indexer")
    postgres_server.ask("ALTER ROLE indexer SET statement_timeout = '1h'")
    yield postgres_server
    for name in ("indexer", "reader"):
        postgres_server.ask(f"DROP OWNED BY {name} CASCADE")
        postgres_server.ask(f"DROP ROLE {name}")


def test_users_write_and_search_with_the_rights_that_they_need(users: DevPostgres, store: StorePlace) -> None:
    """A time limit of all users does not end what takes long. A missing right is named, with what to do."""
    writers, readers = (str(store.location).replace("triptych@", f"{name}@") for name in ("indexer", "reader"))
    with open_index_writer(writers, PIPELINE, password=store.password) as writer:
        assert isinstance(writer, PostgresIndex)
        write(writer, *(row(number) for number in range(10)))
        limit = writer._server.run(lambda connection: connection.execute("SHOW statement_timeout").fetchone())  # noqa: SLF001
        assert limit == ("0",)
    granted = 'GRANT CREATE, TEMPORARY ON DATABASE "postgres" TO "reader"'
    with (
        pytest.raises(
            PostgresIndexError, match=f"got reader: permission denied for database postgres; let .*{granted}"
        ),
        open_index_writer(readers, PIPELINE + "2", password=store.password),
    ):
        pass
    rights = r'GRANT USAGE ON SCHEMA "triptych_triptych" TO "reader"; GRANT SELECT ON ALL TABLES IN SCHEMA .*"reader"'
    for pipeline in (PIPELINE, None):
        with pytest.raises(PostgresIndexError, match=f"expected an index that the user reader may read.*{rights}"):
            open_index(readers, pipeline, store.password)
    users.ask('GRANT USAGE ON SCHEMA "triptych_triptych" TO reader')
    users.ask('GRANT SELECT ON ALL TABLES IN SCHEMA "triptych_triptych" TO reader')
    with closing(open_index(readers, PIPELINE, store.password)) as reader:
        assert len(reader.rank_by_words("car", RowConditions(), 10)) == 10


def test_tables_of_others_are_not_read(postgres_server: DevPostgres, world: SearchWorld, store: StorePlace) -> None:
    """Neither one of the same name elsewhere, nor that of another index, which may be damaged."""
    with world.writer() as writer:
        write(writer, row(1))
    postgres_server.ask("CREATE SCHEMA triptych_damaged; CREATE TABLE triptych_damaged.triptych_index (x int)")
    with closing(open_index(store.location, PIPELINE, store.password)) as reader:
        assert reader.rows() == 1
    postgres_server.ask("ALTER SCHEMA triptych_damaged RENAME TO others")
    try:
        assert world.reader().rows() == 1
    finally:
        postgres_server.ask("DROP SCHEMA others CASCADE")


def test_more_rows_are_found_than_the_graph_takes_candidates(
    world: SearchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search for a thousand moments asks for 6,000. pgvector refuses more than 1,000 candidates."""
    monkeypatch.setattr(postgres_index, "_VECTOR_INDEX_ROWS", 1_000)
    monkeypatch.setattr(postgres_queries, "_EXACT_ROWS", -1)
    with world.writer() as writer:
        write(writer, *(row(number) for number in range(1_500)))
        writer.maintain()
        assert writer.meta.trained_rows == 1_500
        found = writer.rank_by_meaning(unit_vector(7), RowConditions(), 1_400)
        assert len({one["window"] for one in found}) == 1_400
        assert found[0]["window"] == "city/7"
        similarities = [one["similarity"] for one in found]
        assert similarities == sorted(similarities, reverse=True)
        assert len(writer.rank_by_meaning(unit_vector(7), RowConditions(), 6_000)) == 1_500


def has_vector_index(server: DevPostgres) -> bool:
    """Return whether the vectors of the pipeline have an approximate index."""
    return server.ask(f"SELECT to_regclass('{schema_of(PIPELINE)}.windows_vector')") != ""


def test_a_large_backlog_is_written_without_an_index_of_the_vectors(
    world: SearchWorld, monkeypatch: pytest.MonkeyPatch, postgres_server: DevPostgres
) -> None:
    """It is made when the backlog is small, deleted for one that is large beside the index, and made again.

    At all times the nearest rows are found.
    """
    monkeypatch.setattr(postgres_index, "_VECTOR_INDEX_ROWS", 200)
    monkeypatch.setattr(postgres_index, "_LARGE_BACKLOG", 50)
    with world.writer() as writer:
        write(writer, *(row(number) for number in range(300)))
        for backlog, has_index in ((51, False), (50, True), (75, True), (76, False), (51, False), (0, True)):
            writer.maintain(backlog=backlog)
            assert (has_vector_index(postgres_server), bool(writer.meta.trained_rows)) == (has_index, has_index)
            assert world.reader().meta == writer.meta
            found = writer.rank_by_meaning(unit_vector(7), RowConditions(), 20)
            similarities = {f"city/{number}": float(unit_vector(number) @ unit_vector(7)) for number in range(300)}
            nearest = sorted(similarities, key=lambda window: -similarities[window])
            assert [one["window"] for one in found][:5] == nearest[:5]


def test_a_writer_killed_while_it_deletes_the_index_of_the_vectors_uses_it(
    world: SearchWorld, monkeypatch: pytest.MonkeyPatch, postgres_server: DevPostgres
) -> None:
    """It has said that there is none, but has not deleted it."""
    monkeypatch.setattr(postgres_index, "_VECTOR_INDEX_ROWS", 200)
    with world.writer() as writer:
        write(writer, *(row(number) for number in range(300)))
        writer.maintain()
        writer.write([], replace(writer.meta, trained_rows=0))
    with world.writer() as writer:
        writer.maintain(backlog=1_000_000)
        write(writer, row(300))
        writer.maintain()
        assert writer.meta.trained_rows == 301
        assert has_vector_index(postgres_server)
        assert writer.rank_by_meaning(unit_vector(300), RowConditions(), 1)[0]["window"] == "city/300"


def test_memory_that_is_too_small_for_the_index_of_the_vectors_is_told(
    store: StorePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To make it takes many times as long then."""
    monkeypatch.setattr(postgres_index, "_VECTOR_INDEX_ROWS", 1_000)
    url = f"{store.location}?options=-c%20maintenance_work_mem%3D64kB"
    with capture_logs() as logs, open_index_writer(url, PIPELINE, password=store.password) as writer:
        write(writer, *(row(number) for number in range(1_000)))
        writer.maintain()
    (told,) = (log for log in logs if log["event"] == "index_vectors_memory")
    assert "maintenance_work_mem" in told["reason"]
    assert "maintenance_work_mem" in told["hint"]


def test_rare_rows_are_found_although_the_graph_gives_up(
    store: StorePlace, world: SearchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By comparing all; so are those of which the server believes that they are few, at once."""
    monkeypatch.setattr(postgres_index, "_VECTOR_INDEX_ROWS", 1_000)
    with world.writer() as writer:
        write(
            writer, *(row(number) for number in range(1_500)), *(row(number, "rare") for number in range(2_000, 2_015))
        )
        writer.maintain()
    # Without a sort, the server uses the graph for so few rows too.
    url = f"{store.location}?options=-c%20hnsw.max_scan_tuples%3D1%20-c%20enable_sort%3Doff"
    few = RowConditions(streams=("rare",))
    for most in (-1, 20_000):
        monkeypatch.setattr(postgres_queries, "_EXACT_ROWS", most)
        with closing(open_index(url, password=store.password)) as reader:
            found = reader.rank_by_meaning(unit_vector(2_003), few, 100)
            assert len(found) == 15
            assert found[0]["window"] == "rare/2003"


def test_the_server_estimates_whether_few_rows_are_left(world: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a small stream or a short time, all vectors are compared."""
    monkeypatch.setattr(postgres_queries, "_EXACT_ROWS", 100)
    uses: list[bool] = []
    nearest = vars(PostgresQueries)["_nearest"]

    def record(*args: object, uses_graph: bool) -> object:
        uses.append(uses_graph)
        return nearest(*args, uses_graph=uses_graph)

    monkeypatch.setattr(PostgresQueries, "_nearest", record)
    with world.writer() as writer:
        write(writer, *(row(number) for number in range(500)), *(row(number, "rare") for number in range(600, 640)))
        writer.maintain()
        for conditions, uses_graph in (
            (RowConditions(), True),
            (RowConditions(parts=("video", "audio")), True),
            (RowConditions(streams=("city",)), True),
            (RowConditions(streams=("rare",)), False),
            (RowConditions(stream_patterns=("r*",)), False),
            (RowConditions(until_ns=50), False),
            (RowConditions(since_ns=50), True),
            (RowConditions(windows=("city/1",)), False),
        ):
            uses.clear()
            writer.rank_by_meaning(unit_vector(7), conditions, 1)
            assert uses == [uses_graph], conditions


def test_texts_that_postgresql_does_not_take_are_changed(world: SearchWorld, store: StorePlace) -> None:
    """A NUL becomes a space; of a very long text, the beginning is found by its words."""
    long = " ".join(f"word{number}" for number in range(5_000))
    with world.writer() as writer:
        write(writer, row(1, text="a\0bank"), row(2, text=long), row(3, text="y" * 5_000))
    search = world.search()
    for query, windows in (("bank", ["city/1"]), ("word7", ["city/2"]), ("word4999", []), ("y" * 5_000, ["city/3"])):
        assert [one.windows[0].window for one in search.find(query).moments] == windows
    with closing(open_index(store.location, password=store.password)) as reader:
        (found,) = reader.with_details(reader.newest_rows(RowConditions(windows=("city/2", "\0")), 10))
        assert found["text"] == long
        assert reader.newest_rows(RowConditions(streams=("\0",)), 10) == []


@pytest.fixture
def other_databases(postgres_server: DevPostgres) -> Iterator[None]:
    """Have a database without pgvector, and one with another encoding."""
    postgres_server.ask("CREATE DATABASE bare TEMPLATE template0")
    postgres_server.ask("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    yield
    for name in ("bare", "latin"):
        postgres_server.ask(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.usefixtures("other_databases")
def test_writers_of_two_pipelines_may_create_the_extension_at_once(postgres_server: DevPostgres) -> None:
    """PostgreSQL refuses the second one, though it is to be created only if it does not exist."""
    url = postgres_server.url("bare")
    with ExitStack() as stack:
        first, second = (stack.enter_context(psycopg.connect(url, password=postgres_server.password)) for _ in range(2))
        first.execute("CREATE EXTENSION vector")
        created = threading.Thread(target=create_extension, args=(second,))
        created.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = 'bare'"
        while postgres_server.ask(waiting) == "0" and created.is_alive():
            threading.Event().wait(0.02)
        first.commit()
        created.join(LIMIT_S)
        use_extension(second, "bare")


@pytest.mark.usefixtures("other_databases")
def test_a_database_that_does_not_fit_is_refused(postgres_server: DevPostgres) -> None:
    """Each error says what to do."""
    password = postgres_server.password
    with pytest.raises(
        SearchIndexError, match=r"expected pgvector 0\.8 or newer in the database, found none; install it"
    ):
        open_index(postgres_server.url("bare"), password=password)
    with pytest.raises(SearchIndexError, match="expected a database with the encoding UTF8, got LATIN1; create one"):
        open_index(postgres_server.url("latin"), password=password)
    with pytest.raises(SearchIndexError, match=r'refuses the connection: .*database "none" does not exist'):
        open_index(postgres_server.url("none"), password=password)
    with pytest.raises(SearchIndexError, match=r"password authentication failed .*; the password comes from") as caught:
        MomentSearch.open(postgres_server.url(), password="not-the-word")  # noqa: S106 - of a test
    assert "not-the-word" not in str(caught.value)


def test_a_reader_needs_no_right_to_write(world: SearchWorld, postgres_server: DevPostgres, store: StorePlace) -> None:
    """As docs/searching-postgresql.md grants it. It cannot write either."""
    with world.writer() as writer:
        write(writer, row(1))
    postgres_server.ask("CREATE ROLE reader LOGIN PASSWORD 'read'")
    try:
        url = str(store.location).replace("triptych@", "reader@")
        with pytest.raises(PostgresIndexError, match="expected an index that the user reader may read, got"):
            open_index(url, password="read")  # noqa: S106 - of a test
        postgres_server.ask("GRANT USAGE ON SCHEMA triptych_triptych TO reader")
        postgres_server.ask("GRANT SELECT ON ALL TABLES IN SCHEMA triptych_triptych TO reader")
        with closing(MomentSearch.open(url, password="read")) as search:  # noqa: S106 - of a test
            assert [one.stream for one in search.find("cars").moments] == ["city"]
        with (
            pytest.raises(PostgresIndexError, match="permission denied"),
            open_index_writer(url, "other", password="read"),  # noqa: S106 - of a test
        ):
            pass
    finally:
        postgres_server.ask("DROP OWNED BY reader; DROP ROLE reader")
