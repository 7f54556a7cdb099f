"""All generated pages by file name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tools.reference import command_line, log_events, metrics, python_api, settings

REPOSITORY: Final = Path(__file__).parents[2]
FOLDER: Final = REPOSITORY / "docs" / "reference"
NOTE: Final = "<!-- Generated from the code by `python -m tools.reference`. Do not edit. -->\n\n"
MAKERS: Final[dict[str, Callable[[], str]]] = {
    "cli.md": command_line.page,
    "settings.md": settings.page,
    "log-events.md": log_events.page,
    "metrics.md": metrics.page,
    "python.md": python_api.page,
}


def page(name: str) -> str:
    """Return the text of a page by its file name in `docs/reference/`."""
    return NOTE + MAKERS[name]().rstrip() + "\n"
