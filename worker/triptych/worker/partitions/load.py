"""The load of a worker: how far it is behind, and how much media it holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from triptych.units import NS_PER_S
from triptych.worker.observability import events
from triptych.worker.observability.hooks import Hooks
from triptych.worker.partitions.partition import PartitionSet


def emit_load(
    hooks: Hooks, partition_sets: Collection[PartitionSet], *, wall_ns: Callable[[], int] = time.time_ns
) -> None:
    """Emit the lag of these active sets in seconds, and the bytes and streams that their aligners hold."""
    aligners = [each.aligner for each in partition_sets]
    if clocks_ns := [aligner.clock_ns for aligner in aligners if aligner.clock_ns]:
        hooks.emit(events.LagMeasured(seconds=max(0.0, (wall_ns() - min(clocks_ns)) / NS_PER_S)))
    held_bytes = sum(aligner.held_bytes for aligner in aligners)
    streams = sum(len(aligner.streams()) for aligner in aligners)
    hooks.emit(events.BytesHeld(bytes=held_bytes, streams=streams))
