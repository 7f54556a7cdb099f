"""Select the frames to send: by timestamp on a grid of instants, never every n-th frame.

For each instant of the grid, the first frame at or after it is taken once, with its own time. So a frame is taken
exactly where it is the earliest in its cell `[instant, next instant)`, however the frame rate varies. After a frame is
taken, none comes before the instant that follows its cell. That instant is the watermark of the video track.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from triptych.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class SamplingGrid:
    """Instants at `rate` per second, from the session's start."""

    rate: Fraction

    def cell_at(self, time_ns: int) -> int:
        """Return the number of the cell that contains a session time."""
        return time_ns * self.rate.numerator // (self.rate.denominator * NS_PER_S)

    def instant_ns(self, cell: int) -> int:
        """Return the first nanosecond of a cell."""
        return -(-cell * self.rate.denominator * NS_PER_S // self.rate.numerator)


class Sampler:
    """Select frames, and tell beforehand which packets need not be decoded.

    Attributes:
        next_instant_ns: the instant before which no more frames are taken.
    """

    def __init__(self, grid: SamplingGrid) -> None:
        self._grid = grid
        self._earliest: dict[int, int] = {}
        self.next_instant_ns = 0

    def may_take(self, time_ns: int) -> bool:
        """Return whether the frame of a packet may be taken; packets come in decoding order.

        False once an earlier frame shares its cell.
        """
        if self.has_taken(time_ns):
            return False
        cell = self._grid.cell_at(time_ns)
        if self._earliest.get(cell, time_ns) < time_ns:
            return False
        self._earliest[cell] = time_ns
        return True

    def has_taken(self, time_ns: int) -> bool:
        """Return whether a frame was taken in the cell of a time or later, so that none at this time will be."""
        return time_ns < self.next_instant_ns

    def take(self, time_ns: int) -> bool:
        """Return whether a frame is taken; frames come in presentation order."""
        if self.has_taken(time_ns):
            return False
        cell = self._grid.cell_at(time_ns)
        self.next_instant_ns = self._grid.instant_ns(cell + 1)
        self._earliest = {later: at_ns for later, at_ns in self._earliest.items() if later > cell}
        return True
