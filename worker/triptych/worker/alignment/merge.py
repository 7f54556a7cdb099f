"""Merges the three co-partitioned inputs into one sequence, and derives the arrival clock (alignment rules 1 and 2).

See `docs/alignment.md`. A record is taken once no earlier record can still arrive: each other partition has a later
unread record, or was found read to its end by an end-offset query sent after the record was fetched. So the sequence
does not depend on when the log is read, or in what batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from triptych.schemas.names import Modality
from triptych.units import NS_PER_MS
from triptych.worker.alignment.entry import READING_ORDER, Entry

QUERY_DELAY_NS: Final = 2 * NS_PER_MS
"""How long after a record was fetched an end-offset query must be sent to count for it.

Append times are whole milliseconds. After this delay, records appended later have a later arrival time.
"""

_NEVER_NS: Final = 1 << 80
_ALL_CONFIRMED_NS: Final = (1 << 62) - 1
"""A monotonic time that is never reached: the largest integer that compiled code compares fast."""

Unread = tuple[int, int, Entry]
"""Arrival time, the monotonic time at which it was fetched, and the record."""


@dataclass(slots=True)
class _Partition:
    """One partition: its unread records, and how far it is known to be read."""

    position: int
    head_ns: int = _NEVER_NS  # arrival time of the first unread record
    unread: deque[Unread] = field(default_factory=deque)
    unread_bytes: int = 0
    newest_arrival_ns: int = 0
    at_end_ns: int = -1  # monotonic time of the last query that found this partition read to its end
    clock_ns: int = 0  # every unread or future record arrived at this time or later


class Merge:
    """Orders the records of three partitions by arrival time, then by topic. Reads no clock."""

    def __init__(self, start: Mapping[Modality, int], *, clock_margin_ns: int) -> None:
        """Start at the offsets of `start`."""
        self._margin_ns = clock_margin_ns
        self._partitions = {modality: _Partition(start[modality]) for modality in READING_ORDER}
        self._in_order = tuple(self._partitions.values())  # by topic, which decides between equal arrival times
        self._next: _Partition | None = None  # the partition with the next record of the sequence
        # Monotonic: until here, every partition without unread records was found read.
        self._confirmed_ns = _ALL_CONFIRMED_NS

    def add_records(self, entries: Iterable[Entry], positions: Mapping[Modality, int], *, at_ns: int) -> None:
        """Add the records of one poll.

        Args:
            entries: The records, in the order of their offsets in each partition.
            positions: The next offset to read of each partition.
            at_ns: The monotonic time at which the poll returned.
        """
        for entry in entries:
            partition = self._partitions[entry.modality]
            arrival_ns = partition.newest_arrival_ns
            if entry.arrival_ns > arrival_ns:
                arrival_ns = partition.newest_arrival_ns = entry.arrival_ns
            if not partition.unread:
                partition.head_ns = arrival_ns
                partition.clock_ns = max(partition.clock_ns, arrival_ns)
            partition.unread.append((arrival_ns, at_ns, entry))
            partition.unread_bytes += entry.size_bytes
        for modality, position in positions.items():
            self._partitions[modality].position = position
        self._next = self._find_next()
        self._confirmed_ns = self._find_confirmed_ns()

    def confirm_at_end(self, at_end: Iterable[Modality], *, at_ns: int, wall_ns: int) -> None:
        """Record which partitions an end-offset query found read to their end.

        Args:
            at_end: The partitions whose end offset equals our position.
            at_ns: The monotonic time at which the query was sent.
            wall_ns: The wall-clock time at which the query was sent.
        """
        for modality in at_end:
            partition = self._partitions[modality]
            partition.at_end_ns = at_ns
            if not partition.unread:
                partition.clock_ns = max(partition.clock_ns, wall_ns - self._margin_ns)
        self._confirmed_ns = self._find_confirmed_ns()

    def peek(self) -> Unread | None:
        """Return the next record of the sequence, or None if an earlier one may still arrive.

        Its arrival time is the running maximum of its partition.
        """
        partition = self._next
        if partition is None:
            return None
        head = partition.unread[0]
        return head if head[1] + QUERY_DELAY_NS <= self._confirmed_ns else None

    def take(self) -> None:
        """Remove the record that `peek` returned."""
        partition = self._next
        if partition is None:
            return
        arrival_ns, _, entry = partition.unread.popleft()
        partition.unread_bytes -= entry.size_bytes
        if partition.unread:
            arrival_ns = partition.head_ns = partition.unread[0][0]
        else:
            partition.head_ns = _NEVER_NS
            self._confirmed_ns = min(self._confirmed_ns, partition.at_end_ns)
        if arrival_ns > partition.clock_ns:  # noqa: PLR1730 - `max` takes three times as long
            partition.clock_ns = arrival_ns
        self._next = self._find_next()

    @property
    def clock_ns(self) -> int:
        """The arrival clock: every record not yet taken arrived at this time or later."""
        return min(partition.clock_ns for partition in self._partitions.values())

    @property
    def unread_bytes(self) -> int:
        """Bytes of the records that were fetched and not yet taken."""
        return sum(partition.unread_bytes for partition in self._partitions.values())

    @property
    def unread(self) -> int:
        """Number of records that were fetched and not yet taken."""
        return sum(len(partition.unread) for partition in self._partitions.values())

    def unread_of(self, modality: Modality) -> int:
        """Return the number of records of one partition that were fetched and not yet taken."""
        return len(self._partitions[modality].unread)

    def positions(self) -> dict[Modality, int]:
        """Return the offset of the next record to take, by modality."""
        return {
            modality: partition.unread[0][2].offset if partition.unread else partition.position
            for modality, partition in self._partitions.items()
        }

    def query_at_ns(self) -> int | None:
        """Return the monotonic time from which an end-offset query lets the next record be taken, or None."""
        if self._next is None:
            return None
        needed_at_ns = self._next.unread[0][1] + QUERY_DELAY_NS
        return None if needed_at_ns <= self._confirmed_ns else needed_at_ns

    def too_far_ahead(self, *, max_bytes: int, max_lead_ns: int) -> frozenset[Modality]:
        """Return the partitions with more than `max_bytes` unread, or more than `max_lead_ns` of arrival time ahead.

        The partition with the next record is not ahead of the others, so only its bytes count. They do count: nothing
        else bounds them while the end offset of another partition is unavailable. Pausing these partitions blocks
        nothing, since each has an unread record, and whether that can be taken depends on the other partitions alone.
        """
        clock_ns = self.clock_ns
        return frozenset(
            modality
            for modality, partition in self._partitions.items()
            if partition.unread_bytes > max_bytes
            or (
                partition.unread
                and partition is not self._next
                and partition.newest_arrival_ns - clock_ns > max_lead_ns
            )
        )

    def _find_next(self) -> _Partition | None:
        first: _Partition | None = None
        first_ns = _NEVER_NS
        for partition in self._in_order:
            if partition.head_ns < first_ns:
                first, first_ns = partition, partition.head_ns
        return first

    def _find_confirmed_ns(self) -> int:
        """Return the time of the oldest answer that counts for a partition without unread records."""
        return min(
            (partition.at_end_ns for partition in self._in_order if not partition.unread), default=_ALL_CONFIRMED_NS
        )
