"""The development servers start, survive faults, and report missing programs."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest
from kafka import KafkaAdminClient

from tools.devservers import DevRedis, KafkaOptions, MissingProgramError, requirements

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tools.devservers import DevKafka, DevPostgres


def _topics(bootstrap_servers: str) -> list[str]:
    client = KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        return list(client.list_topics())
    finally:
        client.close()


def test_a_broker_keeps_its_topics_through_a_kill_and_a_restart(
    start_kafka: Callable[[KafkaOptions], DevKafka],
) -> None:
    """A topic created before the crash exists after it, at the same address."""
    kafka = start_kafka(KafkaOptions())
    client = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    client.create_topics({"kept": {"num_partitions": 1, "replication_factor": 1}})
    client.close()

    kafka.kill()
    kafka.start()
    kafka.freeze()
    kafka.thaw()
    kafka.restart()

    assert "kept" in _topics(kafka.bootstrap_servers)


def test_a_redis_restarts_with_its_data(start_redis: Callable[[], DevRedis]) -> None:
    """The append-only file restores it."""
    redis = pytest.importorskip("redis")
    server = start_redis()
    with redis.Redis.from_url(server.url) as client:
        client.set("kept", "yes")

        server.restart()

        assert client.get("kept") == b"yes"


def test_a_postgresql_starts_again_with_its_data_after_a_kill(start_postgres: Callable[[], DevPostgres]) -> None:
    """It has pgvector, and asks for a password."""
    server = start_postgres()
    server.ask("CREATE EXTENSION vector; CREATE TABLE kept AS SELECT '[1,2]'::vector AS vector")

    server.process.kill()
    server.start()
    server.stop()
    server.start()

    assert server.ask("SELECT vector <-> '[1,5]' FROM kept") == "3"
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.url(), password="another")  # noqa: S106 - of a test


def test_closing_a_server_ends_its_process() -> None:
    """No process is left."""
    try:
        server = DevRedis()
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    with server:
        assert server.process.alive

    assert not server.process.alive


def test_a_missing_program_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the user knows what to do."""
    monkeypatch.setenv("PATH", "")

    with pytest.raises(MissingProgramError, match=r"redis-server is not installed.*apt-get install redis-server"):
        DevRedis()


def test_a_java_that_is_too_old_is_reported_with_the_required_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Java 11 starts the broker, which then fails with an obscure error."""
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")

    with pytest.raises(MissingProgramError, match="Java 17 or newer, found 11"):
        requirements.require_java()


def test_the_launcher_prints_its_usage() -> None:
    """An unknown argument is a usage error."""
    command = [sys.executable, "-m", "tools.devservers", "oracle"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage:")


@pytest.mark.parametrize("name", ["kafka", "redis"])
def test_a_port_on_which_something_listens_is_refused(name: str) -> None:
    """The server would end, and the other one would seem to be it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        command = [sys.executable, "-m", "tools.devservers", name, str(other.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"port {command[-1]}: expected a free one" in done.stderr
