"""The hook that counts events for Prometheus.

Label values come from closed sets, never from a stream id or an error message: the number of series is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from triptych.schemas.names import MODALITIES
from triptych.schemas.reasons import DeadReason
from triptych.schemas.results import ClosedBy, QualityFlag
from triptych.service.tracing.exporter import SpanOutcome
from triptych.worker.observability import events
from triptych.worker.observability.event_handlers import EventHandlers
from triptych.worker.observability.events import Event, ModelRole, Service, Stage

_BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64)
_SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# The limits of ITU-R BT.1359: viewers notice audio that is 45 ms early or 125 ms late.
_OFFSET_BUCKETS: Final = (-1, -0.5, -0.2, -0.09, -0.045, 0, 0.045, 0.125, 0.185, 0.5, 1)
_DISTANCE_BUCKETS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1)
_DRIFT_BUCKETS: Final = (-10_000, -1_000, -300, -100, -30, 0, 30, 100, 300, 1_000, 10_000)
_MS_PER_S: Final = 1_000
_OBJECT_LABELS: Final = ("person", "face", "bicycle", "car", "vehicle", "cat", "cattle", "dog")
_OTHER_LABEL: Final = "other"
"""Detectors have labels of their own. These are counted by themselves, all others together."""

HANDLERS: Final = EventHandlers["_WorkerSeries"](
    ignored={
        events.PartitionRestored: "ResultsReplayed counts the results",
        events.ModelUnchanged: "nothing changed",
        events.WindowPublished: "ResultsPublished counts the results, StageCompleted has the times",
        events.ShadowSummarised: "a summary of events that are counted",
        events.PromptHeadsSummarised: "a summary of events that are counted",
        events.Stopping: "the process ends, and its series with it",
        events.Stopped: "the process ends, and its series with it",
    }
)


class Metrics:
    """Counts events in its own registry."""

    def __init__(self) -> None:
        """Create all series, with the value zero."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._series = _WorkerSeries(self.registry)

    def __call__(self, event: Event) -> None:
        """Count one event."""
        HANDLERS.handle(self._series, event)


class _WorkerSeries:
    """The worker's metrics.

    Each series starts at zero. Otherwise Prometheus could not compute a rate from the first event.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._make_record_metrics()
        self._make_result_metrics()
        self._make_work_metrics()
        self._make_model_metrics()

    def _make_record_metrics(self) -> None:
        by_modality = {"modality": MODALITIES}
        self.records = self._labelled("triptych_records", "Records read from the input topics.", **by_modality)
        self.record_bytes = self._labelled(
            "triptych_record_bytes", "Bytes read: keys, values and headers.", **by_modality
        )
        self.late = self._labelled("triptych_late", "Items that arrived after their windows had closed.", **by_modality)
        self.late_revising = self._labelled(
            "triptych_late_revising", "Late items for which a window was published again.", **by_modality
        )
        self.repeats = self._labelled("triptych_repeats", "Records that a producer sent twice.", **by_modality)
        self.left_session = self._counter("triptych_left_session", "Records of superseded sessions.")
        self.redriven = self._labelled(
            "triptych_redriven", "Records put back from the dead-letter topic.", **by_modality
        )
        self.dead = self._labelled("triptych_dead", "Dead-lettered records.", **by_modality, reason=tuple(DeadReason))
        self.offsets_gone = self._counter("triptych_offsets_gone", "Reads of offsets that retention had deleted.")
        self.unreadable = self._labelled(
            "triptych_unreadable_batches", "Batches that could not be read.", action=("skipped", "stopped")
        )
        self.unreadable_offsets = self._counter(
            "triptych_unreadable_offsets", "Offsets skipped because they could not be read."
        )

    def _make_result_metrics(self) -> None:
        self.windows = self._labelled("triptych_windows", "Windows closed.", closed_by=get_args(ClosedBy))
        self.windows_skipped = self._counter("triptych_windows_skipped", "Empty windows that were not published.")
        self.revisions = self._counter("triptych_revisions", "Windows published again with late items.")
        self.revision_state_evicted = self._counter(
            "triptych_windows_let_go", "Closed windows whose revision state was evicted early, to limit memory."
        )
        self.results = self._counter("triptych_results", "Results published.")
        self.replayed = self._counter("triptych_replayed", "Results written to the store again after an assignment.")
        self.av_offset = self._histogram(
            "triptych_av_offset_seconds", "Delay of audio behind video, of each result with one.", _OFFSET_BUCKETS
        )
        self.drift = self._histogram(
            "triptych_drift_ppm", "Drift of the source's clock, of each result with one.", _DRIFT_BUCKETS
        )
        self.quality_flags = self._labelled(
            "triptych_quality_flags", "Windows with a flag of technical quality.", flag=get_args(QualityFlag)
        )
        self.shed = self._labelled(
            "triptych_shed", "Items withheld from the model because of overload.", modality=MODALITIES
        )
        self.pictures_shed = self._counter(
            "triptych_shed_pictures", "Pictures in which no objects were detected because of overload."
        )
        self.detections = self._labelled(
            "triptych_detections", "Detections in published results.", label=(*_OBJECT_LABELS, _OTHER_LABEL)
        )
        self.windows_unasked = self._counter(
            "triptych_windows_unasked", "Windows published without the model because of overload."
        )

    def _make_work_metrics(self) -> None:
        self.batch_windows = self._histogram("triptych_batch_windows", "Windows in a batch.", _BATCH_BUCKETS)
        self.stages = Histogram(
            "triptych_stage_seconds", "Time in a stage.", ["stage"], buckets=_SECONDS_BUCKETS, registry=self._registry
        )
        for stage in get_args(Stage):
            self.stages.labels(stage=stage)
        self.lag = self._gauge("triptych_lag_seconds", "Current time minus the arrival time processed so far.")
        self.overload_level = self._gauge("triptych_overload_rung", "Overload level. 0: the model sees everything.")
        self.held_bytes = self._gauge("triptych_held_bytes", "Bytes of encoded media in memory.")
        self.streams = self._gauge("triptych_streams", "Streams in memory.")
        self.partitions = self._gauge("triptych_partitions", "Partitions that this worker owns.")
        self.owned: set[int] = set()
        self.hand_over = self._histogram(
            "triptych_hand_over_seconds", "Time to finish the work in flight of revoked partitions.", _SECONDS_BUCKETS
        )
        self.hand_over_left = self._counter(
            "triptych_hand_over_left", "Results in flight at the time limit, left to the next owner."
        )
        self.partitions_restarted = self._counter(
            "triptych_work_begun_again", "Partitions restored because the outcome of a publication was unknown."
        )
        self.model_failures = self._counter("triptych_model_failures", "Windows on which the model failed.")
        self.retries = self._labelled("triptych_retries", "Retries scheduled.", what=get_args(Service))
        self.commits_refused = self._counter("triptych_commits_refused", "Offset commits refused after a rebalance.")
        self.spans = self._labelled(
            "triptych_trace_spans", "Spans of traces by what became of them.", outcome=get_args(SpanOutcome)
        )
        self.streams_forgotten = self._counter("triptych_streams_forgotten", "Streams forgotten after their TTL.")

    def _make_model_metrics(self) -> None:
        self.model_swaps = self._labelled("triptych_model_swaps", "Models put in service.", role=get_args(ModelRole))
        self.model_refusals = self._labelled(
            "triptych_model_refusals", "Models that could not be loaded.", role=get_args(ModelRole)
        )
        self.shadow_windows = self._labelled(
            "triptych_shadow_windows", "Windows by outcome of the shadow.", outcome=("judged", "skipped", "failed")
        )
        self.shadow_differed = self._counter(
            "triptych_shadow_differed", "Windows for which model and shadow predict different labels."
        )
        self.shadow_matches = self._counter(
            "triptych_shadow_matches", "Matches that the shadow head of prompts weighed as well."
        )
        self.shadow_matches_differed = self._counter(
            "triptych_shadow_matches_differed", "Matches that fit by one head of prompts and not by the other."
        )
        self.shadow_distance = self._histogram(
            "triptych_shadow_distance", "Total variation distance between model and shadow.", _DISTANCE_BUCKETS
        )

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(name, meaning, registry=self._registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, registry=self._registry)

    def _histogram(self, name: str, meaning: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(name, meaning, buckets=buckets, registry=self._registry)

    def _labelled(self, name: str, meaning: str, **labels: tuple[str, ...]) -> Counter:
        """Return a counter with every combination of the label values at zero."""
        counter = Counter(name, meaning, list(labels), registry=self._registry)
        for values in product(*labels.values()):
            counter.labels(*values)
        return counter


# --- records ----------------------------------------------------------------------------------------------------------


@HANDLERS.on(events.RecordsRead)
def _records_read(series: _WorkerSeries, event: events.RecordsRead) -> None:
    series.records.labels(event.modality).inc(event.records)
    series.record_bytes.labels(event.modality).inc(event.bytes)


@HANDLERS.on(events.LateItemReceived)
def _late_item(series: _WorkerSeries, event: events.LateItemReceived) -> None:
    series.late.labels(event.modality).inc()
    series.redriven.labels(event.modality).inc(event.redriven)
    series.late_revising.labels(event.modality).inc(event.revises)


@HANDLERS.on(events.RecordDropped)
def _record_dropped(series: _WorkerSeries, event: events.RecordDropped) -> None:
    if event.reason == "repeat":
        series.repeats.labels(event.modality).inc()
    elif event.reason == "redriven":
        series.redriven.labels(event.modality).inc()
    elif event.reason == "left_session":
        series.left_session.inc()


@HANDLERS.on(events.RecordDeadLettered)
def _record_dead_lettered(series: _WorkerSeries, event: events.RecordDeadLettered) -> None:
    series.dead.labels(event.modality, event.code).inc()


@HANDLERS.on(events.OffsetsOutOfRange)
def _offsets_out_of_range(series: _WorkerSeries, _: events.OffsetsOutOfRange) -> None:
    series.offsets_gone.inc()


@HANDLERS.on(events.BatchUnreadable)
def _batch_unreadable(series: _WorkerSeries, event: events.BatchUnreadable) -> None:
    series.unreadable.labels("stopped" if event.stopped else "skipped").inc()
    if not event.stopped:
        series.unreadable_offsets.inc(event.next_offset - event.offset)


# --- windows and results ----------------------------------------------------------------------------------------------


@HANDLERS.on(events.WindowClosed)
def _window_closed(series: _WorkerSeries, event: events.WindowClosed) -> None:
    series.windows.labels(event.closed_by).inc()
    series.windows_skipped.inc(event.skipped)


@HANDLERS.on(events.WindowRevised)
def _window_revised(series: _WorkerSeries, _: events.WindowRevised) -> None:
    series.revisions.inc()


@HANDLERS.on(events.RevisionStateEvicted)
def _revision_state_evicted(series: _WorkerSeries, _: events.RevisionStateEvicted) -> None:
    series.revision_state_evicted.inc()


@HANDLERS.on(events.ResultsPublished)
def _results_published(series: _WorkerSeries, event: events.ResultsPublished) -> None:
    series.results.inc(event.results)


@HANDLERS.on(events.ResultsReplayed)
def _results_replayed(series: _WorkerSeries, event: events.ResultsReplayed) -> None:
    series.replayed.inc(event.results)


@HANDLERS.on(events.ItemsShed)
def _items_shed(series: _WorkerSeries, event: events.ItemsShed) -> None:
    for modality, count in event.items.items():
        series.shed.labels(modality).inc(count)
    series.pictures_shed.inc(event.pictures)
    series.windows_unasked.inc(event.model_skipped)


@HANDLERS.on(events.ObjectsDetected)
def _objects_detected(series: _WorkerSeries, event: events.ObjectsDetected) -> None:
    for label, count in event.labels.items():
        series.detections.labels(label if label in _OBJECT_LABELS else _OTHER_LABEL).inc(count)


@HANDLERS.on(events.QualityFlagged)
def _quality_flagged(series: _WorkerSeries, event: events.QualityFlagged) -> None:
    for flag in event.flags:
        series.quality_flags.labels(flag).inc()


@HANDLERS.on(events.SyncMeasured)
def _sync_measured(series: _WorkerSeries, event: events.SyncMeasured) -> None:
    if event.offset_ms is not None:
        series.av_offset.observe(event.offset_ms / _MS_PER_S)
    if event.drift_ppm is not None:
        series.drift.observe(event.drift_ppm)


# --- work in progress -------------------------------------------------------------------------------------------------


@HANDLERS.on(events.BatchInferred)
def _batch_inferred(series: _WorkerSeries, event: events.BatchInferred) -> None:
    series.batch_windows.observe(event.windows)


@HANDLERS.on(events.StageCompleted)
def _stage_completed(series: _WorkerSeries, event: events.StageCompleted) -> None:
    series.stages.labels(event.stage).observe(event.took_ms / _MS_PER_S)


@HANDLERS.on(events.LagMeasured)
def _lag_measured(series: _WorkerSeries, event: events.LagMeasured) -> None:
    series.lag.set(event.seconds)


@HANDLERS.on(events.OverloadLevelChanged)
def _overload_level_changed(series: _WorkerSeries, event: events.OverloadLevelChanged) -> None:
    series.overload_level.set(event.level)


@HANDLERS.on(events.BytesHeld)
def _bytes_held(series: _WorkerSeries, event: events.BytesHeld) -> None:
    series.held_bytes.set(event.bytes)
    series.streams.set(event.streams)


@HANDLERS.on(events.PartitionsAssigned)
def _partitions_assigned(series: _WorkerSeries, event: events.PartitionsAssigned) -> None:
    series.owned.update(event.numbers)
    series.partitions.set(len(series.owned))


@HANDLERS.on(events.PartitionsHandedOver)
def _partitions_handed_over(series: _WorkerSeries, event: events.PartitionsHandedOver) -> None:
    series.hand_over.observe(event.took_ms / _MS_PER_S)
    series.hand_over_left.inc(event.left)


@HANDLERS.on(events.PartitionsRevoked)
def _partitions_revoked(series: _WorkerSeries, event: events.PartitionsRevoked) -> None:
    series.owned.difference_update(event.numbers)
    series.partitions.set(len(series.owned))


@HANDLERS.on(events.PartitionRestarted)
def _partition_restarted(series: _WorkerSeries, _: events.PartitionRestarted) -> None:
    series.partitions_restarted.inc()


@HANDLERS.on(events.SpansHandled)
def _spans_handled(series: _WorkerSeries, event: events.SpansHandled) -> None:
    series.spans.labels(event.outcome).inc(event.spans)


@HANDLERS.on(events.ModelFailed)
def _model_failed(series: _WorkerSeries, _: events.ModelFailed) -> None:
    series.model_failures.inc()


@HANDLERS.on(events.RetryScheduled)
def _retry_scheduled(series: _WorkerSeries, event: events.RetryScheduled) -> None:
    series.retries.labels(event.what).inc()


@HANDLERS.on(events.CommitRefused)
def _commit_refused(series: _WorkerSeries, _: events.CommitRefused) -> None:
    series.commits_refused.inc()


@HANDLERS.on(events.StreamForgotten)
def _stream_forgotten(series: _WorkerSeries, _: events.StreamForgotten) -> None:
    series.streams_forgotten.inc()


# --- models -----------------------------------------------------------------------------------------------------------


@HANDLERS.on(events.ModelSwapped)
def _model_swapped(series: _WorkerSeries, event: events.ModelSwapped) -> None:
    series.model_swaps.labels(event.role).inc()


@HANDLERS.on(events.ModelRefused)
def _model_refused(series: _WorkerSeries, event: events.ModelRefused) -> None:
    series.model_refusals.labels(event.role).inc()


@HANDLERS.on(events.ShadowInferred)
def _shadow_judged(series: _WorkerSeries, event: events.ShadowInferred) -> None:
    series.shadow_windows.labels("judged").inc(event.windows)
    series.shadow_differed.inc(event.differed)
    for distance in event.distances:
        series.shadow_distance.observe(distance)


@HANDLERS.on(events.ShadowSkipped)
def _shadow_skipped(series: _WorkerSeries, event: events.ShadowSkipped) -> None:
    series.shadow_windows.labels("skipped").inc(event.windows)


@HANDLERS.on(events.ShadowFailed)
def _shadow_failed(series: _WorkerSeries, event: events.ShadowFailed) -> None:
    series.shadow_windows.labels("failed").inc(event.windows)


@HANDLERS.on(events.PromptHeadsCompared)
def _prompt_heads_compared(series: _WorkerSeries, event: events.PromptHeadsCompared) -> None:
    series.shadow_matches.inc(event.matches)
    series.shadow_matches_differed.inc(event.differed)
