"""Start of real servers for tests. A missing server skips the test locally and fails it in CI."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

import pytest

from tools.devservers import MissingProgramError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager, ExitStack

REQUIRED = os.environ.get("TRIPTYCH_REQUIRE_SERVERS") == "1" or os.environ.get("CI") == "true"

START = True
"""Whether servers may be started; `--quick` says no."""

T = TypeVar("T")


def open_server(stack: ExitStack, make: Callable[[], AbstractContextManager[T]]) -> T:
    """Start a server that `stack` stops. If its program is missing, skip the test, or fail if servers are required."""
    if not START:
        pytest.skip("needs a server, and --quick starts none")
    try:
        return stack.enter_context(make())
    except MissingProgramError as missing:
        if REQUIRED:
            raise
        pytest.skip(str(missing))


def require_librdkafka() -> None:
    """If the client in C is not installed, skip the test, or fail if servers are required."""
    require_program(None if find_spec("confluent_kafka") is None else "confluent_kafka", "the extra `librdkafka`")


def require_program(found: str | None, name: str) -> str:
    """Return a program's path. If it is missing, skip the test, or fail if servers are required."""
    if found is None:
        message = f"{name} is not installed"
        if REQUIRED:
            pytest.fail(message)
        pytest.skip(message)
    return found
