"""All generated pages by file name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tools.reference import command_line, log_events, metrics, python_api, settings

REPOSITORY: Final = Path(__file__).parents[2]
FOLDER: Final = REPOSITORY / "docs" / "reference"
NOTE: Final = "<!-- Generated from the code by `python -m tools.reference`. Do not edit. -->\n\n"


def pages() -> dict[str, str]:
    """Return the text of each page by its file name in `docs/reference/`."""
    makers = {
        "cli.md": command_line.page,
        "settings.md": settings.page,
        "log-events.md": log_events.page,
        "metrics.md": metrics.page,
        "python.md": python_api.page,
    }
    return {name: NOTE + make().rstrip() + "\n" for name, make in makers.items()}
