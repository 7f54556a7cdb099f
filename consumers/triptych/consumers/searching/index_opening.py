"""Open an index where its location says: in a folder (LanceDB), or on a server (PostgreSQL)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.consumers.searching.index_location import is_server

if TYPE_CHECKING:
    from triptych.consumers.searching.index_store import IndexStore


def open_index(location: Path | str, pipeline: str | None = None, password: str | None = None) -> IndexStore:
    """Open an existing index for reading.

    Args:
        location: a folder, or `postgresql://USER@HOST:PORT/DATABASE`.
        pipeline: whose index of a database; None for that of one with a single index. A folder has one only.
        password: of the user of a database; None if it is in libpq's own places, or not needed.

    Raises:
        SearchIndexError: there is none, or one that cannot be used.
        UsageError: the URL is not valid, or there are two passwords.
    """
    if is_server(location):
        from triptych.consumers.searching.postgres.postgres_index import PostgresIndex  # noqa: PLC0415 - an extra

        return PostgresIndex.open(str(location), pipeline, password)
    from triptych.consumers.searching.window_index import WindowIndex  # noqa: PLC0415 - an extra

    return WindowIndex.open(Path(location))


@contextmanager
def open_index_writer(
    location: Path | str, pipeline: str, *, password: str | None = None, stop: threading.Event | None = None
) -> Iterator[IndexStore]:
    """Open the index of a pipeline for writing, or create it. Only one process may.

    Args:
        location: a folder, or `postgresql://USER@HOST:PORT/DATABASE`.
        pipeline: whose windows it holds.
        password: of the user of a database; None if it is in libpq's own places, or not needed.
        stop: ends the program. Until then, writes to a server that is away wait for it.

    Raises:
        UsageError: another process writes it, it belongs to another pipeline, the URL is not valid, or there are two
            passwords.
        SearchIndexError: it cannot be used.
    """
    if is_server(location):
        from triptych.consumers.searching.postgres.postgres_index import postgres_index_writer  # noqa: PLC0415

        with postgres_index_writer(str(location), pipeline, password=password, stop=stop) as on_server:
            yield on_server
    else:
        from triptych.consumers.searching.window_index import index_writer  # noqa: PLC0415 - an extra

        with index_writer(Path(location), pipeline) as in_folder:
            yield in_folder
