"""A hook that counts what happens, for Prometheus. Labels come from closed sets: never a stream, never an error."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from triptych.schemas.names import MODALITIES
from triptych.schemas.reasons import DeadReason
from triptych.schemas.results import ClosedBy
from triptych.worker.observability import events
from triptych.worker.observability.events import Event, ModelRole, Service, Stage

_BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64)
_SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# From what nobody notices to what everybody does, by ITU-R BT.1359: sound may be 45 ms early or 125 ms late.
_OFFSET_BUCKETS: Final = (-1, -0.5, -0.2, -0.09, -0.045, 0, 0.045, 0.125, 0.185, 0.5, 1)
_DISTANCE_BUCKETS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1)
_DRIFT_BUCKETS: Final = (-10_000, -1_000, -300, -100, -30, 0, 30, 100, 300, 1_000, 10_000)
_MS_PER_S: Final = 1_000


class Metrics:
    """Counts events in a registry of its own."""

    def __init__(self) -> None:
        """Begin with every series at zero, so that a rate is known from the first event on."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._make_data_metrics()
        self._make_work_metrics()
        self._make_model_metrics()

    def _make_data_metrics(self) -> None:
        self._records = self._by("triptych_records", "Records read from the input topics.", modality=MODALITIES)
        self._record_bytes = self._by(
            "triptych_record_bytes", "Bytes read: keys, values, headers.", modality=MODALITIES
        )
        self._windows = self._by("triptych_windows", "Windows closed.", closed_by=get_args(ClosedBy))
        self._skipped = self._counter("triptych_windows_skipped", "Empty windows that were not published.")
        self._revisions = self._counter("triptych_revisions", "Windows issued again with late items.")
        self._let_go = self._counter(
            "triptych_windows_let_go", "Closed windows that bytes, not lateness, made impossible to revise."
        )
        self._late_revising = self._by(
            "triptych_late_revising", "Of the late media, what had a window issued again.", modality=MODALITIES
        )
        self._late = self._by("triptych_late", "Media that came after its windows had closed.", modality=MODALITIES)
        self._repeats = self._by("triptych_repeats", "Records that a producer sent twice.", modality=MODALITIES)
        self._left = self._counter("triptych_left_session", "Records of sessions that their track has left.")
        self._redriven = self._by("triptych_redriven", "Records put back from the dead letters.", modality=MODALITIES)
        self._dead = self._by(
            "triptych_dead", "Records that went to the dead letters.", modality=MODALITIES, reason=tuple(DeadReason)
        )
        self._results = self._counter("triptych_results", "Results published.")
        self._replayed = self._counter("triptych_replayed", "Results offered to the store again after an assignment.")
        self._offsets = self._histogram(
            "triptych_av_offset_seconds", "Sound behind picture, of each result that knows.", _OFFSET_BUCKETS
        )
        self._drifts = self._histogram(
            "triptych_drift_ppm", "A feed's clock against the wall clock, of each result that knows.", _DRIFT_BUCKETS
        )
        self._shed = self._by("triptych_shed", "Items that the model was not shown: overload.", modality=MODALITIES)
        self._unasked = self._counter("triptych_windows_unasked", "Windows for which it was not asked: overload.")
        self._gone = self._counter("triptych_offsets_gone", "Reads of offsets that retention had deleted.")

    def _make_work_metrics(self) -> None:
        self._batch_windows = self._histogram("triptych_batch_windows", "Windows in a batch.", _BATCH_BUCKETS)
        self._stages = Histogram(
            "triptych_stage_seconds", "Time in a stage.", ["stage"], buckets=_SECONDS_BUCKETS, registry=self.registry
        )
        for stage in get_args(Stage):
            self._stages.labels(stage=stage)
        self._lag = self._gauge("triptych_lag_seconds", "Now, less the arrival time that has been worked through.")
        self._rung = self._gauge("triptych_overload_rung", "How much less is done for a window: 0 is all.")
        self._held_bytes = self._gauge("triptych_held_bytes", "Bytes of encoded media that are held.")
        self._streams = self._gauge("triptych_streams", "Streams that are known.")
        self._partitions = self._gauge("triptych_partitions", "Partition numbers that this worker owns.")
        self._owned: set[int] = set()
        self._hand_overs = self._histogram(
            "triptych_hand_over_seconds",
            "Time to finish what was in flight of partition numbers that the group asked back.",
            _SECONDS_BUCKETS,
        )
        self._left_over = self._counter("triptych_hand_over_left", "Results left to the next owner at the limit.")
        self._begun_again = self._counter("triptych_work_begun_again", "Partition numbers restored to work on again.")
        self._model_failures = self._counter("triptych_model_failures", "Windows on which the model failed.")
        self._retries = self._by("triptych_retries", "Calls to be made again.", what=get_args(Service))
        self._commits_refused = self._counter("triptych_commits_refused", "Commits that came after a rebalance.")
        self._forgotten = self._counter("triptych_streams_forgotten", "Streams that fell quiet and were forgotten.")

    def _make_model_metrics(self) -> None:
        self._swaps = self._by("triptych_model_swaps", "Models taken into service.", role=get_args(ModelRole))
        self._refusals = self._by("triptych_model_refusals", "Models that were not taken.", role=get_args(ModelRole))
        self._shadowed = self._by(
            "triptych_shadow_windows", "Windows by what came of the shadow.", outcome=("judged", "skipped", "failed")
        )
        self._differed = self._counter("triptych_shadow_differed", "Windows with another best label by the shadow.")
        self._distances = self._histogram(
            "triptych_shadow_distance", "Total variation between model and shadow, by window.", _DISTANCE_BUCKETS
        )

    def __call__(self, event: Event) -> None:
        """Count one event."""
        self._count_data(event)
        self._count_results(event)
        self._count_work(event)
        self._count_trouble(event)
        self._count_models(event)

    def _count_data(self, event: Event) -> None:
        match event:
            case events.RecordsRead(modality=modality, records=records, bytes=size):
                self._records.labels(modality).inc(records)
                self._record_bytes.labels(modality).inc(size)
            case events.WindowClosed(closed_by=closed_by, skipped=skipped):
                self._windows.labels(closed_by).inc()
                self._skipped.inc(skipped)
            case events.ItemLate(modality=modality, redriven=redriven, revises=revises):
                self._late.labels(modality).inc()
                self._redriven.labels(modality).inc(redriven)
                self._late_revising.labels(modality).inc(revises)
            case events.RecordDropped(modality=modality, reason="repeat"):
                self._repeats.labels(modality).inc()
            case events.RecordDropped(modality=modality, reason="redriven"):
                self._redriven.labels(modality).inc()
            case events.RecordDropped(reason="left_session"):
                self._left.inc()
            case events.RecordDeadLettered(modality=modality, code=code):
                self._dead.labels(modality, code).inc()
            case _:
                pass

    def _count_results(self, event: Event) -> None:
        match event:
            case events.ResultsPublished(results=results):
                self._results.inc(results)
            case events.ResultsReplayed(results=results):
                self._replayed.inc(results)
            case events.WindowRevised():
                self._revisions.inc()
            case events.RevisionStateEvicted():
                self._let_go.inc()
            case events.ItemsShed(items=items, unasked=unasked):
                for modality, count in items.items():
                    self._shed.labels(modality).inc(count)
                self._unasked.inc(unasked)
            case events.SyncMeasured(offset_ms=offset_ms, drift_ppm=drift_ppm):
                if offset_ms is not None:
                    self._offsets.observe(offset_ms / _MS_PER_S)
                if drift_ppm is not None:
                    self._drifts.observe(drift_ppm)
            case _:
                pass

    def _count_work(self, event: Event) -> None:
        match event:
            case events.BatchInferred(windows=windows):
                self._batch_windows.observe(windows)
            case events.StageTook(stage=stage, took_ms=took_ms):
                self._stages.labels(stage).observe(took_ms / _MS_PER_S)
            case events.LagMeasured(seconds=seconds):
                self._lag.set(seconds)
            case events.EffortChanged(rung=rung):
                self._rung.set(rung)
            case events.BytesHeld(bytes=size, streams=streams):
                self._held_bytes.set(size)
                self._streams.set(streams)
            case events.PartitionsAssigned(numbers=numbers):
                self._owned.update(numbers)
                self._partitions.set(len(self._owned))
            case events.PartitionsHandedOver(left=left, took_ms=took_ms):
                self._hand_overs.observe(took_ms / _MS_PER_S)
                self._left_over.inc(left)
            case events.PartitionsRevoked(numbers=numbers):
                self._owned.difference_update(numbers)
                self._partitions.set(len(self._owned))
            case _:
                pass

    def _count_trouble(self, event: Event) -> None:
        match event:
            case events.OffsetsOutOfRange():
                self._gone.inc()
            case events.ModelFailed():
                self._model_failures.inc()
            case events.RetryScheduled(what=what):
                self._retries.labels(what).inc()
            case events.CommitRefused():
                self._commits_refused.inc()
            case events.WorkBegunAgain():
                self._begun_again.inc()
            case events.StreamForgotten():
                self._forgotten.inc()
            case _:
                pass

    def _count_models(self, event: Event) -> None:
        match event:
            case events.ModelSwapped(role=role):
                self._swaps.labels(role).inc()
            case events.ModelRefused(role=role):
                self._refusals.labels(role).inc()
            case events.ShadowJudged(windows=windows, differed=differed, distances=distances):
                self._shadowed.labels("judged").inc(windows)
                self._differed.inc(differed)
                for distance in distances:
                    self._distances.observe(distance)
            case events.ShadowSkipped(windows=windows):
                self._shadowed.labels("skipped").inc(windows)
            case events.ShadowFailed(windows=windows):
                self._shadowed.labels("failed").inc(windows)
            case _:
                pass

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(name, meaning, registry=self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(name, meaning, buckets=buckets, registry=self.registry)

    def _by(self, name: str, meaning: str, **labels: tuple[str, ...]) -> Counter:
        """Return a counter with labels, each combination of their values at zero."""
        counter = Counter(name, meaning, list(labels), registry=self.registry)
        for values in product(*labels.values()):
            counter.labels(*values)
        return counter
