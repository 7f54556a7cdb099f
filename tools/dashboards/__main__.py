"""Write the dashboards: `python -m tools.dashboards`. With `--check`, only compare; exit 1 where one is stale."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from tools.dashboards.grafana import dashboard_json
from tools.dashboards.layout import DASHBOARDS

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"


def dashboard_files() -> dict[str, str]:
    """Return the text of each dashboard by its file name."""
    return {f"{one.uid}.json": json.dumps(dashboard_json(one), indent=2) + "\n" for one in DASHBOARDS}


def stale_files(*, write: bool) -> list[str]:
    """Return the names of files that are not as they should be, and write them if asked to."""
    stale = []
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in dashboard_files().items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if write:
                path.write_text(text, encoding="utf-8")
    return stale


if __name__ == "__main__":
    is_check = "--check" in sys.argv
    for file_name in (found := stale_files(write=not is_check)):
        print(f"{'stale' if is_check else 'wrote'}: deploy/grafana/dashboards/{file_name}")  # noqa: T201 - the output of a command
    sys.exit(1 if found and is_check else 0)
