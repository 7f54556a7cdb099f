"""Tell clients of changes, and know how far the logs are. Belongs to the event loop.

Each change has a place in a log: `r0` is partition 0 of the results, `f` the feedback, `d0` partition 0 of the
descriptions. So the cursor of a client means the same for this server and for the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from triptych.consumers.page.state.change_queue import ChangeKey, ChangeQueue
from triptych.consumers.page.state.page_cursor import BEGINNING, PageCursor, Place

MaySee = Callable[[str], bool]
"""Whether somebody may see a feed."""


class CursorGoneError(Exception):
    """A cursor cannot be continued: it is of another topic, or older than what this server has read."""


@dataclass(slots=True)
class _Listener:
    queue: ChangeQueue
    may_see: MaySee


class Broadcast:
    """The clients that listen, and the last change of each log."""

    def __init__(self) -> None:
        """Start without clients and logs."""
        self._listeners: list[_Listener] = []
        self._epoch = ""
        self._begins: dict[str, Place] = {}
        self._seen: dict[str, Place] = {}
        self._coalesced = 0

    def __len__(self) -> int:
        """Return how many clients listen."""
        return len(self._listeners)

    @property
    def coalesced(self) -> int:
        """How many changes were replaced by a later one before a client took them."""
        return self._coalesced + sum(listener.queue.coalesced for listener in self._listeners)

    @property
    def has_begun(self) -> bool:
        """Whether the logs are known. Before that no cursor can be judged."""
        return bool(self._epoch)

    def begin(self, epoch: str, begins: Mapping[str, int]) -> bool:
        """Start with logs, of which these offsets are read first; return whether they are others than before.

        Then the places of the logs mean something else, and every client must load again.
        """
        is_other = bool(self._epoch) and epoch != self._epoch
        if is_other:
            self._seen.clear()
            for listener in self._listeners:
                listener.queue.overflow()
        self._epoch = epoch
        self._begins = {log: Place(offset, -1) for log, offset in begins.items()}
        return is_other

    def publish(self, key: ChangeKey, feed: str, log: str | None = None, place: Place | None = None) -> None:
        """Tell everybody who may see the feed of a change, and the others that the log has moved on."""
        if log is not None and place is not None:
            self._seen[log] = max(place, self._seen.get(log, place))
        for listener in self._listeners:
            if listener.may_see(feed):
                listener.queue.add(key, log, place)
            elif log is not None and place is not None:
                listener.queue.note(log, place)

    def note(self, log: str, place: Place) -> None:
        """Tell everybody that a log has moved on."""
        self._seen[log] = max(place, self._seen.get(log, place))
        for listener in self._listeners:
            listener.queue.note(log, place)

    def cursor(self, places: Mapping[str, Place] | None = None) -> PageCursor:
        """Return the cursor of a client that has got this far; without places, of one that has seen everything."""
        return PageCursor(self._epoch, {**self._begins, **(self._seen if places is None else places)})

    def listen(
        self, cursor: PageCursor, may_see: MaySee, changes: Iterable[tuple[ChangeKey, str, Place]]
    ) -> ChangeQueue:
        """Return those of the changes that come after a cursor, and let the client be told of later ones.

        Raises:
            CursorGoneError: what came after the cursor is not known any more.
        """
        self._check(cursor)
        queue = ChangeQueue({**self._begins, **cursor.places})
        for log, place in self._seen.items():
            queue.note(log, place)
        for key, log, place in changes:
            queue.add(key, log, place)
        self._listeners.append(_Listener(queue, may_see))
        return queue

    def leave(self, queue: ChangeQueue) -> None:
        """Tell a client no more."""
        self._coalesced += queue.coalesced
        self._listeners = [listener for listener in self._listeners if listener.queue is not queue]

    def _check(self, cursor: PageCursor) -> None:
        # The cursor of a wall that was loaded before the logs were known has no epoch: its client has seen no result.
        if cursor.epoch and cursor.epoch != self._epoch:
            raise CursorGoneError("the topic of the results was created again, or this is another pipeline")
        for log, place in cursor.places.items():
            if place.next_offset < self._begins.get(log, BEGINNING).offset:
                raise CursorGoneError("results after the cursor are older than what this server has read")
