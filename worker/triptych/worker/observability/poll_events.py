"""The events of one poll: what was read, and which offsets did not exist."""

from __future__ import annotations

from collections import defaultdict

from triptych.schemas.names import MODALITY_OF, Modality
from triptych.transport.records import Poll
from triptych.worker.observability import events
from triptych.worker.observability.hooks import Hooks


def emit_poll_events(hooks: Hooks, poll: Poll) -> None:
    """Emit the events of a poll. `Assignment` emits those about partitions."""
    for jump in poll.out_of_range:
        hooks.emit(
            events.OffsetsOutOfRange(
                topic=jump.tp.topic, partition=jump.tp.partition, wanted=jump.wanted, resumed=jump.resumed
            )
        )
    sizes: dict[Modality, list[int]] = defaultdict(list)
    for record in poll.records:
        sizes[MODALITY_OF[record.topic]].append(record.size_bytes)
    for modality, of_modality in sizes.items():
        hooks.emit(events.RecordsRead(modality=modality, records=len(of_modality), bytes=sum(of_modality)))
