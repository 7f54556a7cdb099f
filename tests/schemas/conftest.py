"""The golden messages of the contract."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path

import pytest

from triptych.schemas.envelope import Wire

_GOLDEN = Path(__file__).parents[1] / "golden" / "v1"


@pytest.fixture(scope="session")
def golden() -> dict[str, Wire]:
    """Return each golden message of version 1 by its file's name."""
    return {path.stem: _read(path) for path in sorted(_GOLDEN.glob("*.json"))}


def _read(path: Path) -> Wire:
    message = json.loads(path.read_text(encoding="utf-8"))
    value = b64decode(message["value_base64"]) if "value_base64" in message else message["value"].encode()
    return Wire(
        key=message["key"].encode(),
        value=value,
        headers=tuple((name, content.encode()) for name, content in message["headers"]),
    )
