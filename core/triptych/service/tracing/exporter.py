"""Sends spans to a collector by OTLP over HTTP, on a thread of OpenTelemetry's SDK.

No caller ever waits: what does not fit into the queue, or is not accepted, is dropped and counted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self

import structlog

from triptych.schemas.errors import UsageError
from triptych.schemas.tracing.trace_context import TraceContext
from triptych.service.tracing.spans import FinishedSpan, SpanRole
from triptych.settings.trace import TraceSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import SpanContext

SpanOutcome = Literal["exported", "dropped", "failed"]
"""`dropped`: the queue was full. `failed`: the collector did not accept it in time."""

OnHandled = Callable[[SpanOutcome, int], None]
"""Called with the number of spans that had an outcome. On any thread, and often: it must be fast."""

_SCOPE: Final = "triptych"
_BATCH_SPANS: Final = 512
_INTERVAL_MS: Final = 1_000
_REQUEST_LIMIT_S: Final = 5.0
_CLOSE_LIMIT_S: Final = 5.0

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SpanCounts:
    """How many spans had which outcome."""

    exported: int = 0
    dropped: int = 0
    failed: int = 0


class TraceExporter:
    """Queues finished spans for a collector. Any thread may send."""

    def __init__(self, settings: TraceSettings, service: str, *, on_handled: OnHandled | None = None) -> None:
        """Start the thread that exports. Connects to nothing yet.

        Args:
            settings: the endpoint, and how many spans may wait.
            service: the name of the program, as `service.name`.
            on_handled: told about every span, besides `counts`.

        Raises:
            UsageError: the extra `trace` is not installed.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
                OTLPSpanExporter,
            )
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise UsageError(
                f"trace.endpoint needs OpenTelemetry ({error.name} is missing): pip install 'triptych[trace]'"
            ) from error
        # What these log for each batch that fails is counted here, and logged once.
        for name in ("opentelemetry.exporter", "opentelemetry.sdk"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.counts = SpanCounts()
        self._on_handled = on_handled or (lambda _outcome, _spans: None)
        self._limit = settings.max_queued_spans
        self._lock = threading.Lock()
        self._waiting = 0
        self._is_failing = False
        self._is_closed = False
        self._resource: Resource = Resource.create({"service.name": service, "service.namespace": "triptych"})
        self._endpoint = settings.endpoint
        self._otlp = OTLPSpanExporter(endpoint=settings.endpoint, timeout=_REQUEST_LIMIT_S)
        # Never full itself: the spans that wait are counted here.
        self._processor = BatchSpanProcessor(
            _counting(self._otlp, self._handled),
            max_queue_size=self._limit,
            schedule_delay_millis=_INTERVAL_MS,
            max_export_batch_size=min(_BATCH_SPANS, self._limit),
        )

    def send(self, spans: Sequence[FinishedSpan]) -> None:
        """Queue spans, or drop all of them where they do not fit. Never blocks."""
        with self._lock:
            has_room = self._waiting + len(spans) <= self._limit
            if has_room:
                self._waiting += len(spans)
        if not has_room:
            self._count("dropped", len(spans))
            return
        for span in spans:
            self._processor.on_end(_readable(span, self._resource))

    def close(self) -> None:
        """Send what waits, for some seconds at most. What is left counts as failed. Closing twice does nothing."""
        if self._is_closed:
            return
        ending = threading.Thread(target=self._processor.shutdown, name="end traces", daemon=True)
        ending.start()
        ending.join(_CLOSE_LIMIT_S)
        with self._lock:
            self._is_closed = True
            unsent, self._waiting = self._waiting, 0
        if unsent:
            self._otlp.shutdown()  # type: ignore[no-untyped-call]  # ends the pause before the next attempt; the thread is a daemon
            self._count("failed", unsent)
        counts = self.counts
        _log.info("traces_ended", exported=counts.exported, dropped=counts.dropped, failed=counts.failed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _handled(self, spans: int, *, accepted: bool) -> None:
        """Note the outcome of a batch. Called on the thread that exports."""
        with self._lock:
            if self._is_closed:
                return
            self._waiting -= spans
        self._count("exported" if accepted else "failed", spans)

    def _count(self, outcome: SpanOutcome, spans: int) -> None:
        """Count spans, and log the first of a series of failures."""
        with self._lock:
            setattr(self.counts, outcome, getattr(self.counts, outcome) + spans)
            is_new = outcome != "exported" and not self._is_failing
            self._is_failing = outcome != "exported"
        if is_new:
            _log.warning("spans_lost", outcome=outcome, spans=spans, endpoint=self._endpoint)
        self._on_handled(outcome, spans)


def _counting(otlp: SpanExporter, handled: Callable[..., None]) -> SpanExporter:
    """Return an exporter that passes batches on and tells what became of them."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult  # noqa: PLC0415 - an extra

    class CountingExporter(SpanExporter):
        """Counts the outcomes of another exporter."""

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            """Export a batch. Blocks its own thread only."""
            accepted = False
            try:
                result = otlp.export(spans)
                accepted = result is SpanExportResult.SUCCESS
            finally:
                handled(len(spans), accepted=accepted)
            return result

        def shutdown(self) -> None:
            """Close the connection."""
            otlp.shutdown()

    return CountingExporter()


def _readable(span: FinishedSpan, resource: Resource) -> ReadableSpan:
    """Return the span as the SDK exports it."""
    from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415 - an extra
    from opentelemetry.trace import Link, SpanKind, Status, StatusCode  # noqa: PLC0415 - an extra

    kinds: dict[SpanRole, SpanKind] = {
        "internal": SpanKind.INTERNAL,
        "producer": SpanKind.PRODUCER,
        "consumer": SpanKind.CONSUMER,
        "client": SpanKind.CLIENT,
    }
    trace_id = span.context.trace_id
    return ReadableSpan(
        span.name,
        context=_span_context(span.context),
        parent=None if span.parent_id is None else _span_context(TraceContext(trace_id, span.parent_id)),
        resource=resource,
        attributes=dict(span.attributes),
        links=[Link(_span_context(link)) for link in span.links],
        kind=kinds[span.role],
        status=Status() if span.error is None else Status(StatusCode.ERROR, span.error),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=InstrumentationScope(_SCOPE),
    )


def _span_context(context: TraceContext) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415 - an extra

    return SpanContext(
        int(context.trace_id, 16), int(context.span_id, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )


@contextmanager
def open_exporter(
    settings: TraceSettings, service: str, *, on_handled: OnHandled | None = None
) -> Iterator[TraceExporter | None]:
    """Open the exporter that the settings ask for, and close it at the end. Yield None where nothing is traced.

    Raises:
        UsageError: the extra `trace` is not installed.
    """
    if settings.effective_ratio <= 0:
        yield None
        return
    with TraceExporter(settings, service, on_handled=on_handled) as exporter:
        yield exporter
