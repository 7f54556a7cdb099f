"""A real Redis server for tests, demos and development: alone, with Sentinel, or as a cluster."""

from __future__ import annotations

import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tools.devservers.certificates import Certificates
from tools.devservers.ports import HOST, free_ports
from tools.devservers.process import POLL_S, ServerProcess
from tools.devservers.requirements import require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

READY_LIMIT_S = 60
CLUSTER_NODES = 3
SENTINEL_SERVICE = "results"
SENTINEL_USER = "watchman"
DOWN_AFTER_MS = 500
"""How long the Sentinel waits for a server before it starts a failover."""
ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class RedisAccess:
    """A server with TLS and one user, who has a password and the permissions that our programs need.

    Attributes:
        user: the only user for programs: the default user of Redis is disabled.
        password: the user's password.
        rules: the user's permissions, as Redis ACL rules.
        admin_password: the password of `admin`, which the servers use among themselves.
        sentinel_password: the password of the Sentinel's own user.
    """

    user: str = "triptych"
    password: str = "redis-secret"  # noqa: S105 - of a test server
    rules: str = "~triptych:* ~test-*:* +@connection +@read +@write +evalsha +script|load +time +cluster|slots +command"
    admin_password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    sentinel_password: str = "sentinel-secret"  # noqa: S105 - as above


class DevRedis:
    """One Redis server with an append-only file, so that a restart keeps its data."""

    def __init__(
        self,
        access: RedisAccess | None = None,
        *,
        port: int | None = None,
        flags: Mapping[str, str] | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        program = require("redis-server", "the Redis store")
        self._port = free_ports(1)[0] if port is None else port
        self._folder = Path(tempfile.mkdtemp(prefix="triptych-redis-"))
        self._access = access
        self._certificates = None if access is None else certificates or Certificates.make(self._folder)
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
        """The URL for clients. With `access` it contains the password, and the authority is `ca_file`."""
        if self._access is not None:
            return f"rediss://{self._access.user}:{self._access.password}@{HOST}:{self._port}/0"
        return f"redis://{HOST}:{self._port}/0"

    @property
    def port(self) -> int:
        """The port of the server."""
        return self._port

    @property
    def ca_file(self) -> Path | None:
        """The authority that a client must trust, if the server uses TLS."""
        return None if self._certificates is None else self._certificates.ca

    @property
    def certificates(self) -> Certificates | None:
        """The certificates of the server, if it uses TLS."""
        return self._certificates

    def ask(self, *command: str) -> str:
        """Run a command with redis-cli as admin, and return its output. Raises `RuntimeError` if it fails."""
        program = require("redis-cli", "asking Redis")
        access = [] if self._certificates is None else ["--tls", "--cacert", str(self._certificates.ca)]
        if self._access is not None:
            access += ["--user", ADMIN, "--pass", self._access.admin_password, "--no-auth-warning"]
        # The command that creates a cluster connects to no single server.
        where = [] if command[0] == "--cluster" else ["-h", HOST, "-p", str(self._port)]
        done = subprocess.run([program, *where, *access, *command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"redis-cli {command[0]} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    @property
    def process(self) -> ServerProcess:
        """The process, to freeze, thaw or kill it."""
        return self._process

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self._process.start(self._answers, limit_s=READY_LIMIT_S)

    def stop(self) -> None:
        """Stop the server cleanly; keep its data."""
        self._process.stop()

    def restart(self) -> None:
        """Stop the server if it runs, and start it on the same port with the same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop the server and delete its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _flags(self, more: Mapping[str, str]) -> list[str]:
        flags = {"bind": HOST, "port": self._port, "dir": self._folder, "appendonly": "yes", "save": ""}
        if self._certificates is not None and self._access is not None:
            flags |= _tls(self._certificates, self._port)
            users = self._folder / "users.acl"
            allowed = f"user {self._access.user} on >{self._access.password} {self._access.rules}"
            admin = f"user {ADMIN} on >{self._access.admin_password} ~* &* +@all"
            users.write_text(f"user default off\n{allowed}\n{admin}\n")
            flags |= {"aclfile": users}
        return [part for name, value in {**flags, **more}.items() for part in (f"--{name}", str(value))]

    def _answers(self) -> bool:
        return _answers(self._port, self._certificates)


def _tls(files: Certificates, port: int) -> dict[str, object]:
    """Return the flags for TLS only, also between servers."""
    return {
        "port": 0,
        "tls-port": port,
        "tls-auth-clients": "no",
        "tls-replication": "yes",
        "tls-cert-file": files.cert,
        "tls-key-file": files.key,
        "tls-ca-cert-file": files.ca,
    }


def _answers(port: int, certificates: Certificates | None) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            if certificates is None:
                return _pong(connection)
            context = ssl.create_default_context(cafile=certificates.ca)
            with context.wrap_socket(connection, server_hostname=HOST) as encrypted:
                return _pong(encrypted)
    except OSError:
        return False


def _pong(connection: socket.socket) -> bool:
    connection.sendall(b"PING\r\n")
    return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))


def _wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + READY_LIMIT_S
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not done within {READY_LIMIT_S} s")
        time.sleep(POLL_S)


class DevRedisCluster:
    """Three Redis servers that share the slots. Their data is in temporary folders."""

    def __init__(self, access: RedisAccess | None = None) -> None:
        require("redis-cli", "a Redis cluster")
        self._access = access
        self._nodes: list[DevRedis] = []
        for bus in free_ports(CLUSTER_NODES):
            flags = {"cluster-enabled": "yes", "cluster-port": str(bus)}
            flags |= {} if access is None else {"tls-cluster": "yes"}
            shared = self._nodes[0].certificates if self._nodes else None
            self._nodes.append(DevRedis(access, flags=flags, certificates=shared))

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
        """The servers, to stop and start them."""
        return self._nodes

    @property
    def url(self) -> str:
        """The URL for clients. With `access` it contains the password, and the authority is `ca_file`."""
        hosts = ",".join(f"{HOST}:{node.port}" for node in self._nodes)
        if self._access is not None:
            return f"rediss+cluster://{self._access.user}:{self._access.password}@{hosts}"
        return f"redis+cluster://{hosts}"

    @property
    def ca_file(self) -> Path | None:
        """The authority that a client must trust, if the servers use TLS."""
        return self._nodes[0].ca_file

    def _join(self) -> None:
        addresses = [f"{HOST}:{node.port}" for node in self._nodes]
        self._nodes[0].ask("--cluster", "create", *addresses, "--cluster-yes")
        # The nodes learn the state from one another.
        _wait_until(
            lambda: all("cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self._nodes), "creating a cluster"
        )


class DevRedisSentinel:
    """A Redis server, its replica, and one Sentinel that performs the failover."""

    def __init__(self, access: RedisAccess | None = None) -> None:
        program = require("redis-server", "Sentinel")
        self._access = access
        lead = {
            **self._as_admin(),
            "repl-diskless-sync-delay": "0",
        }  # default: 5 s
        self._server = DevRedis(access, flags=lead)
        follow = {**self._as_admin(), "replicaof": f"{HOST} {self._server.port}"}
        self._replica = DevRedis(access, flags=follow, certificates=self._server.certificates)
        self._port = free_ports(1)[0]
        self._folder = Path(tempfile.mkdtemp(prefix="triptych-sentinel-"))
        config = self._folder / "sentinel.conf"
        config.write_text("".join(f"{line}\n" for line in self._lines()))
        self._process = ServerProcess("sentinel", [program, str(config), "--sentinel"], folder=self._folder)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            for server in (self._server, self._replica):
                stack.enter_context(server)
            # A Sentinel that does not find the replica at its first check checks again only after ten seconds.
            _wait_until(lambda: "state=online" in self._server.ask("INFO", "replication"), "starting the replication")
            self._process.start(lambda: _answers(self._port, self._server.certificates), limit_s=READY_LIMIT_S)
            stack.callback(self._process.stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def server(self) -> DevRedis:
        """The first master."""
        return self._server

    @property
    def replica(self) -> DevRedis:
        """The server that becomes master after a failover."""
        return self._replica

    @property
    def url(self) -> str:
        """The URL for clients. With `access` it contains all passwords, and the authority is `ca_file`."""
        where = f"{HOST}:{self._port}/{SENTINEL_SERVICE}/0"
        if self._access is not None:
            asking = f"sentinel_username={SENTINEL_USER}&sentinel_password={self._access.sentinel_password}"
            return f"rediss+sentinel://{self._access.user}:{self._access.password}@{where}?{asking}"
        return f"redis+sentinel://{where}"

    @property
    def ca_file(self) -> Path | None:
        """The authority that a client must trust, if the servers use TLS."""
        return self._server.ca_file

    def _as_admin(self) -> dict[str, str]:
        if self._access is None:
            return {}
        return {"masteruser": ADMIN, "masterauth": self._access.admin_password}

    def _lines(self) -> list[str]:
        """Return the lines of sentinel.conf."""
        files = self._server.certificates
        flags: dict[str, object] = {"bind": HOST, "port": self._port, "dir": self._folder}
        flags |= {} if files is None else _tls(files, self._port)
        service = f"sentinel %s {SENTINEL_SERVICE} %s"
        lines = [f"{name} {value}" for name, value in flags.items()]
        lines += [
            service % ("monitor", f"{HOST} {self._server.port} 1"),
            service % ("down-after-milliseconds", DOWN_AFTER_MS),
            service % ("failover-timeout", 4 * DOWN_AFTER_MS),
        ]
        if self._access is not None:
            lines += [service % ("auth-user", ADMIN), service % ("auth-pass", self._access.admin_password)]
            lines += ["user default off", f"user {SENTINEL_USER} on >{self._access.sentinel_password} &* +@all"]
        return lines
