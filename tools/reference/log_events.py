"""The page of all log events: every constant name that the code logs, with its level, program, module and meaning.

Names, levels and modules come from the syntax trees. The meanings stand in `log_events.toml`: a name without one, and
one without a name, is an error.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.reference.markdown import code, one_line, table
from tools.structure import Module, read_modules

MEANINGS: Final = Path(__file__).with_name("log_events.toml")
LEVELS: Final = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
SNAKE_CASE: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

_LOGGER: Final = re.compile(r"(^|\.)_?log(ger)?$")
_PROGRAMS: Final = {
    "core": "all",
    "models": "all that run models",
    "transport": "all",
    "producers": "`triptych produce`",
    "worker": "`triptych work`",
    "consumers": "consumers",
    "training": "training",
    "app": "`triptych`",
}
_HEAD = """# Log events

Every event that the programs log, by its name: the field `event` of a JSON line (`log.format = "json"`). The other
fields of a line are key-value pairs. `exception` is the level `error` with a traceback.
"""


@dataclass(frozen=True, order=True)
class LogCall:
    """One call of a logger with a constant event name."""

    name: str
    level: str
    module: str
    root: str


def page() -> str:
    """Return the page."""
    grouped: dict[str, list[LogCall]] = defaultdict(list)
    for call in calls(read_modules()):
        grouped[call.name].append(call)
    meanings = read_meanings()
    if problems := mismatches(grouped, meanings):
        raise ValueError("\n".join(problems))
    rows = [_row(name, found, meanings[name]) for name, found in sorted(grouped.items())]
    return f"{_HEAD}\n{table(['event', 'level', 'program', 'module', 'meaning'], rows)}"


def calls(modules: Iterable[Module]) -> Iterator[LogCall]:
    """Iterate over the calls of loggers in the modules."""
    for module in modules:
        for node in ast.walk(module.tree):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=receiver, attr=level), args=[ast.Constant(value=str(name)), *_]
                ) if level in LEVELS and _LOGGER.search(ast.unparse(receiver)):
                    yield LogCall(name, level, module.name, module.path.parts[0])


def read_meanings() -> dict[str, str]:
    """Read the meanings by event name."""
    meanings: dict[str, str] = tomllib.loads(MEANINGS.read_text(encoding="utf-8"))
    return meanings


def mismatches(names: Iterable[str], meanings: Iterable[str]) -> list[str]:
    """Return a line for each event name without a meaning, and for each meaning without an event."""
    logged, explained = set(names), set(meanings)
    missing = [f"{MEANINGS.name}: no meaning of the event {name}" for name in sorted(logged - explained)]
    return missing + [f"{MEANINGS.name}: nothing logs the event {name}" for name in sorted(explained - logged)]


def _row(name: str, found: list[LogCall], meaning: str) -> tuple[str, ...]:
    levels = ", ".join(sorted({call.level for call in found}))
    programs = ", ".join(sorted({_PROGRAMS[call.root] for call in found}))
    modules = ", ".join(code(module) for module in sorted({call.module.removeprefix("triptych.") for call in found}))
    return code(name), levels, programs, modules, one_line(meaning)
