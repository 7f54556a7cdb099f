"""Reprocesses a time range on real servers: the command `triptych work --from`."""

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
from triptych.worker.reprocessing.agreement import check_group, read_stored_range
from triptych.worker.reprocessing.offset_range import OffsetRange, find_offset_range, may_be_deleted
from triptych.worker.reprocessing.progress import show_progress
from triptych.worker.reprocessing.scope import TimeRangeScope
from triptych.worker.reprocessing.summary import ReprocessingSummary, summarise
from triptych.worker.reprocessing.time_range import (
    ResultSettings,
    TimeRange,
    TimeRangeRequest,
    check_matches,
    format_time,
    resolve_time_range,
)
from triptych.worker.servers import open_dependencies
from triptych.worker.wiring import Dependencies, align_config, open_pipeline, partitions_of

log = structlog.get_logger(__name__)


State = Literal["done", "done before", "shared", "stopped"]
"""How far the range is published.

`done`: completely. `done before`: completely, by an earlier run. `shared`: this worker's share, and other workers
continue. `stopped`: a signal stopped the run."""


@dataclass(frozen=True, slots=True)
class ReprocessingOutcome:
    """How a run ended. `open_streams` are the streams whose last windows were not decided in the range."""

    time_range: TimeRange
    state: State
    open_streams: tuple[str, ...]
    summary: ReprocessingSummary


def reprocess(settings: Settings, request: TimeRangeRequest, *, any_port: bool = False) -> ReprocessingOutcome:
    """Reprocess a time range, or continue with it, until it is published or a signal comes.

    With `any_port` the status server takes a free port if that of the settings is in use, as a live worker's is.
    """
    on_terminal = sys.stderr.isatty()  # the progress bar replaces the log lines there
    configure_logs(settings.log.model_copy(update={"level": "warning"}) if on_terminal else settings.log)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signal())
        dependencies = stack.enter_context(open_dependencies(settings, any_port=any_port, equal_topics=True))
        return reprocess_with(settings, request, dependencies, stop)


def reprocess_with(
    settings: Settings, request: TimeRangeRequest, dependencies: Dependencies, stop: threading.Event
) -> ReprocessingOutcome:
    """Reprocess a time range with open dependencies, until it is published or `stop` is set.

    Raises:
        UsageError: the range has no records, or the pipeline is used for something else.
        OffsetOutOfRangeError: retention may have deleted the beginning of the range, and the request is not `partial`.
    """
    settings = settings.without_load_shedding()
    transport, pipeline = dependencies.transport, settings.pipeline
    partitions = partitions_of(transport)
    resolved = _resolve(settings, request)
    stored = check_group(transport, pipeline, partitions)
    if stored.time_range is not None:
        check_matches(pipeline, stored.time_range, request, resolved)
    time_range = stored.time_range or resolved
    if stored.done:
        return ReprocessingOutcome(time_range, "done before", (), summarise(transport, pipeline, partitions))
    offsets = find_offset_range(transport, time_range, partitions)
    if stored.time_range is None:
        _check_offsets(transport, offsets, time_range, partial=request.partial)
    log.info("reprocessing", pipeline=pipeline, time_range=str(time_range), continues=stored.time_range is not None)
    scope = TimeRangeScope(
        transport,
        time_range,
        offsets,
        is_stored=stored.time_range is not None,
        when_out_of_range="earliest" if request.partial else "stop",
        clock_margin_ns=settings.align.clock_margin_ms * NS_PER_MS,
        stop=stop,
    )
    open_streams = _work(settings, dependencies, scope, stop)
    done = read_stored_range(transport, pipeline, partitions).done
    state: State = "done" if done else "stopped" if stop.is_set() else "shared"
    return ReprocessingOutcome(scope.time_range, state, open_streams, summarise(transport, pipeline, partitions))


def _work(
    settings: Settings, dependencies: Dependencies, scope: TimeRangeScope, stop: threading.Event
) -> tuple[str, ...]:
    """Run a worker to the end of the range. Return the streams whose last windows were not decided in it."""
    with ExitStack() as stack:
        progress = stack.enter_context(
            show_progress(settings.pipeline, lambda: scope.consumer.share_read if scope.consumer else 0.0)
        )
        hooks: list[Hook] = [*dependencies.hooks, progress]
        with_progress = Dependencies(dependencies.transport, dependencies.store, hooks, dependencies.health)
        worker = stack.enter_context(open_pipeline(settings, with_progress, scope))
        with _explain_deleted_records():
            report = worker.run(stop, until_end=lambda: True)
        if not stop.is_set() and scope.consumer is not None:
            scope.consumer.mark_done()
    return report.open_streams


def _resolve(settings: Settings, request: TimeRangeRequest) -> TimeRange:
    result_settings = ResultSettings(
        window_ns=settings.window.size_ns, hop_ns=settings.window.hop_ns, model=settings.model.name
    )
    return resolve_time_range(
        request,
        result_settings,
        now_ns=time.time_ns(),
        margin_ns=settings.align.clock_margin_ms * NS_PER_MS,
        default_lead_ns=align_config(settings).stream_ttl_ns,
    )


def _check_offsets(transport: Transport, offsets: OffsetRange, time_range: TimeRange, *, partial: bool) -> None:
    """Check that the range has records, and, unless `partial`, that retention has not deleted its beginning.

    Raises:
        UsageError: no records arrived in the range.
        OffsetOutOfRangeError: retention may have deleted the beginning.
    """
    if not offsets.records:
        raise UsageError(
            f"no records arrived from {time_range}. Both are arrival times in Kafka (when a record was sent), "
            "not times of the media"
        )
    admin = transport.admin()
    try:
        topics = admin.describe(INPUT_TOPICS)
    finally:
        admin.close()
    now_ns = time.time_ns()
    truncated, lead_truncated = (
        sorted(tp for tp in tps if may_be_deleted(topics[tp.topic], since_ns, now_ns))
        for tps, since_ns in (
            (offsets.maybe_truncated, time_range.from_ns),
            (offsets.lead_maybe_truncated, time_range.read_from_ns),
        )
    )
    if truncated and not partial:
        raise OffsetOutOfRangeError(
            f"retention may have deleted the beginning of the time range: {truncated[0].topic} "
            f"{truncated[0].partition} and {len(truncated) - 1} more partitions hold nothing from before "
            f"{format_time(time_range.from_ns)}; begin later, or add --partial to process what is left"
        )
    if truncated:
        log.warning("time_range_is_partial", partitions=[f"{tp.topic} {tp.partition}" for tp in truncated])
    elif offsets.from_oldest:
        log.warning(
            "time_range_begins_with_oldest_records",
            partitions=[f"{tp.topic} {tp.partition}" for tp in sorted(offsets.from_oldest)],
            hint="by the topics' retention nothing of the range is deleted; somebody may have deleted records by hand",
        )
    elif lead_truncated:
        log.warning("lead_is_partial", hint="retention deleted part of it: the first windows may lack earlier records")


@contextmanager
def _explain_deleted_records() -> Iterator[None]:
    try:
        yield
    except OffsetOutOfRangeError as error:
        raise OffsetOutOfRangeError(
            f"retention deletes records of the time range while it is read ({error.__class__.__name__}): "
            "add --partial to process what is left"
        ) from error
