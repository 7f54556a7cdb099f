"""Real servers for the tests. A missing server skips the test locally and fails it in CI."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import settings

from tests import servers
from tests.servers import open_server
from tools.devservers import (
    AccessRule,
    DevKafka,
    DevMosquitto,
    DevPostgres,
    DevRedis,
    DevRedisCluster,
    DevRedisSentinel,
    KafkaAccess,
    KafkaOptions,
    RedisAccess,
)
from triptych.settings.redis import RedisSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The same examples in every run, so that a failure is caused by a change. HYPOTHESIS_PROFILE=explore finds new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# Shells ignore SIGINT for background jobs, and programs that the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


SERVER_FIXTURES = frozenset({
    "kafka", "kafka_bootstrap", "secured_kafka", "start_kafka", "redis_server", "redis_url", "secured_redis",
    "secured_redis_url", "redis_cluster", "redis_cluster_url", "secured_cluster_url", "secured_sentinel",
    "secured_sentinel_url", "start_redis", "start_mosquitto",
    "postgres_server", "start_postgres", "stopped_server",
})  # fmt: skip
"""A test that uses one of these, directly or through another fixture, gets the marker `server`."""

SLOW_TESTS = Path(__file__).with_name("slow.txt")
"""The tests that `make test-quick` leaves out besides: a path below `tests/` (folder, file or test) on each line."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `make test-quick`."""
    parser.addoption("--quick", action="store_true", help="leave out the tests marked `server` or `slow`")


def pytest_configure(config: pytest.Config) -> None:
    """With --quick, skip also what asks for a server only while it runs."""
    servers.START = not config.getoption("--quick")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that need a server with `server`, and those that take long with `slow`; deselect with --quick."""
    lines = SLOW_TESTS.read_text(encoding="utf-8").splitlines()
    slow = tuple(line for line in lines if line and not line.startswith("#"))
    for item in items:
        if SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("server")
        if item.nodeid.removeprefix("tests/").startswith(slow):
            item.add_marker("slow")
    if config.getoption("--quick"):
        left_out = [item for item in items if item.get_closest_marker("server") or item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=left_out)
        left = set(left_out)
        items[:] = [item for item in items if item not in left]


@pytest.fixture(autouse=True)
def _log_configuration() -> Iterator[None]:
    """Undo what a command sets that runs in the process of the tests: a log level would hide events from later ones."""
    before = structlog.get_config()
    root, kafka = logging.getLogger(), logging.getLogger("kafka")
    levels = root.level, kafka.level
    yield
    structlog.configure(**before)
    for logger, level in zip((root, kafka), levels, strict=True):
        logger.setLevel(level)
    root.handlers[:] = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]


@pytest.fixture(scope="session")
def kafka() -> Iterator[DevKafka]:
    """A real Apache Kafka broker for the whole test run. Tests must leave it running and not paused."""
    with ExitStack() as stack:
        yield open_server(stack, lambda: DevKafka(KafkaOptions(starts_often=True)))


@pytest.fixture(scope="session")
def kafka_bootstrap(kafka: DevKafka) -> str:
    """The bootstrap server of the shared broker."""
    return kafka.bootstrap_servers


@pytest.fixture(scope="session")
def secured_kafka() -> Iterator[DevKafka]:
    """A broker for the whole test run with TLS, authentication and ACLs. `suite` may use topics `contract-…` only."""
    access = KafkaAccess({"admin": "admin-secret", "suite": "suite-secret", "guest": "guest-secret"})
    with ExitStack() as stack:
        broker = open_server(stack, lambda: DevKafka(KafkaOptions(heap_mb=384, access=access, starts_often=True)))
        broker.allow(
            AccessRule("suite", ("ALL",), "TOPIC", "contract-", prefixed=True),
            AccessRule("suite", ("ALL",), "GROUP", "group-", prefixed=True),
        )
        yield broker


@pytest.fixture
def start_kafka() -> Iterator[Callable[[KafkaOptions], DevKafka]]:
    """Start a broker for one test, which may pause, kill or restart it."""
    with ExitStack() as stack:
        yield lambda options: open_server(stack, lambda: DevKafka(replace(options, starts_often=True)))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[DevRedis]:
    """A real Redis server for the whole test run. Tests must leave it running and not paused."""
    with ExitStack() as stack:
        yield open_server(stack, DevRedis)


@pytest.fixture(scope="session")
def redis_url(redis_server: DevRedis) -> str:
    """The URL of the shared Redis server."""
    return redis_server.url


@pytest.fixture(scope="session")
def secured_redis() -> Iterator[DevRedis]:
    """A Redis server for the whole test run with TLS and a user with a password."""
    with ExitStack() as stack:
        yield open_server(stack, lambda: DevRedis(RedisAccess()))


@pytest.fixture(scope="session")
def secured_redis_url(secured_redis: DevRedis) -> str:
    """Its URL, with the user's password and the certificate authority."""
    return RedisSettings(url=secured_redis.url, ssl_ca_file=secured_redis.ca_file).full_url()


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[DevRedisCluster]:
    """A cluster of three Redis servers for the whole test run."""
    with ExitStack() as stack:
        yield open_server(stack, DevRedisCluster)


@pytest.fixture(scope="session")
def redis_cluster_url(redis_cluster: DevRedisCluster) -> str:
    """The URL of the cluster."""
    return redis_cluster.url


@pytest.fixture(scope="session")
def secured_cluster_url() -> Iterator[str]:
    """The URL of a cluster with TLS and a user with a password."""
    with ExitStack() as stack:
        cluster = open_server(stack, lambda: DevRedisCluster(RedisAccess()))
        yield RedisSettings(url=cluster.url, ssl_ca_file=cluster.ca_file).full_url()


@pytest.fixture(scope="session")
def secured_sentinel() -> Iterator[DevRedisSentinel]:
    """A Sentinel and its Redis server with separate credentials, all over TLS. Tests must leave the server running."""
    with ExitStack() as stack:
        yield open_server(stack, lambda: DevRedisSentinel(RedisAccess()))


@pytest.fixture(scope="session")
def secured_sentinel_url(secured_sentinel: DevRedisSentinel) -> str:
    """Its URL, with all credentials."""
    return RedisSettings(url=secured_sentinel.url, ssl_ca_file=secured_sentinel.ca_file).full_url()


@pytest.fixture
def start_redis() -> Iterator[Callable[..., DevRedis]]:
    """Start a Redis server for one test, which may pause, kill or restart it: `start_redis({"save": "3600 1"})`."""
    with ExitStack() as stack:
        yield lambda flags=None: open_server(stack, lambda: DevRedis(flags=flags))


@pytest.fixture
def start_mosquitto() -> Iterator[Callable[..., DevMosquitto]]:
    """Start an MQTT broker for one test, which may freeze, kill or restart it: `start_mosquitto(access)`."""
    with ExitStack() as stack:
        yield lambda access=None, *, persistent=False, limits=(): open_server(
            stack, lambda: DevMosquitto(access, persistent=persistent, limits=limits)
        )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[DevPostgres]:
    """A real PostgreSQL server with pgvector for the whole test run. Tests must leave it running and not paused."""
    with ExitStack() as stack:
        yield open_server(stack, DevPostgres)


@pytest.fixture
def start_postgres() -> Iterator[Callable[[], DevPostgres]]:
    """Start a PostgreSQL server for one test, which may freeze, kill or restart it."""
    with ExitStack() as stack:
        yield lambda: open_server(stack, DevPostgres)
