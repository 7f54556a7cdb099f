"""The scope of a worker that reprocesses a span: its group agrees on the span, then it sees nothing else."""

from __future__ import annotations

import threading

from triptych.transport.protocols import GroupConsumer, Transport
from triptych.transport.records import OutOfRangePolicy
from triptych.worker.publish_cutoff import PublishCutoff
from triptych.worker.reprocessing.agreement import HOME, agree
from triptych.worker.reprocessing.bounded_consumer import SpanConsumer
from triptych.worker.reprocessing.offset_range import Edges, find_edges
from triptych.worker.reprocessing.time_range import TimeRange


class SpanScope:
    """Narrows a worker to a span."""

    def __init__(
        self,
        transport: Transport,
        proposed: TimeRange,
        edges: Edges,
        *,
        is_noted: bool,
        when_out_of_range: OutOfRangePolicy,
        clock_margin_ns: int,
        stop: threading.Event,
    ) -> None:
        """Propose a span with its edges to the group, or join one that has noted it."""
        self._transport = transport
        self._is_noted = is_noted
        self._edges = edges
        self._clock_margin_ns = clock_margin_ns
        self._stop = stop
        self.span = proposed
        self.when_out_of_range = when_out_of_range
        self.consumer: SpanConsumer | None = None

    def narrow(self, consumer: GroupConsumer) -> tuple[GroupConsumer, PublishCutoff]:
        """Return a consumer of the span that the group works on.

        No record arrived before its end but those that are read: so there, and no further, the arrival clock may go
        where they are read. The aligner takes off the margin of clocks that differ, of which there are none here.
        """
        if not self._is_noted:
            span = agree(consumer, self.span, self._edges.lead[HOME], self._stop)
            if span != self.span:
                self._edges = find_edges(self._transport, span, len(self._edges.end) // 3)
                self.span = span
        self.consumer = SpanConsumer(consumer, self.span, self._edges)
        return self.consumer, PublishCutoff(self.span.from_ns, self.span.until_ns + self._clock_margin_ns)
