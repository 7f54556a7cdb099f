"""Reprocessing a span as a program, on real servers: `triptych work --from`."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import structlog

from triptych.schemas.errors import UsageError
from triptych.schemas.names import INPUT_TOPICS
from triptych.service.logs import configure_logs
from triptych.service.signals import stop_on_signal
from triptych.settings.tree import Settings
from triptych.transport.errors import OffsetOutOfRangeError
from triptych.transport.protocols import Transport
from triptych.units import NS_PER_MS
from triptych.worker.observability.hooks import Hook
from triptych.worker.reprocessing.agreement import look_up, noted
from triptych.worker.reprocessing.offset_range import Edges, find_edges, may_be_deleted
from triptych.worker.reprocessing.progress import shown
from triptych.worker.reprocessing.scope import SpanScope
from triptych.worker.reprocessing.summary import ReprocessingSummary, summarise
from triptych.worker.reprocessing.time_range import Judge, SpanRequest, TimeRange, check_same, moment_text, span_of
from triptych.worker.run import open_surroundings
from triptych.worker.wiring import Dependencies, align_config, open_pipeline, partitions_of

log = structlog.get_logger(__name__)


State = Literal["done", "done before", "shared", "stopped"]
"""The whole span is published; it was before; this worker's share is, others go on; a signal came."""


@dataclass(frozen=True, slots=True)
class Reprocessed:
    """How a run ended, the streams whose last windows were not decided in the span, and what lies on the topic."""

    span: TimeRange
    state: State
    open_streams: tuple[str, ...]
    summary: ReprocessingSummary


def reprocess(settings: Settings, request: SpanRequest) -> Reprocessed:
    """Reprocess a span, or go on with it, until all of it is published or a signal comes."""
    on_terminal = sys.stderr.isatty()  # the bar takes the place of the log's lines there
    configure_logs(settings.log.model_copy(update={"level": "warning"}) if on_terminal else settings.log)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signal())
        around = stack.enter_context(open_surroundings(settings))
        return reprocess_in(settings, request, around, stop)


def reprocess_in(settings: Settings, request: SpanRequest, around: Dependencies, stop: threading.Event) -> Reprocessed:
    """Do it in surroundings that are open."""
    settings = settings.that_waits()
    transport, pipeline = around.transport, settings.pipeline
    partitions = partitions_of(transport)
    asked = _asked(settings, request)
    begun = look_up(transport, pipeline, partitions)
    if begun.span is not None:
        check_same(pipeline, begun.span, request, asked)
    span = begun.span or asked
    if begun.done:
        return Reprocessed(span, "done before", (), summarise(transport, pipeline, partitions))
    edges = find_edges(transport, span, partitions)
    if begun.span is None:
        _check_edges(transport, edges, span, partial=request.partial)
    log.info("reprocessing", pipeline=pipeline, span=str(span), goes_on=begun.span is not None)
    scope = SpanScope(
        transport,
        span,
        edges,
        is_noted=begun.span is not None,
        when_out_of_range="earliest" if request.partial else "stop",
        clock_margin_ns=settings.align.clock_margin_ms * NS_PER_MS,
        stop=stop,
    )
    open_streams = _work(settings, around, scope, stop)
    done = noted(transport, pipeline, partitions).done
    state: State = "done" if done else "stopped" if stop.is_set() else "shared"
    return Reprocessed(scope.span, state, open_streams, summarise(transport, pipeline, partitions))


def _work(settings: Settings, around: Dependencies, scope: SpanScope, stop: threading.Event) -> tuple[str, ...]:
    """Work to the end of the span; return the streams whose last windows were not decided in it."""
    with ExitStack() as stack:
        progress = stack.enter_context(
            shown(settings.pipeline, lambda: scope.consumer.share_read if scope.consumer else 0.0)
        )
        hooks: list[Hook] = [*around.hooks, progress]
        inner = Dependencies(around.transport, around.store, hooks, around.health)
        worker = stack.enter_context(open_pipeline(settings, inner, scope))
        with _explained():
            report = worker.run(stop, until_end=lambda: True)
        if not stop.is_set() and scope.consumer is not None:
            scope.consumer.mark_done()
    return report.open_streams


def _asked(settings: Settings, request: SpanRequest) -> TimeRange:
    judge = Judge(window_ns=settings.window.size_ns, hop_ns=settings.window.hop_ns, model=settings.model.name)
    return span_of(
        request,
        judge,
        now_ns=time.time_ns(),
        margin_ns=settings.align.clock_margin_ms * NS_PER_MS,
        default_lead_ns=align_config(settings).stream_ttl_ns,
    )


def _check_edges(transport: Transport, edges: Edges, span: TimeRange, *, partial: bool) -> None:
    """Refuse a span in which nothing arrived, or, unless told to go on, whose beginning retention has taken."""
    if not edges.records:
        raise UsageError(
            f"nothing arrived from {span}. Both are times of arrival in Kafka, when it was sent, not of the media"
        )
    admin = transport.admin()
    try:
        topics = admin.describe(INPUT_TOPICS)
    finally:
        admin.close()
    now_ns = time.time_ns()
    gone, cut = (
        sorted(tp for tp in tps if may_be_deleted(topics[tp.topic], since_ns, now_ns))
        for tps, since_ns in ((edges.maybe_gone, span.from_ns), (edges.cut, span.read_from_ns))
    )
    if gone and not partial:
        raise OffsetOutOfRangeError(
            f"retention may have taken the beginning of the span: {gone[0].topic} {gone[0].partition} and "
            f"{len(gone) - 1} more partitions hold nothing from before {moment_text(span.from_ns)}; "
            "begin later, or go on with what is left by --partial"
        )
    if gone:
        log.warning("span_is_partial", partitions=[f"{tp.topic} {tp.partition}" for tp in gone])
    elif edges.oldest:
        log.warning(
            "span_begins_with_the_oldest_records",
            partitions=[f"{tp.topic} {tp.partition}" for tp in sorted(edges.oldest)],
            hint="by the topics' retention nothing of the span is gone; somebody may have deleted records by hand",
        )
    elif cut:
        log.warning("lead_is_partial", hint="retention took some of it: the first windows may lack what came before")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OffsetOutOfRangeError as error:
        raise OffsetOutOfRangeError(
            f"retention takes the span while it is read ({error.__class__.__name__}): "
            "`--partial` goes on with what is left"
        ) from error
