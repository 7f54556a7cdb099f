"""Real servers for the tests: skipped on a laptop that lacks them, a failure where they are required."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.servers import open_server
from tools.devservers import DevKafka, DevRedis, KafkaOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The same examples in every run: a red test is a change of ours. HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session")
def kafka() -> Iterator[DevKafka]:
    """One real Apache Kafka broker for the whole run; leave it running and thawed."""
    with ExitStack() as stack:
        yield open_server(stack, DevKafka)


@pytest.fixture(scope="session")
def kafka_bootstrap(kafka: DevKafka) -> str:
    """Where the shared broker listens."""
    return kafka.bootstrap_servers


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


@pytest.fixture
def start_redis() -> Iterator[Callable[[], DevRedis]]:
    """Start a Redis of the test's own, which it may freeze, kill or restart."""
    with ExitStack() as stack:
        yield lambda: open_server(stack, DevRedis)
