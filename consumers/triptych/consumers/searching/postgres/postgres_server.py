"""Connections to PostgreSQL: what an error means, and what is done while the server is away."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, TypeVar

import psycopg
import structlog
from psycopg import Connection

from triptych.consumers.searching.index_store import SearchIndexError
from triptych.schemas.errors import UsageError
from triptych.settings.url_passwords import check_password_encoding, without_password

log = structlog.get_logger(__name__)
_Value = TypeVar("_Value")

_CONNECT_TIMEOUT_S: Final = 10
_UNANSWERED_MS: Final = 60_000
"""What was sent to a machine that has gone is given up after this time. Linux alone takes a quarter of an hour."""
_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 10.0
_MOST_DOUBLINGS: Final = 7
"""After so many, the delay is the longest one. Without a limit, the power is too large for a float after hours."""
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_TEMPORARY_CLASSES: Final = ("08", "53", "57")
"""Connections, lacking resources such as a full disk, and interventions of an operator."""
_BUSY_CLASSES: Final = ("25", "40", "53", "55")
"""The server answers, but cannot do what is asked."""
_TEMPORARY_STATES: Final = frozenset({"25006", "25P03", "40001", "40P01", "55P03"})
"""A standby that is not promoted yet, a session that was ended because this program was suspended in a transaction, a
conflict, a deadlock, a lock that was not free in time."""
_LASTING_STATES: Final = frozenset({"57014", "57P04"})
"""A time limit of a statement, and a dropped database."""
_LASTING_REFUSALS: Final = (
    "password",
    "authentication",
    "pg_hba.conf",
    "does not exist",
    "not permitted to log in",
    "permission denied",
    "certificate",
    "does not support SSL",
    "invalid",
)
"""Parts of the messages of a refused connection that waiting does not change. Such errors have no code in libpq.

`SSL` alone is none: a connection that is lost while it is made is an `SSL SYSCALL error` too."""


class PostgresIndexError(SearchIndexError):
    """The database has no index, or one that cannot be used."""


class PostgresUnavailableError(SearchIndexError):
    """The server does not answer. The same call may succeed later."""

    exit_code: ClassVar[int] = 3


class PostgresServer:
    """Makes and remakes the one connection of an index. Not thread-safe."""

    def __init__(
        self,
        url: str,
        *,
        password: str | None = None,
        session: Mapping[str, str] | None = None,
        on_connect: Callable[[Connection[Any]], None] = lambda _: None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: of libpq, `postgresql://USER@HOST:PORT/DATABASE?OPTION=VALUE`.
            password: of the user; None if it is in the URL, in libpq's own places, or not needed.
            session: parameters of PostgreSQL for each connection.
            on_connect: is called with each new connection.

        Raises:
            UsageError: the URL is not valid, or there are two passwords.
        """
        self._given = _options_of(url)
        if password is not None and "password" in self._given:
            raise UsageError("index: set index.password_file or a password in the URL, not both")
        self._password = password
        self._session = dict(session or {})
        self._on_connect = on_connect
        self._connection: Connection[Any] | None = None
        self.shown = without_password(url)
        """The URL for messages."""

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def run(self, call: Callable[[Connection[Any]], _Value], *, attempts: int = 2) -> _Value:
        """Return what a call does with a connection, in a transaction of its own.

        A lost connection is made again, and then the call is repeated. So it must be one that may be repeated.

        Raises:
            PostgresUnavailableError: the server does not answer.
            PostgresIndexError: it refuses the login, or the call.
        """
        for attempt in range(1, attempts + 1):
            try:
                connection = self._connected()
                with connection.transaction():
                    return call(connection)
            except psycopg.Error as error:
                was_lost = self._connection is not None and self._connection.closed
                if was_lost:
                    self.close()
                if not _is_temporary(error, was_lost=was_lost):
                    raise PostgresIndexError(f"{self.shown}: the index cannot be used: {_text(error)}") from error
                if attempt == attempts or not was_lost:
                    what = "cannot do it now" if (error.sqlstate or "")[:2] in _BUSY_CLASSES else "does not answer"
                    raise PostgresUnavailableError(f"{self.shown}: PostgreSQL {what}: {_text(error)}") from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    def run_until(self, call: Callable[[Connection[Any]], _Value], stop: threading.Event) -> _Value:
        """Do the same, but wait for as long as the server is away.

        Raises:
            PostgresUnavailableError: it was away, and the program stops.
            PostgresIndexError: the server refuses the login, or the call.
        """
        attempt = 0
        while True:
            try:
                return self.run(call)
            except PostgresUnavailableError as error:
                delay_s = retry_delay_s(attempt)
                attempt += 1
                log.warning("index_server_away", reason=str(error), attempt=attempt, delay_s=round(delay_s, 3))
                if stop.wait(delay_s):
                    raise

    def _connected(self) -> Connection[Any]:
        if self._connection is not None:
            return self._connection
        options: dict[str, Any] = {"connect_timeout": _CONNECT_TIMEOUT_S, "application_name": "triptych"}
        options |= {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
        options |= {"tcp_user_timeout": _UNANSWERED_MS}
        if self._password is not None:
            options["password"] = self._password
        # What the URL itself says wins, but for the encoding: with that of PGCLIENTENCODING, texts could not be sent.
        try:
            connection = psycopg.connect(**(options | self._given | {"client_encoding": "UTF8"}), autocommit=True)
        except psycopg.OperationalError as error:
            if any(part in str(error) for part in _LASTING_REFUSALS):
                raise PostgresIndexError(
                    f"{self.shown}: PostgreSQL refuses the connection: {_text(error)}; the password comes from the "
                    "setting index.password_file, or from PGPASSWORD, or ~/.pgpass"
                ) from error
            raise
        self._connection = connection
        try:
            for name, value in self._session.items():
                connection.execute("SELECT set_config(%s, %s, false)", (name, value))
            self._on_connect(connection)
        except BaseException:
            if not connection.closed:  # a lost one is recognised by that
                self.close()
            raise
        return connection


def _options_of(url: str) -> dict[str, Any]:
    """Return what a URL says, as libpq names it. libpq's own messages about a bad URL would quote its password."""
    shown = without_password(url)
    if "://" not in url:
        raise UsageError(f"{shown}: expected postgresql://USER@HOST:PORT/DATABASE as text, got a path with one slash")
    try:
        check_password_encoding(url)
    except ValueError as error:
        raise UsageError(f"{shown}: {error}") from None
    authority = url.partition("://")[2].partition("/")[0]
    if authority.count("@") > 1:
        raise UsageError(f"{shown}: expected one @ before the host, got more; in a user or a password it is %40")
    if _BAD_ESCAPE.search(url):
        raise UsageError(f"{shown}: expected two hexadecimal digits after each %, and not 00; a % itself is %25")
    try:
        return psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.Error as error:
        raise UsageError(f"{shown}: expected a URL of PostgreSQL: {_text(error).replace(url, shown)}") from None


def retry_delay_s(attempt: int) -> float:
    """Return how long to wait before a try, in seconds, after so many that failed: longer each time, up to a limit."""
    longest_s = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(attempt, _MOST_DOUBLINGS))
    return longest_s * random.uniform(0.5, 1)  # noqa: S311 - not for secrets


def _is_temporary(error: psycopg.Error, *, was_lost: bool) -> bool:
    state = error.sqlstate
    if state is None:
        return was_lost or isinstance(error, psycopg.OperationalError)
    if state in _LASTING_STATES:
        return False
    return state in _TEMPORARY_STATES or state[:2] in _TEMPORARY_CLASSES


def _text(error: psycopg.Error) -> str:
    return " ".join(str(error).split())
