"""When a record is due: at once, or when as much time has passed since the start as in the film."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pacer:
    """The pace of one source; `began_ns` is the monotonic clock at the film's first moment."""

    realtime: bool
    began_ns: int

    def wait_ns(self, film_ns: int, *, monotonic_ns: int) -> int:
        """Return how long to wait for this moment of the film; not at all where it has passed."""
        return max(0, -self.behind_ns(film_ns, monotonic_ns=monotonic_ns))

    def behind_ns(self, film_ns: int, *, monotonic_ns: int) -> int:
        """Return how far this moment of the film lies behind the clock, negative where it lies ahead."""
        return monotonic_ns - self.began_ns - film_ns if self.realtime else 0
