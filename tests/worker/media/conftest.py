"""Fixtures for the tests of media."""

from __future__ import annotations

import pytest

from tests.worker.media.studio import Studio


@pytest.fixture
def studio() -> Studio:
    """Return a factory for media and windows."""
    return Studio()
