"""Which feeds have metrics of their own, so that the number of series is bounded.

The first feeds keep their series while they are played, and feeds that the settings name always have them. All others
count together, as `others`, with what feeds of it counted that have left: its counters never fall.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from triptych.producers.status.counters import SourceStatus
from triptych.producers.status.losses import TrackLoss

OTHERS: Final = "others"
"""The label of all feeds that have no series of their own. A feed with this name is one of them."""


@dataclass(frozen=True, slots=True)
class FeedGroups:
    """The statuses of named feeds and of all others, and the sum of the counts of others that have left."""

    named: Sequence[SourceStatus] = ()
    others: Sequence[SourceStatus] = ()
    left: SourceStatus | None = None


class NamedFeeds:
    """Divides feeds into named ones and others. One thread shows statuses; any thread may read them."""

    def __init__(self, *, most: int | None, always: Collection[str] = ()) -> None:
        """Name at most `most` feeds, or all with None, besides those in `always`."""
        self._most = most
        self._always = frozenset(always) - {OTHERS}
        self._groups = FeedGroups()

    def show(self, statuses: Sequence[SourceStatus]) -> None:
        """Set the statuses of the feeds that are played now."""
        now = frozenset(status.stream for status in statuses)
        before, left = self._groups, self._groups.left
        for status in before.others:
            if status.stream not in now:
                left = _sum_of_counts(left or SourceStatus(OTHERS, "stopped"), status)
        named = {status.stream for status in before.named} & now
        others = {status.stream for status in before.others} & now
        for stream in (status.stream for status in statuses):
            if stream not in named and stream not in others:
                (named if self._may_name(stream, named) else others).add(stream)
        self._groups = FeedGroups(
            [status for status in statuses if status.stream in named],
            [status for status in statuses if status.stream in others],
            left,
        )

    @property
    def groups(self) -> FeedGroups:
        """What was shown last."""
        return self._groups

    def _may_name(self, stream: str, named: set[str]) -> bool:
        if stream in self._always or stream == OTHERS:
            return stream != OTHERS
        return self._most is None or len(named - self._always) < self._most


def _sum_of_counts(total: SourceStatus, status: SourceStatus) -> SourceStatus:
    """Return a status with the counts of both, and without the values of a feed that is played."""
    losses = dict(total.track_losses)
    for key, loss in status.track_losses.items():
        before = losses.get(key, TrackLoss())
        losses[key] = TrackLoss(before.records + loss.records, before.gaps + loss.gaps)
    counted = ("sent", "dropped", "sessions", "reconnects", "gaps", "gap_ns", "suspended_ns")
    sums = {name: getattr(total, name) + getattr(status, name) for name in counted}
    return replace(total, **sums, track_losses=losses, losses=total.losses + status.losses)
