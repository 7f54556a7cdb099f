"""Traces of sampled records: one each, from the queue of the producer to the acknowledgement of the broker.

send triptych.video      PRODUCER; windows link to it
├─ queue                 until the record was handed to the transport
└─ deliver               until the broker had it
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from triptych.producers.sending.send_queue import QueuedRecord
from triptych.schemas.names import TOPIC_OF
from triptych.schemas.records import InputRecord
from triptych.schemas.tracing.trace_context import TraceContext, TraceSampler, record_context, span_id
from triptych.service.tracing.exporter import open_exporter
from triptych.service.tracing.spans import FinishedSpan
from triptych.settings.trace import TraceSettings
from triptych.transport.records import Delivered


class RecordSpanSink(Protocol):
    """Takes finished spans."""

    def send(self, spans: Sequence[FinishedSpan]) -> None:
        """Queue spans. Never blocks."""


class RecordTracer:
    """Gives sampled records a trace context, and makes their spans when the broker has them. Thread-safe."""

    def __init__(
        self, sink: RecordSpanSink, sampler: TraceSampler, *, wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """Send the spans of records that `sampler` samples to `sink`."""
        self._sink = sink
        self._sampler = sampler
        self._wall_ns = wall_ns

    def context_of(self, record: InputRecord) -> TraceContext | None:
        """Return the span in which a record is sent, or None if it is not sampled."""
        if not self._sampler.samples(record.stream, record.start_ns):
            return None
        return record_context(record.stream, record.id)

    def on_delivered(self, one: QueuedRecord, place: Delivered, now_ns: int) -> None:
        """Make the spans of a record that the broker has. `now_ns` is of the clock of the queue."""
        context = self.context_of(one.record)
        if context is None:
            return
        offset_ns = self._wall_ns() - now_ns
        offered_ns, handed_ns = one.offered_ns + offset_ns, one.handed_ns + offset_ns
        self._sink.send(
            [
                self._child(context, "queue", offered_ns, handed_ns),
                self._child(context, "deliver", handed_ns, now_ns + offset_ns),
                FinishedSpan(
                    f"send {TOPIC_OF[one.record.modality]}",
                    context,
                    None,
                    offered_ns,
                    now_ns + offset_ns,
                    role="producer",
                    attributes={
                        "messaging.system": "kafka",
                        "messaging.operation.type": "send",
                        "messaging.operation.name": "send",
                        "messaging.destination.name": place.topic,
                        "messaging.destination.partition.id": str(place.partition),
                        "messaging.kafka.offset": place.offset,
                        "messaging.kafka.message.key": one.record.stream,
                        "messaging.message.id": one.record.id,
                    },
                ),
            ]
        )

    @staticmethod
    def _child(context: TraceContext, name: str, start_ns: int, end_ns: int) -> FinishedSpan:
        own = TraceContext(context.trace_id, span_id(context.trace_id, name))
        return FinishedSpan(name, own, context.span_id, start_ns, end_ns)


@contextmanager
def open_tracer(settings: TraceSettings) -> Iterator[RecordTracer | None]:
    """Open the tracer that the settings ask for; None where nothing is traced. What waits is sent at the end."""
    with open_exporter(settings, "triptych-producer") as exporter:
        yield None if exporter is None else RecordTracer(exporter, TraceSampler(settings.effective_ratio))
