"""The events of one poll: what was read, what could not be read, and which offsets did not exist."""

from __future__ import annotations

from collections import defaultdict

from triptych.schemas.names import MODALITY_OF, Modality
from triptych.transport.records import Poll
from triptych.worker.observability import events
from triptych.worker.observability.hooks import Hooks


def emit_poll_events(hooks: Hooks, poll: Poll) -> None:
    """Emit the events of a poll. Partitions that were assigned or revoked are not among them."""
    for jump in poll.out_of_range:
        hooks.emit(
            events.OffsetsOutOfRange(
                topic=jump.tp.topic, partition=jump.tp.partition, wanted=jump.wanted, resumed=jump.resumed
            )
        )
    for span in poll.unreadable:
        hooks.emit(
            events.BatchUnreadable(
                topic=span.tp.topic,
                partition=span.tp.partition,
                offset=span.offset,
                next_offset=span.next_offset,
                reason=span.reason,
                stopped=span.stopped,
            )
        )
    sizes: dict[Modality, list[int]] = defaultdict(list)
    for record in poll.records:
        sizes[MODALITY_OF[record.topic]].append(record.size_bytes)
    for modality, of_modality in sizes.items():
        hooks.emit(events.RecordsRead(modality=modality, records=len(of_modality), bytes=sum(of_modality)))
