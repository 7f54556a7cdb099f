"""Places audio chunks on the samples of a window, by their times. Pure.

Each time maps to one sample index, whichever chunk it belongs to. So there is no gap and no overlap between a chunk and
the next one that starts at its end, however their lengths are rounded.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.units import NS_PER_S

Samples = NDArray[np.float32]

_ROUNDING: Final = 2
"""By how many samples the length of a chunk may differ from its duration because of rounding and resampling."""


class SampleTimeline:
    """The samples of one window: float32 `[S]`. Chunks are added in the order of their start times.

    `overlaps` counts the chunks that overlap an earlier one.
    """

    def __init__(self, *, start_ns: int, end_ns: int, rate_hz: int) -> None:
        """Start with silence that counts as absent."""
        self._start_ns = start_ns
        self._rate_hz = rate_hz
        self._present: list[tuple[int, int]] = []
        self._covered_to: int | None = None
        self.samples: Samples = np.zeros(self._index(end_ns), np.float32)
        self.overlaps = 0

    @property
    def present(self) -> tuple[tuple[int, int], ...]:
        """The half-open ranges of samples that have audio, in order and disjoint."""
        return tuple(self._present)

    def place(self, samples: Samples, *, start_ns: int, end_ns: int) -> bool:
        """Add a chunk, cut to the window. Return whether any of its samples are in the window.

        Where it overlaps an earlier chunk, the samples of the earlier one are kept.
        """
        first, last = self._index(start_ns), self._index(end_ns)
        samples = _fitted(samples, last - first)
        if self._covered_to is not None:
            gap = first - self._covered_to
            if gap == 1:  # an artefact of rounded times: repeat a sample
                samples = np.concatenate((samples[:1], samples))
            elif gap < 0:
                samples = samples[-gap:]
                self.overlaps += gap < -1
            if gap <= 1:
                first = self._covered_to
        self._covered_to = last if self._covered_to is None else max(last, self._covered_to)
        return self._write(samples, first)

    def _index(self, time_ns: int) -> int:
        """Return the sample index nearest to a time. It is negative before the window."""
        return (2 * (time_ns - self._start_ns) * self._rate_hz + NS_PER_S) // (2 * NS_PER_S)

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
    """Return the chunk with exactly `length` samples."""
    missing = length - len(samples)
    if missing == 0 or length <= 0:
        return samples[: max(length, 0)]
    if abs(missing) > _ROUNDING:  # clock drift: stretch the chunk, so that no click is audible
        at = np.linspace(0, len(samples) - 1, length)
        return np.interp(at, np.arange(len(samples)), samples).astype(np.float32)
    return samples[:length] if missing < 0 else np.pad(samples, (0, missing), mode="edge")
