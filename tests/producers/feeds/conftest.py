"""The feeds file of a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def feeds_file(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes the file."""

    def write(content: str) -> Path:
        path = tmp_path / "feeds.toml"
        path.write_text(content)
        return path

    return write
