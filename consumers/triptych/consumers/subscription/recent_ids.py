"""The ids and the revised windows seen lately, in bounded memory. Pure."""

from __future__ import annotations

from collections import OrderedDict

from triptych.schemas.results import Result


class RecentIds:
    """Remember the last `limit` ids."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, result_id: str) -> bool:
        """Remember the id; say whether it is new. A repeat counts as seen lately."""
        if result_id in self._ids:
            self._ids.move_to_end(result_id)
            return False
        self._ids[result_id] = None
        if len(self._ids) > self._limit:
            self._ids.popitem(last=False)
        return True


class RecentRevisions:
    """Remember the newest revision of each of the last `limit` windows that were issued again."""

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
        """Say whether a newer revision of its window is known."""
        return result.revision < self._newest.get(result.window, 0)
