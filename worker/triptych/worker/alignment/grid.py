"""The grid of event-time windows: epoch-aligned, tumbling or hopping, in integer nanoseconds (alignment rule 12)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WindowGrid:
    """Windows `[index * hop_ns, index * hop_ns + size_ns)` for every index from 0 on."""

    size_ns: int
    hop_ns: int

    def start_ns(self, index: int) -> int:
        """Return the start of window `index`."""
        return index * self.hop_ns

    def end_ns(self, index: int) -> int:
        """Return the exclusive end of window `index`."""
        return index * self.hop_ns + self.size_ns

    def first_overlapping(self, start_ns: int) -> int:
        """Return the first window that overlaps a span starting at `start_ns`."""
        return max(0, (start_ns - self.size_ns) // self.hop_ns + 1)

    def last_overlapping(self, end_ns: int) -> int:
        """Return the last window that overlaps a span with the exclusive end `end_ns`."""
        return (end_ns - 1) // self.hop_ns

    def first_starting_at_or_after(self, event_time_ns: int) -> int:
        """Return the first window that starts at or after an event time."""
        return -(-event_time_ns // self.hop_ns)

    def first_ending_after(self, event_time_ns: int) -> int:
        """Return the first window that ends after an event time."""
        return max(0, (event_time_ns - self.size_ns) // self.hop_ns + 1)
