"""What a subscription does with the events of its feed: the part without I/O, shared by both kinds of subscription."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from triptych.consumers.subscription.recent_ids import RecentIds, RecentRevisions
from triptych.consumers.subscription.result_source import FeedEvent, Gap, MalformedEvent, OtherStreamEvent, ResultEvent

if TYPE_CHECKING:  # importing a subscriber must not import pydantic
    from triptych.schemas.results import Result

REMEMBERED_IDS: Final = 65_536

Revisions = Literal["newest", "all"]
"""Which results of a revised window to deliver."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A result and its JSON exactly as the worker published it."""

    result: Result
    document: bytes


@dataclass(slots=True)
class Counts:
    """Counters of a subscriber."""

    delivered: int = 0
    repeated: int = 0
    """Duplicates that were dropped."""
    superseded: int = 0
    """Results that were dropped because a newer revision of their window was already known."""
    malformed: int = 0
    missed: int = 0
    """Results that were deleted before they were read, as far as their number is known."""
    gaps: int = 0
    """Occurrences of that, including those where the number is unknown."""


class ResultBuffer:
    """The fetched events of one subscription that have not been taken yet.

    It drops duplicates and superseded revisions, counts what it drops, and keeps the positions up to which events were
    taken. One thread may call `add` while another calls `take`.
    """

    def __init__(self, counts: Counts, *, revisions: Revisions) -> None:
        self._counts = counts
        self._events: deque[FeedEvent] = deque()
        self._positions: dict[str, str] = {}
        self._ids = RecentIds(REMEMBERED_IDS)
        self._revisions = RecentRevisions(REMEMBERED_IDS) if revisions == "newest" else None

    @property
    def positions(self) -> Mapping[str, str]:
        """How far each place is read, counting only the events that were taken."""
        return self._positions

    def add(self, events: Iterable[FeedEvent]) -> None:
        """Append fetched events. A revision among them supersedes older results that still wait here."""
        events = tuple(events)
        if self._revisions is not None:
            for event in events:
                if isinstance(event, ResultEvent):
                    self._revisions.note(event.result)
        self._events.extend(events)

    def take(self) -> Delivery | MalformedEvent | Gap | None:
        """Return the next delivery, or the next problem for the caller to report; None if the buffer is empty."""
        while self._events:
            event = self._events.popleft()
            self._positions[event.place] = event.position
            taken = self._handle(event)
            if taken is not None:
                return taken
        return None

    def _handle(self, event: FeedEvent) -> Delivery | MalformedEvent | Gap | None:
        match event:
            case ResultEvent():
                return self._deliver(event)
            case MalformedEvent():
                self._counts.malformed += 1
                return event
            case Gap():
                self._counts.gaps += 1
                self._counts.missed += event.missed or 0
                return event
            case OtherStreamEvent():
                return None

    def _deliver(self, event: ResultEvent) -> Delivery | None:
        if self._revisions is not None and self._revisions.is_superseded(event.result):
            self._counts.superseded += 1
            return None
        if not self._ids.add(event.result.id):
            self._counts.repeated += 1
            return None
        self._counts.delivered += 1
        return Delivery(event.result, event.document)
