"""Which decisions a worker publishes, and how far its wall clock may advance. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.worker.alignment.decisions import ClosedWindow, Decision, EvictedRevisionState, Forgotten


@dataclass(frozen=True, slots=True)
class PublishCutoff:
    """The bounds of a time range that is reprocessed. The defaults are those of a live worker: no bounds.

    Attributes:
        from_ns: decisions made before this arrival time are not published.
        last_wall_ns: the wall clock stops at this arrival time.
    """

    from_ns: int = 0
    last_wall_ns: int | None = None

    def wall_ns(self, now_ns: int) -> int:
        """Return `now_ns`, or the bound of the wall clock if that is earlier."""
        return now_ns if self.last_wall_ns is None else min(now_ns, self.last_wall_ns)

    def is_before(self, decision: Decision) -> bool:
        """Return whether a decision was made before the cutoff. Its effect on the offsets still applies."""
        match decision:
            case ClosedWindow(snapshot=snapshot):
                return snapshot.clock_ns < self.from_ns
            case EvictedRevisionState() | Forgotten():
                return False
            case _:
                return decision.entry.arrival_ns < self.from_ns


EVERYTHING = PublishCutoff()
"""No bounds: the cutoff of a live worker."""
