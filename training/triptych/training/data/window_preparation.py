"""From the records of a clip to prepared windows, with the worker's own code for alignment and preparation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Final

from triptych.models.model import InputSpec
from triptych.schemas.codec import encode
from triptych.schemas.names import MODALITIES, TOPIC_OF, Modality
from triptych.schemas.records import InputRecord
from triptych.transport.records import Record
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.media.preparer import Preparation, Preparer
from triptych.worker.partitions.partition import PartitionSet

_ONE_PARTITION: Final = 1


def prepared_windows(records: Iterable[InputRecord], config: AlignConfig, spec: InputSpec) -> Iterator[Preparation]:
    """Yield the non-empty windows of one stream, prepared for a model.

    Args:
        records: records of one stream in the order of a producer, up to the `end` of each track.
        config: alignment configuration.
        spec: how the model wants its windows.
    """
    preparer = Preparer(spec)
    for window in close_windows(records, config):
        preparation = preparer.prepare(window)
        if not preparation.window.is_empty or preparation.bad:
            yield preparation


def close_windows(records: Iterable[InputRecord], config: AlignConfig) -> Iterator[ClosedWindow]:
    """Yield the closed windows of one stream. Each record arrives one nanosecond after the one before.

    The first record arrives at its own event time, because alignment dead-letters records from the future.
    """
    arrival_ns = 0
    positions: dict[Modality, int] = dict.fromkeys(MODALITIES, 0)
    work = PartitionSet(0, config, positions, partitions=_ONE_PARTITION, restored=MappingProxyType({}))
    for record in records:
        wire = encode(record)
        modality = record.modality
        arrival_ns = arrival_ns + 1 if arrival_ns else max(record.start_ns, 1)
        arrived = Record(TOPIC_OF[modality], 0, positions[modality], arrival_ns, wire.key, wire.value, wire.headers)
        positions[modality] += 1
        work.receive([arrived], positions, at_ns=arrival_ns)
        yield from _closed_windows(work)
    ends = {work.tps[modality]: position for modality, position in positions.items()}
    later_ns = arrival_ns + config.idle_timeout_ns + 2 * config.clock_margin_ns
    work.apply_end_offsets(ends, at_ns=later_ns, wall_ns=later_ns)
    yield from _closed_windows(work)


def _closed_windows(work: PartitionSet) -> Iterator[ClosedWindow]:
    while (outcome := work.decide()) is not None:
        if isinstance(outcome, ClosedWindow):
            yield outcome
