"""Settings of the tests of foundation models."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the libraries warn about their own use of torch and of each other: they are not ours to mend."""
    for item in items:
        if "foundation" in item.path.parts:
            item.add_marker(pytest.mark.filterwarnings("default"))
