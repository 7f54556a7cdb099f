"""Kafka and Redis with TLS, logins and access rules, and a settings file for each program."""

from __future__ import annotations

import json
import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from tools.devservers.kafka import DevKafka, KafkaOptions
from tools.devservers.kafka_access import AccessRule, KafkaAccess
from tools.devservers.redis import DevRedis, RedisAccess

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

INPUTS = ("triptych.video", "triptych.audio", "triptych.subtitles")
SEE = ("DESCRIBE", "DESCRIBE_CONFIGS")
USERS = ("admin", "producer", "worker", "watcher", "doctor")
USERS_OF_REDIS = frozenset({"worker", "watcher", "doctor"})


def rules(pipeline: str) -> list[AccessRule]:
    """Return exactly the permissions that the programs need in Kafka, as documented in docs/security.md."""
    results, dead, prompts = f"{pipeline}.results", f"{pipeline}.dead", f"{pipeline}.prompts"
    topics = (*INPUTS, results, dead)
    return [
        *(AccessRule("producer", (*SEE, "WRITE"), "TOPIC", topic) for topic in INPUTS),
        *(AccessRule("worker", SEE, "TOPIC", topic) for topic in (*topics, prompts)),
        *(AccessRule("worker", ("READ",), "TOPIC", topic) for topic in (*INPUTS, results, prompts)),
        *(AccessRule("worker", ("WRITE",), "TOPIC", topic) for topic in (results, dead)),
        AccessRule("worker", ("READ",), "GROUP", pipeline),
        AccessRule("watcher", ("DESCRIBE", "READ"), "TOPIC", results),
        *(AccessRule("doctor", (*SEE, "READ"), "TOPIC", topic) for topic in topics),
        AccessRule("doctor", ("READ",), "GROUP", pipeline),
    ]


class SecuredServers:
    """Both servers, and a settings file for each user in a folder: admin.toml, producer.toml, worker.toml, …."""

    def __init__(self, folder: Path, *, pipeline: str = "triptych") -> None:
        self._folder = folder
        self._pipeline = pipeline
        self._passwords = {user: secrets.token_urlsafe(12) for user in USERS}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            self.kafka = stack.enter_context(DevKafka(KafkaOptions(access=KafkaAccess(self._passwords))))
            self.redis = stack.enter_context(DevRedis(RedisAccess(password=secrets.token_urlsafe(12))))
            self.kafka.allow(*rules(self._pipeline))
            self._write_files()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def settings_files(self) -> list[Path]:
        """The settings files, one for each user."""
        return [self._folder / f"{user}.toml" for user in self._passwords]

    def _write_files(self) -> None:
        ca = self._file("kafka-ca.pem", self.kafka.ca_file)
        redis_ca = self._file("redis-ca.pem", self.redis.ca_file)
        login, _, where = self.redis.url.removeprefix("rediss://").rpartition("@")
        user, _, password = login.partition(":")
        redis = {
            "url": f"rediss://{user}@{where}",
            "password_file": self._secret("redis.password", password),
            "ssl_ca_file": redis_ca,
        }
        for name, its_password in self._passwords.items():
            kafka = {
                "bootstrap_servers": self.kafka.bootstrap_servers,
                "security_protocol": "SASL_SSL",
                "ssl_ca_file": ca,
                "sasl_mechanism": "SCRAM-SHA-512",
                "username": name,
                "password_file": self._secret(f"{name}.password", its_password),
            }
            sections = {"kafka": kafka} | ({"redis": redis} if name in USERS_OF_REDIS else {})
            lines = [f"pipeline = {json.dumps(self._pipeline)}"]
            for section, values in sections.items():
                lines += ["", f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
            (self._folder / f"{name}.toml").write_text("\n".join(lines) + "\n")

    def _file(self, name: str, source: Path | None) -> str:
        assert source is not None  # noqa: S101 - both servers use TLS
        path = (self._folder / name).resolve()
        path.write_bytes(source.read_bytes())
        return str(path)

    def _secret(self, name: str, secret: str) -> str:
        path = (self._folder / name).resolve()
        path.touch(mode=0o600)
        path.write_text(secret + "\n")
        return str(path)
