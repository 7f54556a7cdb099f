"""The index of a world in which little happens, and an asker of it."""

from __future__ import annotations

from tests.consumers.searching.conftest import indexed, store, world

__all__ = ["indexed", "store", "world"]
