"""Starting real servers for tests: skipped on a laptop that lacks them, a failure where they are required."""

from __future__ import annotations

import os
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
    """Start a server that the stack stops; without its program skip the test, or fail where it is required."""
    if not START:
        pytest.skip("needs a server, and --quick starts none")
    try:
        return stack.enter_context(make())
    except MissingProgramError as missing:
        if REQUIRED:
            raise
        pytest.skip(str(missing))


def require_program(found: str | None, name: str) -> str:
    """Return a program's path; without it skip the test, or fail where it is required."""
    if found is None:
        message = f"{name} is not installed"
        if REQUIRED:
            pytest.fail(message)
        pytest.skip(message)
    return found
