"""Small helpers that write Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def escaped(text: str) -> str:
    """Return text whose angle brackets are shown and not taken for HTML; code spans stay as they are."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in parts)


def one_line(text: str) -> str:
    """Return text as one line of a table cell."""
    return escaped(" ".join(text.split())).replace("|", "\\|")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are Markdown already."""
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def code(text: str) -> str:
    """Return text as a code span for a table cell, or nothing for no text."""
    return f"`{text}`".replace("|", "\\|") if text else ""
