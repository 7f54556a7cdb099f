"""Convert container timestamps to session time: nanoseconds since the session's start, one clock for all tracks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from triptych.units import NS_PER_S


class TickScale:
    """Convert ticks of one time base. Keep it for a track: PyAV makes a fraction whenever a packet is asked for one."""

    __slots__ = ("_divisor", "_factor", "_half")

    def __init__(self, time_base: Fraction) -> None:
        self._half = time_base.denominator
        self._divisor = 2 * time_base.denominator
        self._factor = 2 * time_base.numerator * NS_PER_S

    def ns(self, ticks: int) -> int:
        """Return a number of ticks in nanoseconds, rounded to the nearest."""
        return (ticks * self._factor + self._half) // self._divisor


def ticks_to_ns(ticks: int, time_base: Fraction) -> int:
    """Return a number of time base ticks in nanoseconds, rounded to the nearest."""
    return TickScale(time_base).ns(ticks)


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
        return self.from_container(ticks_to_ns(ticks, time_base))

    def from_container(self, container_ns: int) -> int:
        """Return the session time of a time of the container."""
        return container_ns - self.origin_ns + self.base_ns
