"""How far a live feed's clock has run away from the wall clock since its session began. Pure.

What arrives late by the network says nothing of the feed's clock: of each span the least delay counts. A feed that
comes in bursts (HLS) has its least delay once a segment.
"""

from __future__ import annotations

from typing import Final

SPAN_NS: Final = 20_000_000_000
LIMIT_NS: Final = 1_000_000_000
"""A feed that has drifted so far needs a new session."""


class DriftMeter:
    """Compare the least delay of each span with that of the first."""

    def __init__(self) -> None:
        self._first_ns: int | None = None
        self._least_ns: int | None = None
        self._span_ends_ns: int | None = None
        self.drift_ns = 0

    @property
    def is_too_much(self) -> bool:
        """Whether the feed needs a new session."""
        return abs(self.drift_ns) > LIMIT_NS

    def note(self, event_ns: int, wall_ns: int) -> None:
        """Note that what happened at `event_ns` by the feed's clock came at `wall_ns`."""
        if self._span_ends_ns is None:
            self._span_ends_ns = wall_ns + SPAN_NS
        delay_ns = wall_ns - event_ns
        self._least_ns = delay_ns if self._least_ns is None else min(self._least_ns, delay_ns)
        if wall_ns >= self._span_ends_ns:
            if self._first_ns is None:
                self._first_ns = self._least_ns
            self.drift_ns = self._least_ns - self._first_ns
            self._least_ns, self._span_ends_ns = None, wall_ns + SPAN_NS
