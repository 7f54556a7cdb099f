"""The folder in which weights are cached."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

CACHE_VARIABLE = "TRIPTYCH_CACHE"


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the cache folder: `$TRIPTYCH_CACHE/models`, else the user's cache folder according to XDG."""
    if environ.get(CACHE_VARIABLE):
        return Path(environ[CACHE_VARIABLE]).expanduser() / "models"
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "triptych" / "models"
