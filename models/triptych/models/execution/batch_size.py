"""How many windows to run at once, on a device whose memory may run out. Values in, values out."""

from __future__ import annotations

_CALM_BATCHES = 100
"""So many full batches must go well before a larger one is tried again: each failure costs a batch run twice."""


class BatchLimit:
    """Halve the limit when memory runs out, and grow back slowly."""

    def __init__(self, largest: int) -> None:
        if largest < 1:
            raise ValueError(f"expected a batch of at least one window, got {largest}")
        self._largest = largest
        self._calm = 0
        self.current = largest

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the fixed batch sizes, smallest first: powers of two, and the largest itself."""
        powers = [1 << exponent for exponent in range(self._largest.bit_length())]
        return tuple(sorted({*powers, self._largest}))

    def size_for(self, windows: int) -> int:
        """Return the smallest fixed size that holds so many windows."""
        return next(size for size in self.sizes if size >= windows)

    def succeeded(self, windows: int) -> None:
        """Count a batch that went well; only full ones say anything about memory."""
        if windows < self.current or self.current == self._largest:
            return
        self._calm += 1
        if self._calm >= _CALM_BATCHES:
            self.current = self.sizes[self.sizes.index(self.current) + 1]
            self._calm = 0

    def ran_out(self) -> bool:
        """Take the next smaller size; false when there is none."""
        self._calm = 0
        if self.current == 1:
            return False
        self.current = self.sizes[self.sizes.index(self.current) - 1]
        return True
