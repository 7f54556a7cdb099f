"""Convert container timestamps to session time: nanoseconds since the session's start, one clock for all tracks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from triptych.units import NS_PER_S


def ticks_to_ns(ticks: int, time_base: Fraction) -> int:
    """Return a number of time base ticks in nanoseconds, rounded to the nearest."""
    numerator = ticks * time_base.numerator * NS_PER_S
    return (2 * numerator + time_base.denominator) // (2 * time_base.denominator)


@dataclass(frozen=True, slots=True)
class SessionTimeline:
    """The timeline of one pass over a source.

    Attributes:
        origin_ns: a time of the container.
        base_ns: the session time at which it happens.
    """

    origin_ns: int
    base_ns: int

    def at(self, ticks: int, time_base: Fraction) -> int:
        """Return the session time of a timestamp."""
        return ticks_to_ns(ticks, time_base) - self.origin_ns + self.base_ns
