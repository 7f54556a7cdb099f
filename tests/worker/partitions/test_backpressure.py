"""Which partitions are paused, and when they are resumed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.worker.partitions.fakes import FakeConsumer, partition_set, tps
from triptych.schemas.names import Modality
from triptych.transport.records import TopicPartition
from triptych.worker.partitions.backpressure import Backpressure
from triptych.worker.partitions.partition import PartitionSet

LIMIT_BYTES = 100


@dataclass
class FakeAligner:
    """How far ahead an aligner is."""

    held_bytes: int = 0
    ahead: frozenset[Modality] = frozenset()

    def too_far_ahead(self) -> frozenset[Modality]:
        """Return the modalities that are too far ahead of the others."""
        return self.ahead


def holding(partition: int, held_bytes: int = 0, *ahead: Modality) -> PartitionSet:
    """Return a set whose aligner holds so many bytes."""
    found = partition_set(partition)
    found.aligner = FakeAligner(held_bytes, frozenset(ahead))  # type: ignore[assignment]
    return found


def test_a_full_set_is_paused_while_the_stages_have_no_room() -> None:
    """Sets below the limit are read on, and all are resumed once there is room."""
    consumer = FakeConsumer()
    backpressure = Backpressure(consumer, partition_max_bytes=LIMIT_BYTES)
    sets = [holding(0, LIMIT_BYTES + 1), holding(1, LIMIT_BYTES)]

    backpressure.apply(sets, has_room=False)
    assert consumer.paused == backpressure.paused == tps(0)

    backpressure.apply(sets, has_room=True)
    assert consumer.paused == backpressure.paused == frozenset()


def test_a_partition_that_is_ahead_of_the_others_is_paused() -> None:
    """The other modalities of its set catch up."""
    consumer = FakeConsumer()
    leading = holding(0, 0, "audio")

    Backpressure(consumer, partition_max_bytes=LIMIT_BYTES).apply([leading], has_room=True)

    assert consumer.paused == {leading.tps["audio"]}


def test_the_consumer_is_only_called_for_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call may wait for the thread of the Kafka client."""
    consumer = FakeConsumer()
    backpressure = Backpressure(consumer, partition_max_bytes=LIMIT_BYTES)
    full = [holding(0, LIMIT_BYTES + 1)]
    backpressure.apply(full, has_room=False)
    calls: list[frozenset[TopicPartition]] = []
    monkeypatch.setattr(consumer, "pause", calls.append)
    monkeypatch.setattr(consumer, "resume", calls.append)

    backpressure.apply(full, has_room=False)
    assert not calls

    backpressure.apply(full, has_room=True)
    assert calls == [frozenset(), tps(0)]


def test_a_forgotten_partition_stays_as_it_is() -> None:
    """It is not ours any more, or is paused until it is restored."""
    consumer = FakeConsumer()
    backpressure = Backpressure(consumer, partition_max_bytes=LIMIT_BYTES)
    backpressure.apply([holding(0, LIMIT_BYTES + 1)], has_room=False)

    backpressure.forget(tps(0))
    backpressure.apply([], has_room=True)

    assert consumer.paused == tps(0)


def test_partitions_that_others_paused_are_resumed() -> None:
    """After a stop at the end of the topics that did not end the run."""
    consumer = FakeConsumer(paused=set(tps(0)))
    backpressure = Backpressure(consumer, partition_max_bytes=LIMIT_BYTES)

    backpressure.assume_paused(tps(0))
    backpressure.apply([holding(0)], has_room=True)

    assert not consumer.paused
