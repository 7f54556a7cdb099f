"""Queries of a user over the graph: they only read, they reach nothing outside, and they end.

Oxigraph cannot interrupt a query. So it runs in a process of its own, with limits for its time, rows and memory.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from triptych.consumers.searching.graph.window_graph import open_snapshot
from triptych.schemas.errors import UsageError

_ESCAPE: Final = re.compile(r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})")
_SERVICE: Final = re.compile(r"(?<![?$:])service", re.IGNORECASE)
"""The keyword may stand beside any other token (`.SERVICE`, `1SERVICE`). After these three characters, it is a name."""
_AMBIGUOUS: Final = re.compile(r"""['#\\]|\"\"""")
"""Where a query has one of these, only a full parser knows what is a text: single quotes also stand in IRIs."""
_INVALID_QUERY: Final = 2
"""Exit code of the child."""


@dataclass(frozen=True, slots=True)
class GraphQueryLimits:
    """The longest time of a query in seconds, its most rows, and its largest address space in MiB."""

    seconds: float = 10.0
    rows: int = 1_000
    mib: int = 4_096


@dataclass(frozen=True, slots=True)
class GraphTable:
    """The rows of an answer: texts and whole numbers, None where a variable is not bound. `cut` if there are more."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | bool | None, ...], ...]
    cut: bool = False


def query_graph(graph_folder: Path, snapshot: str, query: str, limits: GraphQueryLimits) -> GraphTable:
    """Answer a SPARQL query. Blocks up to the limit of its time.

    Args:
        graph_folder: the folder `graph` of an index.
        snapshot: name of the snapshot, from the index.
        query: SELECT, ASK, CONSTRUCT or DESCRIBE. The prefix `tri:` is known. All named graphs are searched.
        limits: when to give up.

    Raises:
        WindowGraphError: the index has no graph.
        UsageError: the query is invalid, changes the graph, asks another server, or exceeds a limit.
    """
    check_query(query)
    open_snapshot(graph_folder, snapshot)
    command = [sys.executable, "-m", "triptych.consumers.searching.graph.query_child"]
    arguments = [str(graph_folder / snapshot), str(limits.rows), str(limits.mib)]
    try:
        done = subprocess.run(  # noqa: S603 - this program's own module
            [*command, *arguments], input=query, capture_output=True, text=True, timeout=limits.seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"graph query: expected an answer within {limits.seconds:g} s, got none; ask for less, or raise --timeout"
        ) from None
    reason = (done.stderr.strip().splitlines() or [""])[-1]
    if done.returncode == _INVALID_QUERY:
        raise UsageError(
            "graph query: expected a SPARQL query that reads, with SELECT, ASK, CONSTRUCT or DESCRIBE, got one that "
            f"cannot be read: {reason}"
        )
    if done.returncode:
        # Oxigraph ends the process where it gets no memory.
        ended = f"exit code {done.returncode}" if done.returncode > 0 else signal.Signals(-done.returncode).name
        raise UsageError(
            f"graph query: expected an answer within {limits.mib} MiB of memory, got none: the query needs more "
            f"({ended}); ask for less, with fewer patterns or a LIMIT"
        )
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    columns = tuple(lines[0]["columns"])
    rows = tuple(tuple(line["row"]) for line in lines[1:] if "row" in line)
    return GraphTable(columns, rows, cut="more" in lines[-1])


def check_query(query: str) -> None:
    """Refuse a query that asks another server, whatever its spelling. What changes data, Oxigraph refuses itself.

    The word is refused wherever it could be the keyword, so some harmless queries are refused too: those with the word
    in a comment, or in a text of a query where texts cannot be told from the rest with certainty.

    Raises:
        UsageError: it has SERVICE.
    """
    unescaped = _ESCAPE.sub(_character, query)
    if any(_SERVICE.search(text) for text in (_without_texts(query), unescaped if "\\" in query else "")):
        raise UsageError(
            "graph query: expected a query of this index, got SERVICE, which asks another server; as a name it stands "
            "directly after '?', '$' or ':', as a word of a text in double quotes, in a query without ', # and \\"
        )


def _without_texts(query: str) -> str:
    """Return a query without its texts, if they are certain: then each double quote begins or ends one."""
    if _AMBIGUOUS.search(query) is not None:
        return query
    return '""'.join(query.split('"')[::2])


def _character(escape: re.Match[str]) -> str:
    number = int(escape[1] or escape[2], 16)
    return chr(number) if number <= sys.maxunicode else ""
