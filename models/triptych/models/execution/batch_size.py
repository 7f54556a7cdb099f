"""The batch size on a device whose memory may run out. This module does no I/O."""

from __future__ import annotations

_SUCCESSES_BEFORE_GROWTH = 100
"""Full batches that must succeed before a larger size is tried again. Each failed attempt runs a batch twice."""


class BatchLimit:
    """A limit on the batch size that halves when memory runs out and grows back slowly."""

    def __init__(self, largest: int) -> None:
        if largest < 1:
            raise ValueError(f"largest: expected a batch of at least one window, got {largest}")
        self._largest = largest
        self._successes = 0
        self.current = largest

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the fixed batch sizes, smallest first: powers of two, and the largest size itself."""
        powers = [1 << exponent for exponent in range(self._largest.bit_length())]
        return tuple(sorted({*powers, self._largest}))

    def size_for(self, windows: int) -> int:
        """Return the smallest fixed size that holds this number of windows."""
        return next(size for size in self.sizes if size >= windows)

    def record_success(self, windows: int) -> None:
        """Count a successful batch.

        Batches smaller than the current limit do not count, because they say nothing about the available memory.
        """
        if windows < self.current or self.current == self._largest:
            return
        self._successes += 1
        if self._successes >= _SUCCESSES_BEFORE_GROWTH:
            self.current = self.sizes[self.sizes.index(self.current) + 1]
            self._successes = 0

    def record_out_of_memory(self) -> bool:
        """Reduce the limit to the next smaller size. Return False if there is none."""
        self._successes = 0
        if self.current == 1:
            return False
        self.current = self.sizes[self.sizes.index(self.current) - 1]
        return True
