"""Measure how far and how fast a live feed's clock drifts from the wall clock. Pure.

Network delay says nothing about the feed's clock, so the minimum delay of each span counts. A feed that arrives in
bursts (HLS) has its minimum delay once per segment.
"""

from __future__ import annotations

from collections import deque
from itertools import combinations
from statistics import median
from typing import Final

SPAN_NS: Final = 20_000_000_000
"""The length of a span."""
LIMIT_NS: Final = 1_000_000_000
"""The drift at which a feed needs a new session."""

_MIN_SPANS: Final = 4
"""With fewer spans, a few milliseconds of network jitter would look like hundreds of ppm."""

_MAX_SPANS: Final = 90
_PPM: Final = 1e6


class DriftMeter:
    """Compare the minimum delay of each span with that of the first.

    Attributes:
        drift_ns: how far the feed's clock has fallen behind the wall clock.
        ppm: how much faster than the wall clock the feed's clock runs, in parts per million; None until enough spans
            are known. It is the median slope between any two spans (Theil-Sen estimator), which outliers do not change.
    """

    def __init__(self) -> None:
        self._spans: deque[tuple[int, int]] = deque(maxlen=_MAX_SPANS)
        self._first_ns: int | None = None
        self._min_delay: tuple[int, int] | None = None
        self._span_ends_ns: int | None = None
        self.drift_ns = 0
        self.ppm: float | None = None

    @property
    def exceeds_limit(self) -> bool:
        """Whether the feed needs a new session."""
        return abs(self.drift_ns) > LIMIT_NS

    def observe(self, event_ns: int, wall_ns: int) -> None:
        """Take a packet: its timestamp, and the wall clock at its arrival."""
        if self._span_ends_ns is None:
            self._span_ends_ns = wall_ns + SPAN_NS
        delay = wall_ns - event_ns, wall_ns
        self._min_delay = delay if self._min_delay is None else min(self._min_delay, delay)
        if wall_ns >= self._span_ends_ns:
            self._close_span(*self._min_delay)
            self._min_delay, self._span_ends_ns = None, wall_ns + SPAN_NS

    def _close_span(self, delay_ns: int, wall_ns: int) -> None:
        if self._first_ns is None:
            self._first_ns = delay_ns
        self.drift_ns = delay_ns - self._first_ns
        self._spans.append((wall_ns, delay_ns))
        if len(self._spans) >= _MIN_SPANS:
            slopes = (
                (later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in combinations(self._spans, 2)
            )
            self.ppm = -median(slopes) * _PPM
