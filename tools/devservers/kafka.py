"""A real Apache Kafka broker (KRaft) for tests, demos and development: alone, or in a cluster."""

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

from tools.devservers.class_archive import archive_path, ensure_archive, use_flags
from tools.devservers.jars import kafka_jars
from tools.devservers.kafka_access import AccessFiles, AccessRule, KafkaAccess, allow
from tools.devservers.ports import HOST, free_ports
from tools.devservers.process import ServerProcess
from tools.devservers.requirements import require_java

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

READY_LIMIT_S = 120
ARCHIVE_LIMIT_S = 120
LOG_CONFIG = Path(__file__).with_name("log4j2.xml")


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """The options of a broker.

    Attributes:
        message_max_bytes: the largest record batch, unless a topic overrides it.
        retention_check_ms: how often retention runs; None for the broker's default of five minutes.
        heap_mb: the size of the Java heap.
        properties: further lines of server.properties, which override ours.
        access: users and access rules, with TLS; None allows everyone everything, without TLS.
        starts_often: compile less, which takes a third off a start and makes a long run slower.
    """

    message_max_bytes: int = 16 * 1024 * 1024
    retention_check_ms: int | None = None
    heap_mb: int = 512
    properties: Mapping[str, str] = field(default_factory=dict)
    access: KafkaAccess | None = None
    starts_often: bool = False


@dataclass(frozen=True, slots=True)
class Seat:
    """A broker's place in a cluster.

    Attributes:
        number: the number of the broker, from 0.
        cluster_id: the cluster id in the storage of all brokers.
        inner_ports: the ports between the brokers, by number.
        controller_ports: the ports of the controllers, by number.
        advertised_port: the port that clients connect to; None for the port of the broker.
    """

    number: int
    cluster_id: str
    inner_ports: tuple[int, ...]
    controller_ports: tuple[int, ...]
    advertised_port: int | None = None

    def properties(self, port: int) -> dict[str, str]:
        """Return the lines of server.properties for a cluster that tolerates the loss of one broker."""
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


@dataclass(frozen=True, slots=True)
class ExtraListener:
    """A second listener for clients, which connect to `advertised_port`: the port of a relay, for example."""

    port: int
    advertised_port: int

    def add_to(self, properties: Mapping[str, str]) -> dict[str, str]:
        """Return the lines of server.properties with this listener added."""
        protocols = properties.get("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT")
        return {
            **properties,
            "listeners": f"{properties['listeners']},EXTRA://{HOST}:{self.port}",
            "advertised.listeners": f"{properties['advertised.listeners']},EXTRA://{HOST}:{self.advertised_port}",
            "listener.security.protocol.map": f"{protocols},EXTRA:PLAINTEXT",
        }


def new_cluster_id() -> str:
    """Return a cluster id in Kafka's format."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()


class DevKafka:
    """One broker, which is its own controller. Its data is in a temporary folder."""

    def __init__(
        self,
        options: KafkaOptions | None = None,
        *,
        port: int | None = None,
        seat: Seat | None = None,
        extra: ExtraListener | None = None,
        classes_to: Path | None = None,
    ) -> None:
        """Prepare a broker; `start` starts it.

        Args:
            options: its options.
            port: the port to listen on; None for a free one.
            seat: its place in a cluster; None for a broker alone.
            extra: a second listener.
            classes_to: where a clean stop writes the archive of its classes; None to start with that archive.
        """
        self._options = options or KafkaOptions()
        self._seat = seat
        self._extra = extra
        self._java = require_java()
        self._classpath = str(kafka_jars() / "*")
        self._class_flags = class_archive_flags(self._java) if classes_to is None else []
        self._port, self._mutual_port, self._controller_port = free_ports(3)
        if port is not None:
            self._port = port
        self._folder = Path(tempfile.mkdtemp(prefix="triptych-kafka-"))
        self._access = None if self._options.access is None else AccessFiles(self._options.access, self._folder)
        self._config = self._folder / "server.properties"
        command = self._command("kafka.Kafka", str(self._config))
        if classes_to is not None:
            command.insert(1, f"-XX:ArchiveClassesAtExit={classes_to}")
        self._process = ServerProcess("kafka", command, folder=self._folder)
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
        """The broker's address for clients."""
        return f"{HOST}:{self._port}"

    @property
    def data_dir(self) -> Path:
        """The folder of the log files."""
        return self._folder / "data"

    @property
    def port(self) -> int:
        """The port of the broker."""
        return self._port

    @property
    def mutual_bootstrap_servers(self) -> str:
        """The address for clients with a certificate, of a broker with `access`."""
        return f"{HOST}:{self._mutual_port}"

    @property
    def ca_file(self) -> Path | None:
        """The authority that a client must trust, if the broker uses TLS."""
        return None if self._access is None else self._access.ca_file

    def certificate(self, user: str) -> tuple[Path, Path]:
        """Create a certificate for a user of a broker with `access`; return the paths of it and its key."""
        if self._access is None:
            raise ValueError("access: expected a broker with access rules")
        return self._access.certificate(user)

    def admin_configs(self) -> dict[str, object]:
        """Return the settings with which a kafka-python client connects as admin."""
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
        """The process, to freeze, thaw or kill it."""
        return self._process

    def start(self) -> None:
        """Start the broker, and wait until it answers an admin client."""
        if not self._formatted:
            self._format()
        self._process.start(self._answers, limit_s=READY_LIMIT_S)

    def stop(self, *, limit_s: float = 15) -> None:
        """Stop the broker cleanly, or kill it after the limit; keep its data."""
        self._process.stop(limit_s=limit_s)

    def kill(self) -> None:
        """Kill the broker, as in a crash; keep its data."""
        self._process.kill()

    def restart(self) -> None:
        """Stop the broker if it runs, and start it on the same port with the same data."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Suspend the broker: connections stay open, and nothing answers."""
        self._process.freeze()

    def thaw(self) -> None:
        """Resume a suspended broker."""
        self._process.thaw()

    def close(self) -> None:
        """Stop the broker and delete its data."""
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
            *self._class_flags,
            f"-Xmx{self._options.heap_mb}m",
            "-XX:+UseSerialGC",  # the broker shares the cores with the tested programs
            *(["-XX:TieredStopAtLevel=1"] if self._options.starts_often else []),
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
            "log.dirs": str(self.data_dir),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "6",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # A killed broker can register again only after its old session has expired: 9 s by default.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            "group.initial.rebalance.delay.ms": "0",  # by default, each first join takes 3 s
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
        if self._extra is not None:
            properties = self._extra.add_to(properties)
        return properties | dict(self._options.properties)

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self._port), timeout=1).close()
        except OSError:
            return False  # otherwise the client below would back off from a port that is about to open
        from kafka import KafkaAdminClient  # noqa: PLC0415 - the launcher must work without the client
        from kafka.errors import KafkaError  # noqa: PLC0415

        log = logging.getLogger("kafka")
        level = log.level
        log.setLevel(logging.CRITICAL)  # refused connections are expected here
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


def class_archive_flags(java: str) -> list[str]:
    """Return the flags of Java for the archive of the broker's classes. Make the archive if needed."""
    archive = ensure_archive(archive_path(Path(java), kafka_jars()), _write_class_archive)
    return [] if archive is None else use_flags(archive)


def _write_class_archive(path: Path) -> None:
    """Run a broker that writes its classes to the path when it stops."""
    broker = DevKafka(KafkaOptions(starts_often=True), classes_to=path)
    try:
        broker.start()
        broker.stop(limit_s=ARCHIVE_LIMIT_S)
    finally:
        broker.close()
