"""Bounded memory of the result ids and the revisions seen last. No I/O."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing a subscriber must not import pydantic
    from triptych.schemas.results import Result


class RecentIds:
    """The last `limit` ids, least recently seen first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, result_id: str) -> bool:
        """Remember an id and return whether it is new. A duplicate counts as seen now."""
        if result_id in self._ids:
            self._ids.move_to_end(result_id)
            return False
        self._ids[result_id] = None
        if len(self._ids) > self._limit:
            self._ids.popitem(last=False)
        return True


class RecentRevisions:
    """The newest revision of each of the last `limit` windows that were revised."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._newest: OrderedDict[str, int] = OrderedDict()

    def note(self, result: Result) -> None:
        """Remember the result if it is a revision."""
        if not result.revision:
            return
        self._newest[result.window] = max(result.revision, self._newest.get(result.window, 0))
        self._newest.move_to_end(result.window)
        if len(self._newest) > self._limit:
            self._newest.popitem(last=False)

    def is_superseded(self, result: Result) -> bool:
        """Return whether a newer revision of the result's window is known."""
        return result.revision < self._newest.get(result.window, 0)
