"""The three partitions of one number as one sequence, and the arrival clock that reading it moves.

Rules 1 and 2 of `docs/alignment.md`. A record is taken once nothing that comes before it can still be read: every other
partition shows a later record, or was found read to its end by a question asked after the record was fetched. So the
sequence is the same when the log is read again, live or years later, in other chunks.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from triptych.units import NS_PER_MS
from triptych.worker.alignment.entry import READING_ORDER, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from triptych.schemas.names import Modality

TICK_NS: Final = 2 * NS_PER_MS
"""A question counts for a record fetched at least this long before: a later append then has a later arrival time
(append times are whole milliseconds)."""


@dataclass(slots=True)
class _Side:
    """One partition: what was fetched and not yet taken, and how far it is known to be read."""

    position: int
    unread: deque[tuple[int, int, Entry]] = field(default_factory=deque)  # (arrival, fetched at, entry)
    unread_bytes: int = 0
    newest_arrival_ns: int = 0
    end_asked_at_ns: int = -1  # monotonic: the last question that found this side read to its end
    clock_ns: int = 0  # nothing unread of this side arrived before


class Merge:
    """Orders the records of three partitions by (arrival, topic); all times are given to it."""

    def __init__(self, start: Mapping[Modality, int], *, clock_margin_ns: int) -> None:
        """Begin at the offsets of `start`."""
        self._margin_ns = clock_margin_ns
        self._sides = {modality: _Side(start[modality]) for modality in READING_ORDER}
        self._first: _Side | None = None  # the side whose head comes first

    def fetched(self, entries: Iterable[Entry], positions: Mapping[Modality, int], *, at_ns: int) -> None:
        """Take in what a poll brought.

        Args:
            entries: records in the order of their offsets.
            positions: the next offset that each partition will be read from.
            at_ns: when the poll returned, monotonic.
        """
        for entry in entries:
            side = self._sides[entry.modality]
            side.newest_arrival_ns = max(side.newest_arrival_ns, entry.arrival_ns)
            side.clock_ns = max(side.clock_ns, side.newest_arrival_ns) if not side.unread else side.clock_ns
            side.unread.append((side.newest_arrival_ns, at_ns, entry))
            side.unread_bytes += entry.size_bytes
        for modality, position in positions.items():
            self._sides[modality].position = position
        self._first = self._find_first()

    def asked(self, at_end: Iterable[Modality], *, at_ns: int, wall_ns: int) -> None:
        """Take in the answer of a question for end offsets.

        Args:
            at_end: the partitions whose end was our position.
            at_ns: when it was asked, monotonic.
            wall_ns: when it was asked, wall clock.
        """
        for modality in at_end:
            side = self._sides[modality]
            side.end_asked_at_ns = at_ns
            if not side.unread:
                side.clock_ns = max(side.clock_ns, wall_ns - self._margin_ns)

    def peek(self) -> Entry | None:
        """Return the next record of the sequence if it may be taken, its arrival the running maximum's."""
        side = self._first
        if side is None or self._question_for(side) is not None:
            return None
        return side.unread[0][2]

    def arrival_ns(self) -> int:
        """Return the arrival time of the record that `peek` shows."""
        return self._first.unread[0][0] if self._first else self.clock_ns

    def take(self) -> None:
        """Remove the record that `peek` shows."""
        side = self._first
        if side is None:
            return
        arrival_ns, _, entry = side.unread.popleft()
        side.unread_bytes -= entry.size_bytes
        side.clock_ns = max(side.clock_ns, side.unread[0][0] if side.unread else arrival_ns)
        self._first = self._find_first()

    @property
    def clock_ns(self) -> int:
        """The arrival clock: no record that is still to be taken arrived before it."""
        return min(side.clock_ns for side in self._sides.values())

    @property
    def unread_bytes(self) -> int:
        """Bytes fetched and not yet taken."""
        return sum(side.unread_bytes for side in self._sides.values())

    @property
    def unread(self) -> int:
        """Records fetched and not yet taken."""
        return sum(len(side.unread) for side in self._sides.values())

    def positions(self) -> dict[Modality, int]:
        """Return the offset of the next record to be taken, by modality."""
        return {
            modality: side.unread[0][2].offset if side.unread else side.position
            for modality, side in self._sides.items()
        }

    def question_at_ns(self) -> int | None:
        """Return the monotonic time from which a question would help to take the next record, or None."""
        return None if self._first is None else self._question_for(self._first)

    def leading(self, *, max_bytes: int, max_lead_ns: int) -> frozenset[Modality]:
        """Return the partitions to be paused: too many bytes ahead, or too far in arrival time.

        The one whose head came first leads nobody, so its arrival time is no reason. Its bytes are: nothing else bounds
        them while the end of another partition cannot be asked for. A pause holds up nobody, because only what has an
        unread record is paused, and whether that may be taken depends on the other partitions alone.
        """
        clock_ns = self.clock_ns
        return frozenset(
            modality
            for modality, side in self._sides.items()
            if side.unread_bytes > max_bytes
            or (side.unread and side is not self._first and side.newest_arrival_ns - clock_ns > max_lead_ns)
        )

    def _find_first(self) -> _Side | None:
        first: _Side | None = None
        for side in self._sides.values():  # in the topics' order, which decides between equals
            if side.unread and (first is None or side.unread[0][0] < first.unread[0][0]):
                first = side
        return first

    def _question_for(self, first: _Side) -> int | None:
        wanted_ns = first.unread[0][1] + TICK_NS
        for side in self._sides.values():
            if not side.unread and side.end_asked_at_ns < wanted_ns:
                return wanted_ns
        return None
