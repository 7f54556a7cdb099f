"""The hook that logs what an operator should know.

Everything that happens many times a second is left to the metrics, or logged at level `debug`.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Final

import structlog

from triptych.schemas.names import window_id
from triptych.schemas.tracing.trace_context import UNTRACED, TraceSampler
from triptych.units import NS_PER_S
from triptych.worker.observability import events
from triptych.worker.observability.event_handlers import EventHandlers

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from triptych.worker.observability.hooks import Hook

_REMEMBERED_SESSIONS: Final = 1_024
"""Sessions remembered by each once-per-session message. The oldest is forgotten first, and may be logged again."""

_LATE_HINT: Final = (
    "event time lies before the stream's watermark: the windows of these items are published and final. "
    "To analyse these records again, send them as a new stream id or run a new pipeline. To continue this stream, give "
    "--start-at a time after `next_window_start`. To publish recent windows again, set align.late = revise"
)
_REVISING_HINT: Final = (
    "their windows are published again as a new revision; items older than align.complete_within_ms (with align.late = "
    "revise: align.allowed_lateness_ms) are not included"
)
_REDRIVEN_HINT: Final = (
    "records put back from the dead-letter topic count as late and change no published window. To include them, run a "
    "new pipeline over the same records: it reads them at their original place"
)
_SUPERSEDED_HINT: Final = (
    "two live sessions on one stream: stop one of the producers, or give it a stream id of its own"
)
_MODEL_REFUSED_HINT: Final = (
    "the model in service stays in service, but a restart would load this one: replace it by a valid model"
)
_SHADOW_GIVEN_UP_HINT: Final = (
    "the model in service is not affected; the shadow is loaded again when its file changes, or on SIGHUP"
)
_OUT_OF_RANGE_HINT: Final = (
    "retention deleted records before they were read, and they are lost: increase retention, or add workers"
)

HANDLERS: Final = EventHandlers["_LogState"](
    ignored={
        events.RecordsRead: "counted; several times a second",
        events.BatchUnreadable: "the transport logs it, for every program that reads",
        events.RevisionStateEvicted: "counted; can happen many times a second",
        events.BatchInferred: "counted; several times a second",
        events.StageCompleted: "counted; several times a second",
        events.SyncMeasured: "counted; once per result",
        events.SpansHandled: "counted; the exporter logs what it loses",
        events.QualityFlagged: "counted; once per result",
        events.ObjectsDetected: "counted; once per result",
        events.LagMeasured: "a gauge; every second",
        events.BytesHeld: "a gauge; every second",
        events.ItemsShed: "counted; the change of the overload level is logged",
        events.ShadowInferred: "counted; ShadowSummarised is logged",
        events.ShadowSkipped: "counted; ShadowSummarised is logged",
        events.PromptHeadsCompared: "counted; PromptHeadsSummarised is logged",
    }
)


def log_hook(logger: FilteringBoundLogger | None = None, *, sampler: TraceSampler = UNTRACED) -> Hook:
    """Return a new hook that logs events. It may be called from any thread.

    Some messages appear once per session; the hook remembers which ones it has logged. Those about a window that
    `sampler` traces have its `trace_id`.
    """
    state = _LogState(logger or structlog.get_logger("triptych.worker"), sampler)
    return lambda event: HANDLERS.handle(state, event)


class _LogState:
    """The logger, and the sessions for which a once-per-session message was logged."""

    def __init__(self, logger: FilteringBoundLogger, sampler: TraceSampler) -> None:
        self.log = logger
        self.sampler = sampler
        self.late = _SeenSessions()
        self.revising = _SeenSessions()
        self.redriven = _SeenSessions()
        self.superseded = _SeenSessions()


class _SeenSessions:
    """A bounded set of sessions, ordered by last use. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    def is_new(self, stream: str, session: str) -> bool:
        """Add a session. Return whether it was missing."""
        with self._lock:
            is_new = (stream, session) not in self._seen
            self._seen[stream, session] = None
            self._seen.move_to_end((stream, session))
            if len(self._seen) > _REMEMBERED_SESSIONS:
                self._seen.popitem(last=False)
            return is_new


def iso_time(event_ns: int) -> str:
    """Return event time in nanoseconds as an ISO 8601 string in UTC, without trailing zeros."""
    seconds, rest_ns = divmod(event_ns, NS_PER_S)
    fraction = f".{rest_ns:09d}".rstrip("0") if rest_ns else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _traced(state: _LogState, stream: str, start_ns: int, end_ns: int) -> dict[str, str]:
    """Return the trace id of a window, if it is traced."""
    if state.sampler.ratio <= 0:
        return {}
    trace_id = state.sampler.trace_id(stream, start_ns, window_id(stream, start_ns, end_ns))
    return {} if trace_id is None else {"trace_id": trace_id}


# --- windows ----------------------------------------------------------------------------------------------------------


@HANDLERS.on(events.WindowClosed)
def _window_closed(state: _LogState, event: events.WindowClosed) -> None:
    state.log.debug(
        "window_closed",
        stream=event.stream,
        start=iso_time(event.start_ns),
        end=iso_time(event.end_ns),
        closed_by=event.closed_by,
        skipped=event.skipped,
        dead=event.dead,
        **_traced(state, event.stream, event.start_ns, event.end_ns),
    )


@HANDLERS.on(events.WindowRevised)
def _window_revised(state: _LogState, event: events.WindowRevised) -> None:
    state.log.debug(
        "window_revised",
        stream=event.stream,
        start=iso_time(event.start_ns),
        end=iso_time(event.end_ns),
        revision=event.revision,
        **_traced(state, event.stream, event.start_ns, event.end_ns),
        added=event.added,
    )


@HANDLERS.on(events.WindowPublished)
def _window_published(state: _LogState, event: events.WindowPublished) -> None:
    result = event.result
    state.log.debug("window_published", id=result.id, **_traced(state, result.stream, result.start_ns, result.end_ns))


@HANDLERS.on(events.ResultsPublished)
def _results_published(state: _LogState, event: events.ResultsPublished) -> None:
    state.log.debug("results_published", results=event.results, new=event.new)


# --- records ----------------------------------------------------------------------------------------------------------


@HANDLERS.on(events.LateItemReceived)
def _late_item(state: _LogState, event: events.LateItemReceived) -> None:
    """Log late items once per session: as a warning only if they are lost and nobody put them back on purpose."""
    item = {
        "stream": event.stream,
        "modality": event.modality,
        "session": event.session,
        "first_start": iso_time(event.start_ns),
    }
    next_window_start = iso_time(event.next_window_start_ns)
    if event.revises:
        if state.revising.is_new(event.stream, event.session):
            state.log.info(
                "late_items_revise",
                **item,
                next_window_start=next_window_start,
                redriven=event.redriven,
                hint=_REVISING_HINT,
            )
    elif event.redriven:
        if state.redriven.is_new(event.stream, event.session):
            state.log.info("redriven_items_late", **item, hint=_REDRIVEN_HINT)
    elif state.late.is_new(event.stream, event.session):
        state.log.warning("items_late", **item, next_window_start=next_window_start, hint=_LATE_HINT)


@HANDLERS.on(events.RecordDropped)
def _record_dropped(state: _LogState, event: events.RecordDropped) -> None:
    """Log the first record of a superseded session. The other reasons are normal."""
    if event.reason == "left_session" and state.superseded.is_new(event.stream, event.session):
        state.log.warning(
            "superseded_session_records_dropped",
            stream=event.stream,
            modality=event.modality,
            session=event.session,
            hint=_SUPERSEDED_HINT,
        )


@HANDLERS.on(events.RecordDeadLettered)
def _record_dead_lettered(state: _LogState, event: events.RecordDeadLettered) -> None:
    state.log.warning(
        "record_dead_lettered",
        topic=event.topic,
        partition=event.partition,
        offset=event.offset,
        code=event.code,
        reason=event.reason,
    )


# --- faults -----------------------------------------------------------------------------------------------------------


@HANDLERS.on(events.OffsetsOutOfRange)
def _offsets_out_of_range(state: _LogState, event: events.OffsetsOutOfRange) -> None:
    state.log.error(
        "offsets_out_of_range",
        topic=event.topic,
        partition=event.partition,
        wanted=event.wanted,
        resumed=event.resumed,
        hint=_OUT_OF_RANGE_HINT,
    )


@HANDLERS.on(events.ModelFailed)
def _model_failed(state: _LogState, event: events.ModelFailed) -> None:
    state.log.error(
        "model_failed",
        stream=event.stream,
        window_start=iso_time(event.start_ns),
        error=event.error,
        **_traced(state, event.stream, event.start_ns, event.end_ns),
    )


@HANDLERS.on(events.RetryScheduled)
def _retry_scheduled(state: _LogState, event: events.RetryScheduled) -> None:
    state.log.warning(
        "retry_scheduled",
        what=event.what,
        error=event.error,
        attempt=event.attempt,
        delay_s=round(event.delay_s, 3),
    )


@HANDLERS.on(events.CommitRefused)
def _commit_refused(state: _LogState, event: events.CommitRefused) -> None:
    state.log.warning("commit_refused", error=event.error)


@HANDLERS.on(events.OverloadLevelChanged)
def _overload_level_changed(state: _LogState, event: events.OverloadLevelChanged) -> None:
    if event.level == 0:
        state.log.info("overload_over", frames=event.frames)
    else:
        state.log.warning(
            "overload",
            overload_level=event.level,
            frames=event.frames,
            pictures=event.pictures,
            asks_model=event.asks_model,
        )


@HANDLERS.on(events.PartitionRestarted)
def _partition_restarted(state: _LogState, event: events.PartitionRestarted) -> None:
    state.log.warning("partition_restarted", number=event.number)


# --- lifecycle --------------------------------------------------------------------------------------------------------


@HANDLERS.on(events.PartitionsAssigned)
def _partitions_assigned(state: _LogState, event: events.PartitionsAssigned) -> None:
    state.log.info("partitions_assigned", numbers=event.numbers)


@HANDLERS.on(events.PartitionsHandedOver)
def _partitions_handed_over(state: _LogState, event: events.PartitionsHandedOver) -> None:
    state.log.info("partitions_handed_over", numbers=event.numbers, left=event.left, took_ms=round(event.took_ms, 1))


@HANDLERS.on(events.PartitionsRevoked)
def _partitions_revoked(state: _LogState, event: events.PartitionsRevoked) -> None:
    if event.lost:
        state.log.warning("partitions_lost", numbers=event.numbers)
    else:
        state.log.info("partitions_revoked", numbers=event.numbers)


@HANDLERS.on(events.PartitionRestored)
def _partition_restored(state: _LogState, event: events.PartitionRestored) -> None:
    if event.results:
        state.log.info("restored", number=event.number, streams=event.streams, results=event.results)


@HANDLERS.on(events.ResultsReplayed)
def _results_replayed(state: _LogState, event: events.ResultsReplayed) -> None:
    if event.new:
        state.log.info("missing_results_stored", offered=event.results, new=event.new)


@HANDLERS.on(events.StreamForgotten)
def _stream_forgotten(state: _LogState, event: events.StreamForgotten) -> None:
    state.log.info("stream_forgotten", stream=event.stream)


@HANDLERS.on(events.Stopping)
def _stopping(state: _LogState, event: events.Stopping) -> None:
    state.log.info("stopping", reason=event.reason)


@HANDLERS.on(events.Stopped)
def _stopped(state: _LogState, event: events.Stopped) -> None:
    state.log.info("stopped", open_streams=event.open_streams)


# --- models -----------------------------------------------------------------------------------------------------------


@HANDLERS.on(events.ModelSwapped)
def _model_swapped(state: _LogState, event: events.ModelSwapped) -> None:
    state.log.info(
        "model_swapped",
        role=event.role,
        name=event.name,
        version=event.version,
        sha256=event.sha256,
        before=event.before,
        took_ms=round(event.took_ms, 1),
    )


@HANDLERS.on(events.ModelUnchanged)
def _model_unchanged(state: _LogState, event: events.ModelUnchanged) -> None:
    state.log.info("model_unchanged", role=event.role, name=event.name, version=event.version, sha256=event.sha256)


@HANDLERS.on(events.ModelRefused)
def _model_refused(state: _LogState, event: events.ModelRefused) -> None:
    state.log.error(
        "model_refused", role=event.role, source=event.source, reason=event.reason, hint=_MODEL_REFUSED_HINT
    )


@HANDLERS.on(events.ShadowFailed)
def _shadow_failed(state: _LogState, event: events.ShadowFailed) -> None:
    """Log only when the shadow is given up. Single failures are counted, and appear in the summary."""
    if event.given_up:
        state.log.error("shadow_given_up", error=event.error, hint=_SHADOW_GIVEN_UP_HINT)


@HANDLERS.on(events.ShadowSummarised)
def _shadow_compared(state: _LogState, event: events.ShadowSummarised) -> None:
    state.log.info(
        "shadow_compared",
        model=event.model_sha256,
        shadow=event.shadow_sha256,
        heads={
            agreement.head: {
                "windows": agreement.windows,
                "differed": agreement.differed,
                "mean_distance": round(agreement.mean_distance, 4),
            }
            for agreement in event.heads
        },
        skipped=event.skipped,
        failed=event.failed,
        differing=[f"{stream} {iso_time(start_ns)}" for stream, start_ns in event.differing],
    )


@HANDLERS.on(events.PromptHeadsSummarised)
def _prompt_heads_compared(state: _LogState, event: events.PromptHeadsSummarised) -> None:
    state.log.info(
        "prompt_heads_compared",
        shadow=event.shadow_version,
        prompts={
            f"{agreement.prompt}/{agreement.version}": {
                "windows": agreement.windows,
                "differed": agreement.differed,
                "mean_distance": round(agreement.mean_distance, 4),
            }
            for agreement in event.prompts
        },
        differing=[f"{prompt} {stream} {iso_time(start_ns)}" for prompt, stream, start_ns in event.differing],
    )
