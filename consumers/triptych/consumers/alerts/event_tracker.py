"""Events: a rule that holds for some time is one event, and one alert, not one for each window. No clock, no I/O.

All times are event time. An event begins when the rule has held for `hold_ns` without a gap, and ends with the first
window in which it does not hold, or with a gap. Until `cool_down_ns` after the end of an event, no other one of the
stream is alerted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from triptych.schemas.results import Result

_MOST_STREAMS: Final = 10_000


@dataclass(frozen=True, slots=True)
class EventLimits:
    """How long a rule must hold until it is an event, and how long after an event no other one is alerted."""

    hold_ns: int = 0
    cool_down_ns: int = 0

    @property
    def are_set(self) -> bool:
        """Whether alerts are for events. If not, they are for results."""
        return bool(self.hold_ns or self.cool_down_ns)


@dataclass(slots=True)
class StreamEvents:
    """What is known of a stream.

    Attributes:
        seen_ns: the end of its last window.
        since_ns: since when the rule has held; None if it did not in the last window.
        alerted: whether the present event was alerted.
        quiet_until_ns: until when no event is alerted.
    """

    seen_ns: int = 0
    since_ns: int | None = None
    alerted: bool = False
    quiet_until_ns: int = 0


class EventTracker:
    """Turns results that match a rule into the beginnings of events."""

    def __init__(self, limits: EventLimits, streams: Mapping[str, StreamEvents] | None = None) -> None:
        """Start with what is known of streams, the least recent first."""
        self._limits = limits
        self._streams: OrderedDict[str, StreamEvents] = OrderedDict(streams or {})

    def begins(self, result: Result, *, matches: bool) -> int | None:
        """Take the next result; return since when the rule has held if an event to be alerted begins with it.

        Revisions are left out: they come after later windows.
        """
        if result.revision:
            return None
        known = self._streams.setdefault(result.stream, StreamEvents())
        self._streams.move_to_end(result.stream)
        if len(self._streams) > _MOST_STREAMS:
            self._streams.popitem(last=False)
        if result.end_ns <= known.seen_ns:
            return None  # repeated, or from a session in the past
        has_gap = result.start_ns > known.seen_ns
        if known.since_ns is not None and (has_gap or not matches):
            self._end(known)
        known.seen_ns = result.end_ns
        if not matches:
            return None
        if known.since_ns is None:
            known.since_ns = result.start_ns
        is_due = result.end_ns - known.since_ns >= self._limits.hold_ns and result.start_ns >= known.quiet_until_ns
        if known.alerted or not is_due:
            return None
        known.alerted = True
        return known.since_ns

    def to_document(self) -> dict[str, list[int | bool | None]]:
        """Return what is known, for JSON."""
        return {
            stream: [known.seen_ns, known.since_ns, known.alerted, known.quiet_until_ns]
            for stream, known in self._streams.items()
        }

    @classmethod
    def from_document(cls, limits: EventLimits, document: Mapping[str, list[int | bool | None]]) -> Self:
        """Return the tracker that `to_document` described. Raises `ValueError` or `TypeError` if it is none."""
        streams = {}
        for stream, (seen_ns, since_ns, alerted, quiet_until_ns) in document.items():
            held_ns = None if since_ns is None else int(since_ns)
            streams[stream] = StreamEvents(int(seen_ns or 0), held_ns, bool(alerted), int(quiet_until_ns or 0))
        return cls(limits, streams)

    def _end(self, known: StreamEvents) -> None:
        """End a time in which the rule held. Only an event that was alerted begins a cool-down."""
        if known.alerted:
            known.quiet_until_ns = known.seen_ns + self._limits.cool_down_ns
        known.since_ns, known.alerted = None, False
