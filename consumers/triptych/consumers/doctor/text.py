"""Show the judgement of a pipeline: a table, lines, or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from triptych.consumers.doctor.judgement import Check, Status, stops_at

_SIGN_OF: Final[dict[Status, tuple[str, str]]] = {
    "ok": ("✓ ok", "green"),
    "note": ("· note", "yellow"),
    "wrong": ("✗ wrong", "bold red"),
    "unknown": ("? unknown", "dim"),
}


def check_table(checks: Sequence[Check]) -> Table:
    """Return a table with a row for each check."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("step", "stream"):
        table.add_column(heading, no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("found", overflow="fold", ratio=3)
    table.add_column("what to do", overflow="fold", ratio=2)
    for check in checks:
        sign, style = _SIGN_OF[check.status]
        row = (check.step, check.stream or "", Text(sign, style), Text(check.found), Text(check.remedy))
        table.add_row(*row)
    return table


def check_lines(checks: Sequence[Check]) -> Iterator[str]:
    """Return each check as a line of plain text, and what to do on a line of its own."""
    for check in checks:
        about = check.step if check.stream is None else f"{check.step} of {check.stream}"
        found = check.found.replace("\n", "; ")
        yield f"{check.status:7}  {about}: {found}"
        if check.remedy:
            yield f"         {check.remedy}"


def verdict(checks: Sequence[Check]) -> str:
    """Return in one line where it stops."""
    wrong = stops_at(tuple(checks))
    if wrong is None:
        return "Nothing is wrong."
    more = sum(check.status == "wrong" for check in checks) - 1
    about = wrong.step if wrong.stream is None else f"{wrong.step} of {wrong.stream}"
    return f"It stops at: {about}." + (f" {more} more below it." if more else "")


def check_json(checks: Sequence[Check], *, pipeline: str, stream: str | None) -> str:
    """Return the checks as one JSON object."""
    wrong = stops_at(tuple(checks))
    return json.dumps(
        {
            "pipeline": pipeline,
            "stream": stream,
            "ok": wrong is None,
            "stops_at": None if wrong is None else asdict(wrong),
            "checks": [asdict(check) for check in checks],
        },
        ensure_ascii=False,
    )
