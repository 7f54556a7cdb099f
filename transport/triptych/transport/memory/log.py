"""One in-memory partition: records in order; the oldest may have been deleted."""

from __future__ import annotations

from collections import deque

from triptych.transport.records import Record


class PartitionLog:
    """The records of one partition. Not thread-safe: the broker's lock guards it."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self.begin = 0
        self.held_bytes = 0

    @property
    def end(self) -> int:
        """The offset of the next record to append."""
        return self.begin + len(self._records)

    @property
    def oldest_arrival_ns(self) -> int:
        """The arrival time of the oldest record. The log must not be empty."""
        return self._records[0].arrival_ns

    def append(self, record: Record) -> None:
        """Append a record, whose offset must be `end`."""
        self._records.append(record)
        self.held_bytes += record.size_bytes

    def drop_oldest(self) -> int:
        """Delete the oldest record and return its size."""
        size = self._records.popleft().size_bytes
        self.begin += 1
        self.held_bytes -= size
        return size

    def read(self, offset: int, limit_bytes: int) -> list[Record]:
        """Return records from `offset` on, up to the limit, but at least one if there is one."""
        taken: list[Record] = []
        # By index: most readers are near the end, which an iterator reaches only through all records before.
        for index in range(max(0, offset - self.begin), len(self._records)):
            record = self._records[index]
            limit_bytes -= record.size_bytes
            if taken and limit_bytes < 0:
                break
            taken.append(record)
        return taken

    def first_at(self, time_ns: int) -> int:
        """Return the first offset appended at or after a time, or the end offset if there is none."""
        return next((record.offset for record in self._records if record.arrival_ns >= time_ns), self.end)
