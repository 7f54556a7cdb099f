"""Connections to PostgreSQL: URLs that are refused without their password, and delays while the server is away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest

from triptych.consumers.searching.index_opening import open_index
from triptych.consumers.searching.postgres.postgres_server import (
    PostgresIndexError,
    PostgresServer,
    PostgresUnavailableError,
    retry_delay_s,
)
from triptych.schemas.errors import UsageError


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://me:hunter2%zz@h/db", "expected two hexadecimal digits after each %"),
        ("postgresql://me:hunter2%00@h/db", "expected two hexadecimal digits after each %"),
        ("postgresql://me:hunter2[@h/db", "none of the signs"),
        ("postgresql://me:x/hunter2@h/db", "none of the signs"),
        ("postgresql://me:x@hunter2@h/db", "expected one @ before the host"),
        ("postgresql://me:hunter2@[::1/db", "none of the signs|matching"),
        ("postgresql://me:hunter2@h/db?nothing=1", "invalid URI query parameter"),
        ("postgresql:/me:hunter2@h/db", "got a path with one slash"),
    ],
)
def test_a_url_that_is_not_valid_is_refused(url: str, message: str) -> None:
    """The message does not quote its password, as that of libpq does."""
    with pytest.raises(UsageError, match=message) as caught:
        open_index(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_two_passwords_are_refused() -> None:
    """That of the file and that of the URL, in either place of the URL."""
    for url in ("postgresql://me:hunter2@h/db", "postgresql://me@h/db?password=hunter2"):
        with pytest.raises(UsageError, match=r"set index\.password_file or a password in the URL, not both"):
            PostgresServer(url, password="other")  # noqa: S106 - of a test


def test_signs_of_a_password_may_be_encoded() -> None:
    """The message of a server that does not answer has asterisks."""
    with pytest.raises(PostgresUnavailableError, match=r"//me:\*\*\*@127\.0\.0\.1:1/db: PostgreSQL does not answer"):
        open_index("postgresql://me:a%23b%2F@127.0.0.1:1/db")


@pytest.fixture(params=[b"S", b"N"], ids=["lost", "without-tls"])
def tls_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Answer one request for TLS, and end the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            accepted, _ = server.accept()
            with accepted:
                accepted.recv(100)
                accepted.sendall(request.param)

        answering = threading.Thread(target=answer)
        answering.start()
        yield server.getsockname()[1]
        answering.join(20)


def test_a_connection_that_is_lost_while_tls_begins_is_tried_again(
    tls_port: int, request: pytest.FixtureRequest
) -> None:
    """A server, or what stands before it, may stop at that moment. One that has no TLS will not get it by waiting."""
    kind = PostgresIndexError if "without-tls" in request.node.name else PostgresUnavailableError
    with pytest.raises(kind, match="SSL"):
        open_index(f"postgresql://me@127.0.0.1:{tls_port}/db?sslmode=require")


def test_the_delay_grows_up_to_a_limit_however_long_the_server_is_away() -> None:
    """A power of two with a thousand attempts is too large for a float."""
    longest = [max(retry_delay_s(attempt) for _ in range(50)) for attempt in (0, 3, 6, 10, 100_000)]
    assert longest[0] <= 0.1
    assert all(before <= after for before, after in pairwise(longest[:4]))
    assert 5 < longest[-1] <= 10
