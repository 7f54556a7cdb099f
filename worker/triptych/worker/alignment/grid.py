"""Which windows a span of event time belongs to: epoch-aligned, tumbling or hopping, in integer nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WindowGrid:
    """Windows `[k * hop_ns, k * hop_ns + size_ns)` for every whole k from 0 on."""

    size_ns: int
    hop_ns: int

    def start_ns(self, index: int) -> int:
        """Return the start of window `index`."""
        return index * self.hop_ns

    def end_ns(self, index: int) -> int:
        """Return the end of window `index`, which is not part of it."""
        return index * self.hop_ns + self.size_ns

    def first(self, start_ns: int) -> int:
        """Return the first window that a span beginning at `start_ns` touches."""
        return max(0, (start_ns - self.size_ns) // self.hop_ns + 1)

    def last(self, end_ns: int) -> int:
        """Return the last window that a span ending before `end_ns` touches."""
        return (end_ns - 1) // self.hop_ns

    def first_starting_at_or_after(self, moment_ns: int) -> int:
        """Return the first window that does not begin before `moment_ns`."""
        return -(-moment_ns // self.hop_ns)

    def first_ending_after(self, moment_ns: int) -> int:
        """Return the first window whose end lies beyond `moment_ns`."""
        return max(0, (moment_ns - self.size_ns) // self.hop_ns + 1)
