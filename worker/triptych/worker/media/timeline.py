"""Place chunks of sound on a window's samples, by their times and to the exact sample. Pure.

A moment has one sample index, rounded once, whichever chunk it belongs to. So a chunk that ends where the next begins
leaves no hole and no overlap, however their lengths round.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.units import NS_PER_S

Samples = NDArray[np.float32]

_ROUNDING: Final = 2
"""Samples by which a chunk's length may differ from its span's by rounding alone: of its times, and of resampling."""


class SampleTimeline:
    """The samples of one window, filled chunk by chunk in the order of their starts."""

    def __init__(self, *, start_ns: int, end_ns: int, rate_hz: int) -> None:
        """Begin with silence that counts as absent."""
        self._start_ns = start_ns
        self._rate_hz = rate_hz
        self._present: list[tuple[int, int]] = []
        self._covered_to: int | None = None
        self.samples: Samples = np.zeros(self._index(end_ns), np.float32)
        self.overlaps = 0

    @property
    def present(self) -> tuple[tuple[int, int], ...]:
        """The half-open ranges of samples that hold sound, in order and apart from one another."""
        return tuple(self._present)

    def place(self, samples: Samples, *, start_ns: int, end_ns: int) -> bool:
        """Lay a chunk down on its own span, cut to the window; return whether anything of it is there now.

        Where it overlaps an earlier chunk, the earlier one stays and the overlap is counted.
        """
        first, last = self._index(start_ns), self._index(end_ns)
        samples = _fitted(samples, last - first)
        if self._covered_to is not None:
            gap = first - self._covered_to
            if gap == 1:  # the producer's times are rounded: a hole that nobody recorded
                samples = np.concatenate((samples[:1], samples))
            elif gap < 0:
                samples = samples[-gap:]
                self.overlaps += gap < -1
            if gap <= 1:
                first = self._covered_to
        self._covered_to = last if self._covered_to is None else max(last, self._covered_to)
        return self._write(samples, first)

    def _index(self, moment_ns: int) -> int:
        """Return the sample nearest to a moment; before the window it is negative."""
        return (2 * (moment_ns - self._start_ns) * self._rate_hz + NS_PER_S) // (2 * NS_PER_S)

    def _write(self, samples: Samples, first: int) -> bool:
        begin, end = max(first, 0), min(first + len(samples), len(self.samples))
        if begin >= end:
            return False
        self.samples[begin:end] = samples[begin - first : end - first]
        if self._present and self._present[-1][1] == begin:
            begin = self._present.pop()[0]
        self._present.append((begin, end))
        return True


def _fitted(samples: Samples, length: int) -> Samples:
    """Return the chunk with exactly as many samples as its span."""
    missing = length - len(samples)
    if missing == 0 or length <= 0:
        return samples[: max(length, 0)]
    if abs(missing) > _ROUNDING:  # a clock that runs a little fast or slow: stretch it, so that nothing clicks
        at = np.linspace(0, len(samples) - 1, length)
        return np.interp(at, np.arange(len(samples)), samples).astype(np.float32)
    return samples[:length] if missing < 0 else np.pad(samples, (0, missing), mode="edge")
