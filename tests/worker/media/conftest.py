"""A studio for each test."""

from __future__ import annotations

import pytest

from tests.worker.media.studio import Studio


@pytest.fixture
def studio() -> Studio:
    """Make media and windows."""
    return Studio()
