"""Which decisions a worker publishes, and how far its arrival clock may go. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.worker.alignment.decisions import ClosedWindow, Decision, EvictedRevisionState, Forgotten


@dataclass(frozen=True, slots=True)
class PublishCutoff:
    """What was decided before `from_ns` is taken as published elsewhere; the wall clock stops at `last_wall_ns`.

    Both are arrival times. Without them everything is published, and the clock is that of the wall.
    """

    from_ns: int = 0
    last_wall_ns: int | None = None

    def wall_ns(self, now_ns: int) -> int:
        """Return the moment that counts as now."""
        return now_ns if self.last_wall_ns is None else min(now_ns, self.last_wall_ns)

    def is_before(self, decision: Decision) -> bool:
        """Tell whether something was decided before the horizon; what follows for offsets is carried out anyway."""
        match decision:
            case ClosedWindow(snapshot=snapshot):
                return snapshot.clock_ns < self.from_ns
            case EvictedRevisionState() | Forgotten():
                return False
            case _:
                return decision.entry.arrival_ns < self.from_ns


EVERYTHING = PublishCutoff()
