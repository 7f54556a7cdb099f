"""A real MQTT broker for tests and development."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tools.devservers.certificates import Certificates
from tools.devservers.ports import HOST, free_ports
from tools.devservers.process import ServerProcess
from tools.devservers.requirements import require

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

READY_LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class MosquittoAccess:
    """A broker with TLS and one user, who may publish and read what matches `topics`."""

    user: str = "triptych"
    password: str = "mqtt-secret"  # noqa: S105 - of a test server
    topics: tuple[str, ...] = ("#",)


class DevMosquitto:
    """One broker. With `persistent`, a clean restart keeps retained messages. `limits` are more lines of its file."""

    def __init__(
        self, access: MosquittoAccess | None = None, *, persistent: bool = False, limits: Sequence[str] = ()
    ) -> None:
        program = require("mosquitto", "the MQTT broker")
        self._port = free_ports(1)[0]
        self._folder = Path(tempfile.mkdtemp(prefix="triptych-mosquitto-"))
        self._access = access
        self.certificates = None if access is None else Certificates.make(self._folder)
        config = self._folder / "mosquitto.conf"
        config.write_text("".join(f"{line}\n" for line in (*self._lines(persistent=persistent), *limits)))
        self.process = ServerProcess("mosquitto", [program, "-c", str(config)], folder=self._folder)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port of the broker."""
        return self._port

    @property
    def url(self) -> str:
        """The URL for clients, without the login."""
        return f"{'mqtt' if self._access is None else 'mqtts'}://{HOST}:{self._port}"

    def start(self) -> None:
        """Start the broker, and wait until it listens."""
        self.process.start(self._listens, limit_s=READY_LIMIT_S)

    def stop(self) -> None:
        """Stop the broker cleanly."""
        self.process.stop()

    def close(self) -> None:
        """Stop the broker and delete its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _lines(self, *, persistent: bool) -> list[str]:
        # As root it would become another user, who cannot read the folder.
        lines = [f"listener {self._port} {HOST}", "user root", f"persistence {str(persistent).lower()}"]
        lines += [f"persistence_location {self._folder}/"]
        if self._access is None or self.certificates is None:
            return [*lines, "allow_anonymous true"]
        files = self.certificates
        lines += [f"cafile {files.ca}", f"certfile {files.cert}", f"keyfile {files.key}", "allow_anonymous false"]
        passwords, rules = self._folder / "passwords", self._folder / "rules"
        program = require("mosquitto_passwd", "a broker with users")
        subprocess.run([program, "-b", "-c", passwords, self._access.user, self._access.password], check=True)
        rights = "".join(f"topic readwrite {topic}\n" for topic in self._access.topics)
        rules.write_text(f"user {self._access.user}\n{rights}")
        return [*lines, f"password_file {passwords}", f"acl_file {rules}"]

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((HOST, self._port)) == 0
