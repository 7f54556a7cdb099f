"""Fixtures for tests of the whole worker over memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.worker.world import SECOND, T0, Feed, World


@pytest.fixture
def world() -> World:
    """Return an empty installation in memory."""
    return World()


@pytest.fixture
def feed() -> Callable[..., Feed]:
    """Return a factory of feeds: `feed("city", session="s1", start_s=0)`."""

    def make(stream: str, *, session: str = "s1", start_s: int = 0) -> Feed:
        return Feed(stream, session, T0 + start_s * SECOND)

    return make
