"""Where weights are kept on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

CACHE_VARIABLE = "TRIPTYCH_CACHE"


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where weights are kept: `$TRIPTYCH_CACHE`, else the user's cache."""
    if environ.get(CACHE_VARIABLE):
        return Path(environ[CACHE_VARIABLE]).expanduser() / "models"
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "triptych" / "models"
