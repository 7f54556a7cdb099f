"""Real servers for the tests: skipped on a laptop that lacks them, a failure where they are required."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

import pytest

from tools.devservers import DevKafka, DevRedis, KafkaOptions, MissingProgramError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

REQUIRED = os.environ.get("TRIPTYCH_REQUIRE_SERVERS") == "1" or os.environ.get("CI") == "true"


T = TypeVar("T")


def _open(stack: ExitStack, make: Callable[[], AbstractContextManager[T]]) -> T:
    try:
        return stack.enter_context(make())
    except MissingProgramError as missing:
        if REQUIRED:
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def kafka() -> Iterator[DevKafka]:
    """One real Apache Kafka broker for the whole run; leave it running and thawed."""
    with ExitStack() as stack:
        yield _open(stack, DevKafka)


@pytest.fixture(scope="session")
def kafka_bootstrap(kafka: DevKafka) -> str:
    """Where the shared broker listens."""
    return kafka.bootstrap_servers


@pytest.fixture
def start_kafka() -> Iterator[Callable[[KafkaOptions], DevKafka]]:
    """Start a broker of the test's own, which it may freeze, kill or restart."""
    with ExitStack() as stack:
        yield lambda options: _open(stack, lambda: DevKafka(options))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[DevRedis]:
    """One real Redis server for the whole run; leave it running and thawed."""
    with ExitStack() as stack:
        yield _open(stack, DevRedis)


@pytest.fixture(scope="session")
def redis_url(redis_server: DevRedis) -> str:
    """Where the shared Redis listens."""
    return redis_server.url


@pytest.fixture
def start_redis() -> Iterator[Callable[[], DevRedis]]:
    """Start a Redis of the test's own, which it may freeze, kill or restart."""
    with ExitStack() as stack:
        yield lambda: _open(stack, DevRedis)
