"""Importing a subscriber is cheap: it imports no library that only some of its users need, and no command line."""

from __future__ import annotations

import subprocess
import sys

import pytest

UNWANTED = {"asyncio", "av", "kafka", "numpy", "pydantic", "redis", "rich", "structlog", "torch", "typer"}


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("Subscriber", set()), ("Result", {"pydantic"}), ("AsyncSubscriber", {"asyncio", "pydantic"})],
)
def test_a_public_name_imports_no_unneeded_library(name: str, allowed: set[str]) -> None:
    """Clients are imported when a source is opened, structlog when a problem is first logged."""
    program = f"import sys; from triptych.consumers import {name}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()

    assert not {module.partition(".")[0] for module in loaded} & (UNWANTED - allowed)
