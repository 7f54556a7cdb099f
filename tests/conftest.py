"""Real servers for the tests: skipped on a laptop that lacks them, a failure where they are required."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests import servers
from tests.servers import open_server
from tools.devservers import (
    AccessRule,
    DevKafka,
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

# The same examples in every run: a red test is a change of ours. HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# A shell ignores SIGINT for what it runs in the background, and programs that the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


SERVER_FIXTURES = frozenset({
    "kafka", "kafka_bootstrap", "secured_kafka", "start_kafka", "redis_server", "redis_url", "secured_redis",
    "secured_redis_url", "redis_cluster", "redis_cluster_url", "secured_cluster_url", "secured_sentinel",
    "secured_sentinel_url", "start_redis",
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


@pytest.fixture(scope="session")
def kafka() -> Iterator[DevKafka]:
    """One real Apache Kafka broker for the whole run; leave it running and thawed."""
    with ExitStack() as stack:
        yield open_server(stack, DevKafka)


@pytest.fixture(scope="session")
def kafka_bootstrap(kafka: DevKafka) -> str:
    """Where the shared broker listens."""
    return kafka.bootstrap_servers


@pytest.fixture(scope="session")
def secured_kafka() -> Iterator[DevKafka]:
    """One broker for the whole run with TLS, logins and access rules: `suite` may use topics `contract-…` only."""
    access = KafkaAccess({"admin": "admin-secret", "suite": "suite-secret", "guest": "guest-secret"})
    with ExitStack() as stack:
        broker = open_server(stack, lambda: DevKafka(KafkaOptions(heap_mb=384, access=access)))
        broker.allow(
            AccessRule("suite", ("ALL",), "TOPIC", "contract-", prefixed=True),
            AccessRule("suite", ("ALL",), "GROUP", "group-", prefixed=True),
        )
        yield broker


@pytest.fixture
def start_kafka() -> Iterator[Callable[[KafkaOptions], DevKafka]]:
    """Start a broker of the test's own, which it may freeze, kill or restart."""
    with ExitStack() as stack:
        yield lambda options: open_server(stack, lambda: DevKafka(options))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[DevRedis]:
    """One real Redis server for the whole run; leave it running and thawed."""
    with ExitStack() as stack:
        yield open_server(stack, DevRedis)


@pytest.fixture(scope="session")
def redis_url(redis_server: DevRedis) -> str:
    """Where the shared Redis listens."""
    return redis_server.url


@pytest.fixture(scope="session")
def secured_redis() -> Iterator[DevRedis]:
    """One Redis for the whole run that is reached over TLS by one user with a password."""
    with ExitStack() as stack:
        yield open_server(stack, lambda: DevRedis(RedisAccess()))


@pytest.fixture(scope="session")
def secured_redis_url(secured_redis: DevRedis) -> str:
    """Where it listens, with the user's password and the authority to trust."""
    return RedisSettings(url=secured_redis.url, ssl_ca_file=secured_redis.ca_file).full_url()


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[DevRedisCluster]:
    """Three Redis servers for the whole run that share the slots."""
    with ExitStack() as stack:
        yield open_server(stack, DevRedisCluster)


@pytest.fixture(scope="session")
def redis_cluster_url(redis_cluster: DevRedisCluster) -> str:
    """Where the cluster listens."""
    return redis_cluster.url


@pytest.fixture(scope="session")
def secured_cluster_url() -> Iterator[str]:
    """Where a cluster listens that is reached over TLS by one user with a password."""
    with ExitStack() as stack:
        cluster = open_server(stack, lambda: DevRedisCluster(RedisAccess()))
        yield RedisSettings(url=cluster.url, ssl_ca_file=cluster.ca_file).full_url()


@pytest.fixture(scope="session")
def secured_sentinel() -> Iterator[DevRedisSentinel]:
    """A Sentinel with a login of its own that names a Redis with another, all over TLS; leave the Redis running."""
    with ExitStack() as stack:
        yield open_server(stack, lambda: DevRedisSentinel(RedisAccess()))


@pytest.fixture(scope="session")
def secured_sentinel_url(secured_sentinel: DevRedisSentinel) -> str:
    """Where it listens, with all that a client needs."""
    return RedisSettings(url=secured_sentinel.url, ssl_ca_file=secured_sentinel.ca_file).full_url()


@pytest.fixture
def start_redis() -> Iterator[Callable[[], DevRedis]]:
    """Start a Redis of the test's own, which it may freeze, kill or restart."""
    with ExitStack() as stack:
        yield lambda: open_server(stack, DevRedis)
