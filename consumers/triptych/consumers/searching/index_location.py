"""What the location of an index names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from triptych.schemas.errors import UsageError

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_SERVERS: Final = frozenset({"postgresql", "postgres"})


def is_server(location: Path | str) -> bool:
    """Return whether it is the URL of a server. As a path, it has lost one of its slashes.

    Raises:
        UsageError: it is the URL of something else.
    """
    scheme = _SCHEME.match(str(location))
    if scheme is None:
        return False
    if scheme[1].lower() not in _SERVERS:
        raise UsageError(f"index: expected a folder, or postgresql://USER@HOST:PORT/DATABASE, got {scheme[1]}://…")
    return True
