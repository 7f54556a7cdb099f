"""The hook that makes a trace of each sampled window, once its result is published.

    window                       CONSUMER; links to the spans in which producers sent the window's records
    ├─ collect                   from the append of the window's first record to that of its last
    ├─ align                     until the window closed: reading, and waiting for what may still come
    ├─ wait for prepare
    ├─ prepare
    ├─ wait for infer
    ├─ infer
    ├─ wait for publish
    ├─ publish                   PRODUCER; the parent of what subscribers do
    ├─ wait for store
    └─ store                     CLIENT

The stages follow one another without a gap, so they add up to the latency. What happens to a whole batch (`infer`,
`publish`, `store`) is a span of each of its windows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from triptych.schemas.names import MODALITIES, consumer_group, redis_results_key, results_topic
from triptych.schemas.results import Result
from triptych.schemas.tracing.trace_context import TraceContext, publish_context, span_id, traceparent_in
from triptych.service.tracing.exporter import OnHandled, SpanOutcome
from triptych.service.tracing.spans import Attributes, FinishedSpan, SpanRole
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.alignment.entry import Entry
from triptych.worker.intake import Received
from triptych.worker.observability.events import Event, SpansHandled, WindowPublished
from triptych.worker.observability.hooks import Hook

MAX_LINKS: Final = 128
"""The links of a span, as OpenTelemetry's SDKs limit them by default. The window's first records are kept."""


class SpanSink(Protocol):
    """Takes finished spans."""

    def send(self, spans: list[FinishedSpan]) -> None:
        """Queue spans. Never blocks."""


def counted(hook: Hook) -> OnHandled:
    """Return a callback that tells a hook what became of spans."""

    def handled(outcome: SpanOutcome, spans: int) -> None:
        hook(SpansHandled(outcome, spans))

    return handled


class TraceHook:
    """Sends the spans of windows whose result has a trace id. Any thread may call it."""

    def __init__(self, sink: SpanSink, pipeline: str, *, wall_ns: Callable[[], int] = time.time_ns) -> None:
        """Send spans of the windows of `pipeline` to `sink`."""
        self._sink = sink
        self._pipeline = pipeline
        self._wall_ns = wall_ns

    def __call__(self, event: Event) -> None:
        """Make the spans of a published window, if it is traced."""
        if isinstance(event, WindowPublished) and event.result.trace_id is not None:
            # The stages are timed by the monotonic clock, spans by the wall clock.
            offset_ns = self._wall_ns() - time.monotonic_ns()
            self._sink.send(list(_WindowTrace(event.result.trace_id, self._pipeline, event).spans(offset_ns)))


@dataclass(frozen=True, slots=True)
class _WindowTrace:
    """The trace of one result of a window."""

    trace_id: str
    pipeline: str
    event: WindowPublished

    def spans(self, offset_ns: int) -> Iterator[FinishedSpan]:
        """Iterate over the spans, the root last. `offset_ns` is the wall clock minus the monotonic clock."""
        window, result = self.event.window, self.event.result
        closed_ns = self.event.times.closed_ns + offset_ns
        arrivals = [entry.arrival_ns for entry in _records(window)]
        # The clock of the broker may be ahead of this one.
        first_ns, last_ns = (
            min(at, closed_ns) for at in (min(arrivals, default=closed_ns), max(arrivals, default=closed_ns))
        )
        yield self._span("collect", first_ns, last_ns, attributes=_counts(window))
        yield self._span("align", last_ns, closed_ns, attributes={"triptych.closed_by": result.closed_by})
        end_ns = closed_ns
        for name, begin_ns, stop_ns in self.event.times.intervals():
            role, attributes = self._meaning(name)
            end_ns = stop_ns + offset_ns
            yield self._span(name, begin_ns + offset_ns, end_ns, role=role, attributes=attributes)
        yield FinishedSpan(
            "window",
            TraceContext(self.trace_id, self._id("window")),
            None,
            first_ns,
            end_ns,
            role="consumer",
            attributes=self._window_attributes(),
            links=list(_links(window)),
        )

    def _span(
        self,
        name: str,
        start_ns: int,
        end_ns: int,
        *,
        role: SpanRole = "internal",
        attributes: Attributes | None = None,
    ) -> FinishedSpan:
        context = TraceContext(self.trace_id, self._id(name))
        return FinishedSpan(name, context, self._id("window"), start_ns, end_ns, role, attributes or {})

    def _id(self, name: str) -> str:
        if name == "publish":
            return publish_context(self.trace_id, self.pipeline, self.event.result.id).span_id
        return span_id(self.trace_id, self.pipeline, self.event.result.id, name)

    def _meaning(self, name: str) -> tuple[SpanRole, Attributes]:
        """Return the kind and the attributes of a step."""
        result = self.event.result
        match name:
            case "infer":
                return "internal", {
                    "triptych.model.name": result.model.name,
                    "triptych.model.version": result.model.version,
                }
            case "publish":
                return "producer", {
                    "messaging.system": "kafka",
                    "messaging.operation.type": "send",
                    "messaging.operation.name": "send",
                    "messaging.destination.name": results_topic(self.pipeline),
                    "messaging.message.id": result.id,
                    **_partition(result),
                }
            case "store":
                return "client", {
                    "db.system.name": "redis",
                    "db.collection.name": redis_results_key(self.pipeline, result.stream),
                    "db.operation.name": "XADD",
                }
            case _:
                return "internal", {}

    def _window_attributes(self) -> Attributes:
        result = self.event.result
        return {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.consumer.group.name": consumer_group(self.pipeline),
            "messaging.batch.message_count": sum(1 for _ in _records(self.event.window)),
            "triptych.pipeline": self.pipeline,
            "triptych.stream": result.stream,
            "triptych.window": result.window,
            "triptych.revision": result.revision,
            **_partition(result),
        }


def _records(window: ClosedWindow) -> Iterator[Entry]:
    """Iterate over the records that a window contains."""
    for entries in window.items.values():
        yield from entries


def _links(window: ClosedWindow) -> Iterator[TraceContext]:
    """Iterate over the spans in which producers sent the window's records, as far as these are traced."""
    held = () if window.held is None else (window.held,)
    found: Iterable[Entry] = (*held, *_records(window))
    links = 0
    for entry in found:
        if links < MAX_LINKS and isinstance(entry.payload, Received):
            context = traceparent_in(entry.payload.record.headers)
            if context is not None:
                links += 1
                yield context


def _counts(window: ClosedWindow) -> Attributes:
    items: Mapping[str, int] = {modality: len(window.items.get(modality, ())) for modality in MODALITIES}
    return {f"triptych.records.{modality}": count for modality, count in items.items()}


def _partition(result: Result) -> Attributes:
    numbers = [getattr(result.modalities, modality).partition for modality in MODALITIES]
    known = next((number for number in numbers if number is not None), None)
    return {} if known is None else {"messaging.destination.partition.id": str(known)}
