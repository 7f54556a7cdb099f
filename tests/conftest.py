"""Real servers for the tests. A missing server skips the test locally and fails it in CI."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

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

# The same examples in every run, so that a failure is caused by a change. HYPOTHESIS_PROFILE=explore finds new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# Shells ignore SIGINT for background jobs, and programs that the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def kafka() -> Iterator[DevKafka]:
    """A real Apache Kafka broker for the whole test run. Tests must leave it running and not paused."""
    with ExitStack() as stack:
        yield open_server(stack, DevKafka)


@pytest.fixture(scope="session")
def kafka_bootstrap(kafka: DevKafka) -> str:
    """The bootstrap server of the shared broker."""
    return kafka.bootstrap_servers


@pytest.fixture(scope="session")
def secured_kafka() -> Iterator[DevKafka]:
    """A broker for the whole test run with TLS, authentication and ACLs. `suite` may use topics `contract-…` only."""
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
    """Start a broker for one test, which may pause, kill or restart it."""
    with ExitStack() as stack:
        yield lambda options: open_server(stack, lambda: DevKafka(options))


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
def start_redis() -> Iterator[Callable[[], DevRedis]]:
    """Start a Redis server for one test, which may pause, kill or restart it."""
    with ExitStack() as stack:
        yield lambda: open_server(stack, DevRedis)
