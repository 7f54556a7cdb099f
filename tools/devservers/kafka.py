"""A real Apache Kafka broker (KRaft) for tests, demos and development: alone, or one of a cluster."""

from __future__ import annotations

import base64
import logging
import shutil
import socket
import subprocess
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tools.devservers.jars import kafka_jars
from tools.devservers.kafka_access import AccessFiles, AccessRule, KafkaAccess, allow
from tools.devservers.ports import HOST, free_ports
from tools.devservers.process import ServerProcess
from tools.devservers.requirements import require_java

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

READY_LIMIT_S = 60
LOG_CONFIG = Path(__file__).with_name("log4j2.xml")


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """What a broker is started with.

    Attributes:
        message_max_bytes: The largest record batch the broker takes where a topic does not say otherwise.
        retention_check_ms: How often retention acts; None leaves the broker's own five minutes.
        heap_mb: The memory of the Java heap.
        properties: Further lines of server.properties, which win over ours.
        access: Who may log in, over TLS and by access rules; None lets everybody do everything in the clear.
    """

    message_max_bytes: int = 16 * 1024 * 1024
    retention_check_ms: int | None = None
    heap_mb: int = 512
    properties: Mapping[str, str] = field(default_factory=dict)
    access: KafkaAccess | None = None


@dataclass(frozen=True, slots=True)
class Seat:
    """A broker's place in a cluster.

    Attributes:
        number: Which of the brokers it is, from 0 on.
        cluster_id: The cluster, by the name that all its brokers' storages carry.
        inner_ports: Where the brokers reach one another, by number.
        controller_ports: Where their controllers do.
        advertised_port: Where clients are told to find this one; None for where it listens.
    """

    number: int
    cluster_id: str
    inner_ports: tuple[int, ...]
    controller_ports: tuple[int, ...]
    advertised_port: int | None = None

    def properties(self, port: int) -> dict[str, str]:
        """Return the lines of server.properties by which the brokers form a cluster that stands the loss of one."""
        inner, control = self.inner_ports[self.number], self.controller_ports[self.number]
        voters = (f"{number + 1}@{HOST}:{other}" for number, other in enumerate(self.controller_ports))
        replicas, in_sync = str(len(self.inner_ports)), str(len(self.inner_ports) - 1)
        return {
            "node.id": str(self.number + 1),
            "controller.quorum.voters": ",".join(voters),
            "listeners": f"PLAINTEXT://{HOST}:{port},INNER://{HOST}:{inner},CONTROLLER://{HOST}:{control}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.advertised_port or port},INNER://{HOST}:{inner}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "INNER",
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            "broker.session.timeout.ms": "6000",
        }


def new_cluster_id() -> str:
    """Return a name for a cluster, as Kafka wants it."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()


class DevKafka:
    """One broker that is its own controller; its data lies in a temporary folder."""

    def __init__(
        self, options: KafkaOptions | None = None, *, port: int | None = None, seat: Seat | None = None
    ) -> None:
        self._options = options or KafkaOptions()
        self._seat = seat
        self._java = require_java()
        self._classpath = str(kafka_jars() / "*")
        self._port, self._mutual_port, self._controller_port = free_ports(3)
        if port is not None:
            self._port = port
        self._folder = Path(tempfile.mkdtemp(prefix="triptych-kafka-"))
        self._access = None if self._options.access is None else AccessFiles(self._options.access, self._folder)
        self._config = self._folder / "server.properties"
        self._process = ServerProcess("kafka", self._command("kafka.Kafka", str(self._config)), folder=self._folder)
        self._formatted = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def bootstrap_servers(self) -> str:
        """Where a client finds the broker."""
        return f"{HOST}:{self._port}"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def mutual_bootstrap_servers(self) -> str:
        """Where a client that has a certificate finds a broker with `access`."""
        return f"{HOST}:{self._mutual_port}"

    @property
    def ca_file(self) -> Path | None:
        """The authority that a client has to trust, where the broker speaks TLS."""
        return None if self._access is None else self._access.ca_file

    def certificate(self, user: str) -> tuple[Path, Path]:
        """Make a certificate for a user of a broker with `access`; return where it and its key lie."""
        if self._access is None:
            raise ValueError("access: expected a broker with access rules")
        return self._access.certificate(user)

    def admin_configs(self) -> dict[str, object]:
        """Return how a kafka-python client connects as one who may do everything."""
        configs: dict[str, object] = {} if self._access is None else self._access.admin_configs()
        return {"bootstrap_servers": self.bootstrap_servers, **configs}

    def allow(self, *rules: AccessRule) -> None:
        """Add access rules."""
        allow(self.admin_configs(), rules)

    @property
    def log_path(self) -> Path:
        """The broker's own log."""
        return self._folder / "broker.log"

    @property
    def process(self) -> ServerProcess:
        """The process, to be frozen, thawed or killed."""
        return self._process

    def start(self) -> None:
        """Start the broker and return when it answers an admin client."""
        if not self._formatted:
            self._format()
        self._process.start(self._answers, limit_s=READY_LIMIT_S)

    def stop(self) -> None:
        """End the broker cleanly; its data stays."""
        self._process.stop()

    def kill(self) -> None:
        """End the broker as a crash would; its data stays."""
        self._process.kill()

    def restart(self) -> None:
        """End the broker if it runs and start it again on the same port with the same data."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the broker without ending it: connections stay open and nothing answers."""
        self._process.freeze()

    def thaw(self) -> None:
        """Let a frozen broker go on."""
        self._process.thaw()

    def close(self) -> None:
        """End the broker and remove its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _format(self) -> None:
        properties = self._properties()
        self._config.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        cluster_id = new_cluster_id() if self._seat is None else self._seat.cluster_id
        command = self._command("kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c")
        users = [] if self._access is None else self._access.format_flags()
        done = subprocess.run([*command, str(self._config), *users], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the broker's storage could not be formatted:\n{done.stdout}{done.stderr}")
        self._formatted = True

    def _command(self, main_class: str, *args: str) -> list[str]:
        return [
            self._java,
            f"-Xmx{self._options.heap_mb}m",
            "-XX:+UseSerialGC",  # the broker shares its cores with what is tested
            f"-Dlog4j2.configurationFile={LOG_CONFIG}",
            f"-Dtriptych.log={self.log_path}",
            "-cp",
            self._classpath,
            main_class,
            *args,
        ]

    def _properties(self) -> dict[str, str]:
        largest = str(self._options.message_max_bytes)
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{HOST}:{self._controller_port}",
            "listeners": f"PLAINTEXT://{HOST}:{self._port},CONTROLLER://{HOST}:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self._port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self._folder / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "6",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # A killed broker is let in again only when the controller has given up its former self: 9 s otherwise.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            "group.initial.rebalance.delay.ms": "0",  # else each first join costs 3 s
            "auto.create.topics.enable": "false",
            "message.max.bytes": largest,
            "replica.fetch.max.bytes": largest,
        }
        if self._options.retention_check_ms is not None:
            properties["log.retention.check.interval.ms"] = str(self._options.retention_check_ms)
            properties["log.initial.task.delay.ms"] = "500"
        if self._access is not None:
            properties |= self._access.properties(HOST, self._port, self._mutual_port, self._controller_port)
        if self._seat is not None:
            properties |= self._seat.properties(self._port)
        return properties | dict(self._options.properties)

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self._port), timeout=1).close()
        except OSError:
            return False  # so that the client below does not back off from a port that is about to open
        from kafka import KafkaAdminClient  # noqa: PLC0415 - the launcher must start without the client installed
        from kafka.errors import KafkaError  # noqa: PLC0415

        log = logging.getLogger("kafka")
        level = log.level
        log.setLevel(logging.CRITICAL)  # refused connections are what we wait through
        try:
            client = KafkaAdminClient(**self.admin_configs(), request_timeout_ms=3000)
            try:
                client.list_topics()
            finally:
                client.close()
        except (KafkaError, OSError):
            return False
        finally:
            log.setLevel(level)
        return True
