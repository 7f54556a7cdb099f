"""From a container's time stamps to session time: nanoseconds since the session's start, one clock for all tracks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from triptych.units import NS_PER_S


def ticks_to_ns(ticks: int, time_base: Fraction) -> int:
    """Return so many ticks in nanoseconds, rounded to the nearest."""
    numerator = ticks * time_base.numerator * NS_PER_S
    return (2 * numerator + time_base.denominator) // (2 * time_base.denominator)


@dataclass(frozen=True, slots=True)
class SessionTimeline:
    """One pass over a file: what stands at `origin_ns` in the file happens at `base_ns` of the session."""

    origin_ns: int
    base_ns: int

    def at(self, ticks: int, time_base: Fraction) -> int:
        """Return the session time of a time stamp."""
        return ticks_to_ns(ticks, time_base) - self.origin_ns + self.base_ns
