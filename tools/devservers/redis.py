"""A real Redis server for tests, demos and development."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tools.devservers.certificates import Certificates
from tools.devservers.ports import HOST, free_ports
from tools.devservers.process import POLL_S, ServerProcess
from tools.devservers.requirements import require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

READY_LIMIT_S = 15
CLUSTER_NODES = 3
SENTINEL_SERVICE = "results"


@dataclass(frozen=True, slots=True)
class RedisAccess:
    """A server that is reached over TLS only, by one user with a password, who may do what programs of ours need.

    Attributes:
        user: The only one: the default user of Redis is off.
        password: What the user has to give.
        rules: What the user may do, in Redis' own words.
    """

    user: str = "triptych"
    password: str = "redis-secret"  # noqa: S105 - of a server that lives as long as a test
    rules: str = "~triptych:* ~test-*:* +@connection +@read +@write +evalsha +script|load +time"


class DevRedis:
    """One Redis server with an append-only file, so that a restart keeps what was written."""

    def __init__(
        self, access: RedisAccess | None = None, *, port: int | None = None, flags: Mapping[str, str] | None = None
    ) -> None:
        program = require("redis-server", "the Redis sink")
        self._port = free_ports(1)[0] if port is None else port
        self._folder = Path(tempfile.mkdtemp(prefix="triptych-redis-"))
        self._access = access
        self._certificates = None if access is None else Certificates.make(self._folder)
        self._process = ServerProcess("redis", [program, *self._flags(flags or {})], folder=self._folder)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where a client finds the server; with `access` the password is in it, and the authority is `ca_file`."""
        if self._access is not None:
            return f"rediss://{self._access.user}:{self._access.password}@{HOST}:{self._port}/0"
        return f"redis://{HOST}:{self._port}/0"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def ca_file(self) -> Path | None:
        """The authority that a client has to trust, where the server speaks TLS."""
        return None if self._certificates is None else self._certificates.ca

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

    def _flags(self, more: Mapping[str, str]) -> list[str]:
        flags = {"bind": HOST, "port": self._port, "dir": self._folder, "appendonly": "yes", "save": ""}
        if self._certificates is not None and self._access is not None:
            flags |= {"port": 0, "tls-port": self._port, "tls-auth-clients": "no"}
            files = self._certificates
            flags |= {"tls-cert-file": files.cert, "tls-key-file": files.key, "tls-ca-cert-file": files.ca}
            users = self._folder / "users.acl"
            allowed = f"user {self._access.user} on >{self._access.password} {self._access.rules}"
            users.write_text(f"user default off\n{allowed}\n")
            flags |= {"aclfile": users}
        return [part for name, value in {**flags, **more}.items() for part in (f"--{name}", str(value))]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self._port), timeout=1) as connection:
                if self._certificates is None:
                    return _pong(connection)
                context = ssl.create_default_context(cafile=self._certificates.ca)
                with context.wrap_socket(connection, server_hostname=HOST) as encrypted:
                    return _pong(encrypted)
        except OSError:
            return False


def _pong(connection: socket.socket) -> bool:
    connection.sendall(b"PING\r\n")
    return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))


class DevRedisCluster:
    """Three Redis servers that share the slots; their data lies in temporary folders."""

    def __init__(self) -> None:
        require("redis-cli", "a Redis cluster")
        self._nodes = [
            DevRedis(flags={"cluster-enabled": "yes", "cluster-port": str(bus)}) for bus in free_ports(CLUSTER_NODES)
        ]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for node in self._nodes:
                stack.enter_context(node)
            self._join()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def nodes(self) -> Sequence[DevRedis]:
        """The servers, to be stopped and started."""
        return self._nodes

    @property
    def url(self) -> str:
        """Where a client finds the cluster."""
        return f"redis+cluster://{','.join(f'{HOST}:{node.port}' for node in self._nodes)}"

    def _join(self) -> None:
        addresses = [f"{HOST}:{node.port}" for node in self._nodes]
        command = ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the cluster could not be made:\n{done.stdout}{done.stderr}")
        deadline = time.monotonic() + READY_LIMIT_S
        while not all(_says_cluster_ok(node.port) for node in self._nodes):  # each learns it from the others
            if time.monotonic() > deadline:
                raise RuntimeError(f"the cluster was not ready within {READY_LIMIT_S} s")
            time.sleep(POLL_S)


def _says_cluster_ok(port: int) -> bool:
    with socket.create_connection((HOST, port), timeout=1) as connection:
        connection.sendall(b"CLUSTER INFO\r\n")
        return b"cluster_state:ok" in connection.recv(1024)


class DevRedisSentinel:
    """A Redis server and one Sentinel that knows its name."""

    def __init__(self) -> None:
        program = require("redis-server", "Sentinel")
        self._server = DevRedis()
        self._port = free_ports(1)[0]
        self._folder = Path(tempfile.mkdtemp(prefix="triptych-sentinel-"))
        config = self._folder / "sentinel.conf"
        monitor = f"sentinel monitor {SENTINEL_SERVICE} {HOST} {self._server.port} 1"
        config.write_text(f"bind {HOST}\nport {self._port}\ndir {self._folder}\n{monitor}\n")
        self._process = ServerProcess("sentinel", [program, str(config), "--sentinel"], folder=self._folder)

    def __enter__(self) -> Self:
        self._server.start()
        self._process.start(self._answers, limit_s=READY_LIMIT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()
        self._server.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def server(self) -> DevRedis:
        """The server that the Sentinel names."""
        return self._server

    @property
    def url(self) -> str:
        """Where a client asks for the server."""
        return f"redis+sentinel://{HOST}:{self._port}/{SENTINEL_SERVICE}/0"

    def _answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self._port), timeout=1) as connection:
                return _pong(connection)
        except OSError:
            return False
