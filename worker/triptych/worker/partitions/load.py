"""The load of a worker: how far it is behind, and how much media it holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Final

from triptych.units import NS_PER_S
from triptych.worker.observability import events
from triptych.worker.observability.hooks import Hooks
from triptych.worker.partitions.end_offsets import EndOffsetRefresher
from triptych.worker.partitions.partition import PartitionSet

_INTERVAL_NS: Final = 1 * NS_PER_S


class LoadReporter:
    """Emits the lag, and the bytes and streams held, once per second."""

    def __init__(
        self,
        hooks: Hooks,
        end_offsets: EndOffsetRefresher,
        *,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Emit to `hooks`. The clocks return nanoseconds."""
        self._hooks = hooks
        self._end_offsets = end_offsets
        self._monotonic_ns = monotonic_ns
        self._wall_ns = wall_ns
        self._due_ns = 0

    def report_if_due(self, partition_sets: Collection[PartitionSet], *, refresh: bool) -> None:
        """Emit the load of these active sets, unless the last report was less than a second ago.

        With `refresh`, request end offsets before: without records the arrival clocks advance only with them, and the
        lag would seem to grow. That blocks until the broker answers.
        """
        now_ns = self._monotonic_ns()
        if now_ns < self._due_ns:
            return
        self._due_ns = now_ns + _INTERVAL_NS
        if refresh:
            self._end_offsets.refresh(partition_sets)
        aligners = [each.aligner for each in partition_sets]
        if clocks_ns := [aligner.clock_ns for aligner in aligners if aligner.clock_ns]:
            lag_ns = self._wall_ns() - min(clocks_ns)
            self._hooks.emit(events.LagMeasured(seconds=max(0.0, lag_ns / NS_PER_S)))
        held_bytes = sum(aligner.held_bytes for aligner in aligners)
        streams = sum(len(aligner.streams()) for aligner in aligners)
        self._hooks.emit(events.BytesHeld(bytes=held_bytes, streams=streams))
