"""Pauses partitions that are read faster than their records can be processed."""

from __future__ import annotations

from collections.abc import Iterable

from triptych.transport.protocols import GroupConsumer
from triptych.transport.records import TopicPartition
from triptych.worker.partitions.partition import PartitionSet


class Backpressure:
    """Pauses and resumes partitions of the active sets. Polling continues while partitions are paused."""

    def __init__(self, consumer: GroupConsumer, *, partition_max_bytes: int) -> None:
        """Hold about `partition_max_bytes` of undecoded media for each partition set, at most."""
        self._consumer = consumer
        self._partition_max_bytes = partition_max_bytes
        self._paused: frozenset[TopicPartition] = frozenset()

    @property
    def paused(self) -> frozenset[TopicPartition]:
        """The partitions that this object has paused."""
        return self._paused

    def apply(self, partition_sets: Iterable[PartitionSet], *, has_room: bool) -> None:
        """Pause partitions that are too far ahead, and full sets while the stages have no room. Resume the others.

        Args:
            partition_sets: the active sets.
            has_room: whether the stages accept more windows.
        """
        wanted: set[TopicPartition] = set()
        for each in partition_sets:
            is_full = not has_room and each.aligner.held_bytes > self._partition_max_bytes
            wanted |= {each.tps[modality] for modality in (each.tps if is_full else each.aligner.too_far_ahead())}
        if wanted == self._paused:  # nearly always, and a call of the consumer may wait for its thread
            return
        self._consumer.pause(wanted - self._paused)
        self._consumer.resume(self._paused - wanted)
        self._paused = frozenset(wanted)

    def assume_paused(self, tps: frozenset[TopicPartition]) -> None:
        """Take over partitions that somebody else has paused. The next `apply` resumes them."""
        self._paused = tps

    def forget(self, tps: Iterable[TopicPartition]) -> None:
        """Leave these partitions as they are: they are not ours any more, or are not active."""
        self._paused -= frozenset(tps)
