"""A real Redis server for tests, demos and development."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tools.devservers.ports import HOST, free_ports
from tools.devservers.process import ServerProcess
from tools.devservers.requirements import require

if TYPE_CHECKING:
    from types import TracebackType

READY_LIMIT_S = 15


class DevRedis:
    """One Redis server with an append-only file, so that a restart keeps what was written."""

    def __init__(self, *, port: int | None = None) -> None:
        program = require("redis-server", "the Redis sink")
        self._port = free_ports(1)[0] if port is None else port
        self._folder = Path(tempfile.mkdtemp(prefix="triptych-redis-"))
        self._process = ServerProcess("redis", [program, *self._flags()], folder=self._folder)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where a client finds the server."""
        return f"redis://{HOST}:{self._port}/0"

    @property
    def process(self) -> ServerProcess:
        """The process, to be frozen, thawed or killed."""
        return self._process

    def start(self) -> None:
        """Start the server and return when it answers."""
        self._process.start(self._answers, limit_s=READY_LIMIT_S)

    def stop(self) -> None:
        """End the server cleanly; its data stays."""
        self._process.stop()

    def restart(self) -> None:
        """End the server if it runs and start it again on the same port with the same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End the server and remove its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _flags(self) -> list[str]:
        flags = {"bind": HOST, "port": self._port, "dir": self._folder, "appendonly": "yes", "save": ""}
        return [part for name, value in flags.items() for part in (f"--{name}", str(value))]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self._port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
