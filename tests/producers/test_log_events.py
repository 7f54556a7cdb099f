"""The names of the log events: one style, and each of them documented."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from triptych import producers
from triptych.producers.status.counters import State

PACKAGE = Path(producers.__path__[0])
PAGE = (Path(__file__).parents[2] / "docs" / "producing.md").read_text(encoding="utf-8")


def logged_names() -> Iterator[str]:
    """Yield the first argument of every call of `_log`."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                owner, event = node.func.value, node.args[0]
                if isinstance(owner, ast.Name) and owner.id == "_log" and isinstance(event, ast.Constant):
                    yield str(event.value)
    yield from (f"source_{state}" for state in get_args(State))


def test_every_log_event_is_in_snake_case_and_documented() -> None:
    """No name contains a dot."""
    names = set(logged_names())

    assert len(names) > 20
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", name) for name in names)
    assert {name for name in names if f"`{name}`" not in PAGE} == set()
