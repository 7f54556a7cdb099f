"""The changes that one client has not got yet. Bounded: a later change of the same thing replaces the earlier one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from triptych.consumers.page.state.page_cursor import BEGINNING, Place

_MOST_CHANGES: Final = 20_000


class ChangeKey(NamedTuple):
    """What changed: the tile of a feed, or a review event."""

    kind: Literal["tile", "review"]
    name: str


class ChangeQueue:
    """What waits for one client, in the order of its last change. Belongs to the event loop.

    The position of the client in a log is just before the first change of that log that waits, or behind all changes
    that were noted where none waits. So whoever continues from there misses nothing, and gets nothing twice.
    """

    def __init__(self, start: Mapping[str, Place], *, limit: int = _MOST_CHANGES) -> None:
        """Start for a client that has seen everything up to these places."""
        self._limit = limit
        self._start = dict(start)
        self._seen = dict(start)
        self._waiting: dict[str, OrderedDict[ChangeKey, Place]] = {}
        self._order: OrderedDict[ChangeKey, None] = OrderedDict()
        self._has_changes = asyncio.Event()
        self.coalesced = 0
        """How many changes were replaced by a later one before the client took them."""
        self.overflown = False
        """Whether more waited than is kept. Then the client must load everything again."""

    def __len__(self) -> int:
        """Return how many changes wait."""
        return len(self._order)

    def note(self, log: str, place: Place) -> None:
        """Take notice of a place whose change does not concern this client."""
        if place > self._seen.get(log, place.before):
            self._seen[log] = place

    def add(self, key: ChangeKey, log: str | None = None, place: Place | None = None) -> None:
        """Let a change wait. One without a place, such as a feed that fell silent, does not move the cursor.

        A change that the client had seen when it came is left out: a server that was just started reads older results.
        """
        if log is not None and place is not None and place <= self._start.get(log, BEGINNING):
            return
        if key in self._order:
            self.coalesced += 1
            self._order.move_to_end(key)
        elif len(self._order) >= self._limit:
            self.overflow()
            return
        else:
            self._order[key] = None
        if log is not None and place is not None:
            waiting = self._waiting.setdefault(log, OrderedDict())
            waiting[key] = place
            waiting.move_to_end(key)
            self.note(log, place)
        self._has_changes.set()

    def overflow(self) -> None:
        """Let the client load everything again."""
        self.overflown = True
        self._has_changes.set()

    def take(self) -> ChangeKey | None:
        """Return the next change; None if none waits."""
        if not self._order:
            return None
        key, _ = self._order.popitem(last=False)
        if not self._order and not self.overflown:
            self._has_changes.clear()
        for waiting in self._waiting.values():
            waiting.pop(key, None)
        return key

    def places(self) -> dict[str, Place]:
        """Return how far the client has got in each log, with the changes that it has taken."""
        found = dict(self._seen)
        for log, waiting in self._waiting.items():
            if waiting:
                found[log] = next(iter(waiting.values())).before
        return found

    async def wait(self, limit_s: float) -> bool:
        """Wait until a change waits, or for `limit_s`; return whether one does."""
        try:
            await asyncio.wait_for(self._has_changes.wait(), limit_s)
        except TimeoutError:
            return False
        return True
