"""Results with words, labels and vectors, an index of them, and the topics that they come from."""

from __future__ import annotations

import shutil
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql

from tests.consumers.conftest import START_NS, WINDOW_NS, MakeResult
from tools.devservers import DevPostgres
from triptych.consumers.searching.index_opening import open_index, open_index_writer
from triptych.consumers.searching.index_store import IndexStore, RowConditions
from triptych.consumers.searching.indexing import IndexCounts, IndexLoop, Retention
from triptych.consumers.searching.search import MomentSearch
from triptych.consumers.searching.window_index import WindowIndex
from triptych.schemas.codec import encode_result
from triptych.schemas.names import descriptions_topic, result_id, results_topic
from triptych.schemas.perception.description_codec import encode_description
from triptych.schemas.perception.descriptions import Description
from triptych.schemas.perception.vectors import Vectors, encode_vector
from triptych.schemas.results import LabelScore, Observations, Result, Words
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings

DIMENSIONS = 16
SPACE = "test-1"
PIPELINE = "triptych"


def unit_vector(seed: int) -> np.ndarray:
    """Return a random vector of length 1, float32 [D]. Equal seeds give equal vectors."""
    vector = np.random.default_rng(seed).normal(size=DIMENSIONS)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class SeedEmbedder:
    """Embeds the text `like N` as the vector of seed N."""

    name = SPACE

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        """Return the vectors, float32 [N, D]."""
        return np.stack([unit_vector(int(text.removeprefix("like "))) for text in texts])


@dataclass(frozen=True)
class StorePlace:
    """Where an index is written.

    Attributes:
        location: a folder, or the URL of a database.
        password: of the database.
    """

    location: Path | str
    password: str | None = None


class SearchWorld:
    """Publishes results and descriptions, indexes them, and searches the index."""

    def __init__(self, transport: MemoryTransport, place: StorePlace, make_result: MakeResult) -> None:
        self.transport = transport
        self.place = place
        self.make = make_result
        self._opened = ExitStack()
        admin = transport.admin()
        admin.create(
            [TopicSettings(name(PIPELINE), partitions=2, replication=1) for name in (results_topic, descriptions_topic)]
        )
        admin.close()
        self._publisher = transport.publisher()

    def result(
        self,
        number: int,
        said: str = "",
        *,
        seen: str = "",
        like: int | None = None,
        stream: str = "city",
        **changes: Any,  # noqa: ANN401 - any field of a result
    ) -> Result:
        """Return the result of a window with these words, this label, and the vector of this seed for its pictures."""
        start_ns = START_NS + number * WINDOW_NS
        revision = changes.get("revision", 0)
        fields: dict[str, Any] = {
            "id": result_id(stream, start_ns, start_ns + WINDOW_NS, revision),
            "observations": Observations(
                visual=(LabelScore(label=seen, score=0.9),) if seen else (),
                words=(Words(text=said, start_ns=start_ns, end_ns=start_ns + WINDOW_NS),) if said else (),
            ),
        }
        if like is not None:
            fields["vectors"] = Vectors(space=SPACE, video=encode_vector(unit_vector(like).tolist()))
        return self.make(number, stream, **(fields | changes))

    def publish(self, *results: Result) -> None:
        """Publish results as the worker does."""
        for result in results:
            key, value, headers = encode_result(result, pipeline=PIPELINE)
            self._publisher.send(Message(results_topic(PIPELINE), key, value, headers)).result(20)

    def describe(self, result: Result, title: str) -> None:
        """Publish a description of a result."""
        described = Description(
            result=result.id,
            prompt_hash="0" * 16,
            stream=result.stream,
            start_ns=result.start_ns,
            end_ns=result.end_ns,
            published_ns=result.published_ns + 1,
            model="test",
            language="English",
            outcome="described",
            title=title,
        )
        key, value, headers = encode_description(described, pipeline=PIPELINE)
        self._publisher.send(Message(descriptions_topic(PIPELINE), key, value, headers)).result(20)

    def index(self, retention: Retention = Retention(), **options: Any) -> IndexCounts:  # noqa: ANN401, B008 - passed on; frozen
        """Index everything that exists."""
        with self.writer() as writer:
            loop = IndexLoop(writer, retention, **options)
            return loop.run(self.transport, threading.Event(), until_end=True)

    def writer(self, pipeline: str = PIPELINE) -> AbstractContextManager[IndexStore]:
        """Open the index for writing."""
        return open_index_writer(self.place.location, pipeline, password=self.place.password)

    def reader(self) -> IndexStore:
        """Open the index for reading, until the end of the test."""
        return self._opened.enter_context(closing(open_index(self.place.location, password=self.place.password)))

    def search(self, embedder: SeedEmbedder | None = None) -> MomentSearch:
        """Open a search of the index, until the end of the test."""
        opened = MomentSearch.open(self.place.location, embedder, password=self.place.password)
        return self._opened.enter_context(closing(opened))

    def keys(self) -> list[str]:
        """Return the keys of all rows, sorted."""
        rows = self.reader().newest_rows(RowConditions(), 10_000)
        return sorted(f"{row['window']}|{row['part']}" for row in rows)

    @property
    def folder(self) -> Path:
        """The folder of an index in a folder."""
        return Path(self.place.location)

    def close(self) -> None:
        """Close the publisher and the readers of the index."""
        self._opened.close()
        self._publisher.close(10)


@pytest.fixture
def store(tmp_path: Path) -> StorePlace:
    """Return where the index is written: in a folder, unless a module has a fixture of its own."""
    return StorePlace(tmp_path / "index")


@pytest.fixture
def database(postgres_server: DevPostgres) -> Iterator[StorePlace]:
    """Return an empty database."""
    place = StorePlace(postgres_server.url(), postgres_server.password)
    yield place
    with psycopg.connect(postgres_server.url(), password=postgres_server.password, autocommit=True) as connection:
        found = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'triptych%'").fetchall()
        for (schema,) in found:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))


@pytest.fixture(params=["folder", "database"])
def each_store(request: pytest.FixtureRequest) -> StorePlace:
    """Return where an index is written: tests run with each place."""
    if request.param == "folder":
        return StorePlace(request.getfixturevalue("tmp_path") / "index")
    place: StorePlace = request.getfixturevalue("database")
    return place


@pytest.fixture
def world(store: StorePlace, make_result: MakeResult) -> Iterator[SearchWorld]:
    """Return a world in memory."""
    transport = MemoryTransport()
    made = SearchWorld(transport, store, make_result)
    yield made
    made.close()
    transport.close()


@pytest.fixture
def indexed(world: SearchWorld) -> Callable[..., SearchWorld]:
    """Return a function that publishes results and indexes them."""

    def publish_and_index(*results: Result) -> SearchWorld:
        world.publish(*results)
        world.index()
        return world

    return publish_and_index


@pytest.fixture
def delete_what_is_seen(
    world: SearchWorld, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Callable[[], object]], list[int]]]:
    """Return what deletes the version that the next reader sees, as soon as it has seen it, but not before a change.

    It returns a list, in which the number of that version will be.
    """
    refresh = WindowIndex.refresh

    def delete_after(change: Callable[[], object]) -> list[int]:
        deleted: list[int] = []

        def refresh_and_delete(index: WindowIndex) -> None:
            refresh(index)
            if not deleted:
                deleted.append(index.table.version)
                snapshot = index.graph_folder / index.meta.graph
                change()
                newest = WindowIndex.open(world.folder)
                newest.table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
                shutil.rmtree(snapshot)

        monkeypatch.setattr(WindowIndex, "refresh", refresh_and_delete)
        return deleted

    with warnings.catch_warnings(action="ignore", category=UserWarning):  # LanceDB's, about readers
        yield delete_after
