"""Real servers for complete runs, and new installations on them."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.resources import files
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.e2e.programs import Installation
from tests.servers import open_server
from tools.devservers import DevKafka, KafkaOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_names = count(1)


@pytest.fixture(scope="session")
def strict_kafka() -> Iterator[DevKafka]:
    """A broker that runs retention every second."""
    with ExitStack() as stack:
        yield open_server(stack, lambda: DevKafka(KafkaOptions(retention_check_ms=1000, starts_often=True)))


@pytest.fixture(scope="session")
def install(
    strict_kafka: DevKafka, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Installation]:
    """Create new installations: new input topics, a new pipeline name, and settings as variables.

    There is one at a time: the input topics of the previous one are deleted.
    """

    def make(**settings: str) -> Installation:
        name = f"e2e-{next(_names)}"
        folder = tmp_path_factory.mktemp(name)
        fresh = Installation(strict_kafka.bootstrap_servers, redis_url, name, folder, settings)
        fresh.delete_inputs()
        fresh.make_topics()
        return fresh

    return make


@pytest.fixture(scope="session")
def clip() -> Callable[[str], str]:
    """Find one of the sample clips."""
    return lambda name: str(files("triptych.samples").joinpath(name))
