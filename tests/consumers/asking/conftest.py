"""The index of a world in which little happens, and an asker of it."""

from __future__ import annotations

from tests.consumers.searching.conftest import delete_what_is_seen, indexed, store, world

__all__ = ["delete_what_is_seen", "indexed", "store", "world"]
