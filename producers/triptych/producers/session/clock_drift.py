"""How far a live feed's clock has run away from the wall clock since its session began, and how fast. Pure.

What arrives late by the network says nothing of the feed's clock: of each span the least delay counts. A feed that
comes in bursts (HLS) has its least delay once a segment.
"""

from __future__ import annotations

from collections import deque
from itertools import combinations
from statistics import median
from typing import Final

SPAN_NS: Final = 20_000_000_000
LIMIT_NS: Final = 1_000_000_000
"""A feed that has drifted so far needs a new session."""

_FEWEST_SPANS: Final = 4
"""Before that a few milliseconds of the network would look like hundreds of millionths."""

_REMEMBERED_SPANS: Final = 90
_PPM: Final = 1e6


class DriftMeter:
    """Compare the least delay of each span with that of the first.

    Attributes:
        drift_ns: by how much the feed's clock has fallen behind the wall clock.
        ppm: how much faster than the wall clock it runs, in millionths: the median slope between any two spans
            (Theil-Sen), which a few odd ones do not change. None while too little is known.
    """

    def __init__(self) -> None:
        self._spans: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED_SPANS)
        self._first_ns: int | None = None
        self._least: tuple[int, int] | None = None
        self._span_ends_ns: int | None = None
        self.drift_ns = 0
        self.ppm: float | None = None

    @property
    def exceeds_limit(self) -> bool:
        """Whether the feed needs a new session."""
        return abs(self.drift_ns) > LIMIT_NS

    def observe(self, event_ns: int, wall_ns: int) -> None:
        """Note that what happened at `event_ns` by the feed's clock came at `wall_ns`."""
        if self._span_ends_ns is None:
            self._span_ends_ns = wall_ns + SPAN_NS
        came = wall_ns - event_ns, wall_ns
        self._least = came if self._least is None else min(self._least, came)
        if wall_ns >= self._span_ends_ns:
            self._close_span(*self._least)
            self._least, self._span_ends_ns = None, wall_ns + SPAN_NS

    def _close_span(self, delay_ns: int, wall_ns: int) -> None:
        if self._first_ns is None:
            self._first_ns = delay_ns
        self.drift_ns = delay_ns - self._first_ns
        self._spans.append((wall_ns, delay_ns))
        if len(self._spans) >= _FEWEST_SPANS:
            slopes = ((later[1] - one[1]) / (later[0] - one[0]) for one, later in combinations(self._spans, 2))
            self.ppm = -median(slopes) * _PPM
