"""What the location of an index names."""

from __future__ import annotations

from pathlib import Path


def is_server(location: Path | str) -> bool:
    """Return whether it is the URL of a server. As a path, it has lost one of its slashes."""
    return str(location).startswith(("postgresql:/", "postgres:/"))
