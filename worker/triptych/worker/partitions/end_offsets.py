"""Requests end offsets when an aligner needs them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Final

from triptych.schemas.names import Modality
from triptych.transport.errors import RetriableError
from triptych.transport.protocols import GroupConsumer
from triptych.units import NS_PER_MS
from triptych.worker.observability.events import RetryScheduled, StageCompleted
from triptych.worker.observability.hooks import Hooks
from triptych.worker.partitions.partition import PartitionSet

_MIN_INTERVAL_NS: Final = 5 * NS_PER_MS
_BACKOFF_NS: Final = 200 * NS_PER_MS


class EndOffsetRefresher:
    """Requests the end offsets of several partitions at once and passes them to the aligners.

    An aligner needs end offsets to know that no earlier record can arrive: when a deadline is due, and to advance its
    arrival clock while no records arrive. Each request blocks until the broker answers or the request times out, so
    there is at least a pause of 5 ms between requests and of 200 ms after a failure.
    """

    def __init__(
        self,
        consumer: GroupConsumer,
        hooks: Hooks,
        *,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Request end offsets from `consumer`. The clocks return nanoseconds."""
        self._consumer = consumer
        self._hooks = hooks
        self._monotonic_ns = monotonic_ns
        self._wall_ns = wall_ns
        self._not_before_ns = 0

    def wait_ns(self, partition_sets: Collection[PartitionSet]) -> int | None:
        """Return in how many nanoseconds `refresh_if_due` has something to do, or None if nothing is scheduled."""
        now_ns, wall_ns = self._monotonic_ns(), self._wall_ns()
        waits_ns = []
        for partition_set in partition_sets:
            wakeup = partition_set.next_wakeup()
            if wakeup.at_ns is not None:
                waits_ns.append(max(wakeup.at_ns, self._not_before_ns) - now_ns)
            if wakeup.wall_ns is not None:
                waits_ns.append(max(wakeup.wall_ns - wall_ns, self._not_before_ns - now_ns))
        return min(waits_ns, default=None)

    def refresh_if_due(self, partition_sets: Collection[PartitionSet]) -> None:
        """Refresh those sets whose aligner needs end offsets now, unless the last request was a moment ago."""
        now_ns, wall_ns = self._monotonic_ns(), self._wall_ns()
        if now_ns < self._not_before_ns:
            return
        due = [each for each in partition_sets if _is_due(each, now_ns, wall_ns)]
        if due:
            self._not_before_ns = now_ns + _MIN_INTERVAL_NS
            self._refresh(due, now_ns, wall_ns)

    def refresh(self, partition_sets: Collection[PartitionSet]) -> None:
        """Refresh all of these sets, due or not, unless the last request was a moment ago."""
        now_ns = self._monotonic_ns()
        if partition_sets and now_ns >= self._not_before_ns:
            self._refresh(partition_sets, now_ns, self._wall_ns())

    def refresh_and_check_end(self, partition_sets: Collection[PartitionSet]) -> bool:
        """Refresh all of these sets. Return whether all of them are read to their ends.

        Returns False without a request if the last request was a moment ago.
        """
        now_ns, wall_ns = self._monotonic_ns(), self._wall_ns()
        if now_ns < self._not_before_ns:
            return False
        self._not_before_ns = now_ns + _MIN_INTERVAL_NS
        return self._refresh(partition_sets, now_ns, wall_ns)

    def _refresh(self, partition_sets: Collection[PartitionSet], now_ns: int, wall_ns: int) -> bool:
        """Request and apply end offsets. Return whether all of these sets are read to their ends."""
        try:
            ends = self._consumer.end_offsets([tp for each in partition_sets for tp in each.tps.values()])
        except RetriableError as error:
            self._hooks.emit(RetryScheduled(what="kafka", error=str(error), attempt=1, delay_s=0.0))
            self._not_before_ns = self._monotonic_ns() + _BACKOFF_NS
            return False
        self._hooks.emit(StageCompleted(stage="ask", took_ms=(self._monotonic_ns() - now_ns) / NS_PER_MS))
        for each in partition_sets:
            each.offset_tracker.update_positions(positions(self._consumer, each))
            each.apply_end_offsets(ends, at_ns=now_ns, wall_ns=wall_ns)
        return all(each.is_read_to(ends) for each in partition_sets)


def positions(consumer: GroupConsumer, partition_set: PartitionSet) -> dict[Modality, int]:
    """Return the next offset to be read of each partition of a set. Asks the broker if the client does not know it."""
    return {modality: consumer.position(tp) for modality, tp in partition_set.tps.items()}


def _is_due(partition_set: PartitionSet, now_ns: int, wall_ns: int) -> bool:
    wakeup = partition_set.next_wakeup()
    return (wakeup.at_ns is not None and now_ns >= wakeup.at_ns) or (
        wakeup.wall_ns is not None and wall_ns >= wakeup.wall_ns
    )
