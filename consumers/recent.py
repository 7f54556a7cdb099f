"""The ids seen lately, in bounded memory. Pure."""

from __future__ import annotations

from collections import OrderedDict


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
