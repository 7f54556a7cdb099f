"""Metrics of the worker, as a scrape reads them."""

from __future__ import annotations

from typing import get_args

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from triptych.schemas.reasons import DeadReason
from triptych.worker.observability.events import (
    BatchInferred,
    BatchUnreadable,
    BytesHeld,
    CommitRefused,
    Event,
    ItemsShed,
    LagMeasured,
    LateItemReceived,
    ModelFailed,
    ModelRefused,
    ModelSwapped,
    ObjectsDetected,
    OffsetsOutOfRange,
    OverloadLevelChanged,
    PartitionRestarted,
    PartitionRestored,
    PartitionsAssigned,
    PartitionsHandedOver,
    PartitionsRevoked,
    PromptHeadsCompared,
    RecordDeadLettered,
    RecordDropped,
    RecordsRead,
    ResultsPublished,
    ResultsReplayed,
    RetryScheduled,
    RevisionStateEvicted,
    ShadowFailed,
    ShadowInferred,
    ShadowSkipped,
    Stage,
    StageCompleted,
    Stopped,
    StreamForgotten,
    SyncMeasured,
    WindowClosed,
    WindowRevised,
)
from triptych.worker.observability.metrics import Metrics


def sample(metrics: Metrics, name: str, **labels: str) -> float:
    """Return one value from the text that a scrape reads."""
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for found in family.samples:
            if found.name == name and found.labels == labels:
                return float(found.value)
    raise AssertionError(f"no sample {name} {labels}")


@pytest.fixture
def metrics() -> Metrics:
    """Metrics of a worker that has just started."""
    return Metrics()


def test_every_series_exists_before_the_first_event(metrics: Metrics) -> None:
    """Otherwise Prometheus could not compute a rate from the first event."""
    for modality in ("video", "audio", "subtitles"):
        for name in ("records", "record_bytes", "late", "late_revising", "repeats", "redriven", "shed"):
            assert sample(metrics, f"triptych_{name}_total", modality=modality) == 0
        for reason in DeadReason:
            assert sample(metrics, "triptych_dead_total", modality=modality, reason=reason) == 0
    for closed_by in ("progress", "end", "idle", "quiet", "bound"):
        assert sample(metrics, "triptych_windows_total", closed_by=closed_by) == 0
    for what in ("kafka", "redis"):
        assert sample(metrics, "triptych_retries_total", what=what) == 0
    for stage in get_args(Stage):
        assert sample(metrics, "triptych_stage_seconds_count", stage=stage) == 0
    assert sample(metrics, "process_resident_memory_bytes") > 0


@pytest.mark.parametrize(
    ("event", "name", "labels", "value"),
    [
        (RecordsRead("video", 10, 12_345), "triptych_records_total", {"modality": "video"}, 10),
        (RecordsRead("video", 10, 12_345), "triptych_record_bytes_total", {"modality": "video"}, 12_345),
        (WindowClosed("city", 0, 1, "idle", 4, 0), "triptych_windows_total", {"closed_by": "idle"}, 1),
        (WindowClosed("city", 0, 1, "idle", 4, 0), "triptych_windows_skipped_total", {}, 4),
        (LateItemReceived("city", "audio", "s", 0, 1), "triptych_late_total", {"modality": "audio"}, 1),
        (RecordDropped("city", "audio", "s", "repeat"), "triptych_repeats_total", {"modality": "audio"}, 1),
        (RecordDropped("city", "audio", "s", "left_session"), "triptych_left_session_total", {}, 1),
        (RecordDropped("city", "audio", "s", "redriven"), "triptych_redriven_total", {"modality": "audio"}, 1),
        (RecordDropped("city", "audio", "s", "other_pipeline"), "triptych_left_session_total", {}, 0),
        (
            LateItemReceived("city", "video", "s", 0, 1, redriven=True),
            "triptych_redriven_total",
            {"modality": "video"},
            1,
        ),
        (LateItemReceived("city", "video", "s", 0, 1, redriven=True), "triptych_late_total", {"modality": "video"}, 1),
        (LateItemReceived("city", "video", "s", 0, 1), "triptych_late_revising_total", {"modality": "video"}, 0),
        (
            LateItemReceived("city", "video", "s", 0, 1, revises=True),
            "triptych_late_revising_total",
            {"modality": "video"},
            1,
        ),
        (WindowRevised("city", 0, 1, 2, 3), "triptych_revisions_total", {}, 1),
        (RevisionStateEvicted("city", 0, 1), "triptych_windows_let_go_total", {}, 1),
        (
            RecordDeadLettered("t", 0, 1, "subtitles", "why", DeadReason.NOT_UTF8),
            "triptych_dead_total",
            {"modality": "subtitles", "reason": "not_utf8"},
            1,
        ),
        (BatchInferred(5, 20.0), "triptych_batch_windows_sum", {}, 5),
        (BatchInferred(5, 20.0), "triptych_batch_windows_count", {}, 1),
        (StageCompleted("infer", 20.0), "triptych_stage_seconds_sum", {"stage": "infer"}, 0.02),
        (ResultsPublished(8, 7), "triptych_results_total", {}, 8),
        (ResultsReplayed(9, 0), "triptych_replayed_total", {}, 9),
        (SyncMeasured("city", -50.0, None), "triptych_av_offset_seconds_bucket", {"le": "-0.045"}, 1),
        (SyncMeasured("city", 40.0, None), "triptych_av_offset_seconds_bucket", {"le": "0.0"}, 0),
        (SyncMeasured("city", None, 25.0), "triptych_drift_ppm_count", {}, 1),
        (SyncMeasured("city", None, 25.0), "triptych_av_offset_seconds_count", {}, 0),
        (
            ItemsShed("city", {"video": 3, "audio": 0}, model_skipped=False),
            "triptych_shed_total",
            {"modality": "video"},
            3,
        ),
        (ItemsShed("city", {"video": 3, "audio": 0}, model_skipped=False), "triptych_windows_unasked_total", {}, 0),
        (ItemsShed("city", {}, model_skipped=False, pictures=2), "triptych_shed_pictures_total", {}, 2),
        (ObjectsDetected("city", {"car": 2, "okapi": 1}), "triptych_detections_total", {"label": "car"}, 2),
        (ObjectsDetected("city", {"okapi": 1, "kiwi": 2}), "triptych_detections_total", {"label": "other"}, 3),
        (ItemsShed("city", {"audio": 4}, model_skipped=True), "triptych_shed_total", {"modality": "audio"}, 4),
        (ItemsShed("city", {"audio": 4}, model_skipped=True), "triptych_windows_unasked_total", {}, 1),
        (OverloadLevelChanged(level=2, frames=1, asks_model=True), "triptych_overload_rung", {}, 2),
        (OffsetsOutOfRange("t", 0, 1, 2), "triptych_offsets_gone_total", {}, 1),
        (
            BatchUnreadable("t", 0, 5, 9, "crc", stopped=False),
            "triptych_unreadable_batches_total",
            {"action": "skipped"},
            1,
        ),
        (BatchUnreadable("t", 0, 5, 9, "crc", stopped=False), "triptych_unreadable_offsets_total", {}, 4),
        (BatchUnreadable("t", 0, 5, 9, "crc", stopped=True), "triptych_unreadable_offsets_total", {}, 0),
        (LagMeasured(1.5), "triptych_lag_seconds", {}, 1.5),
        (BytesHeld(4_096, 3), "triptych_held_bytes", {}, 4_096),
        (BytesHeld(4_096, 3), "triptych_streams", {}, 3),
        (ModelFailed("city", 0, 1, "x"), "triptych_model_failures_total", {}, 1),
        (RetryScheduled("redis", "x", 1, 0.1), "triptych_retries_total", {"what": "redis"}, 1),
        (CommitRefused("x"), "triptych_commits_refused_total", {}, 1),
        (PromptHeadsCompared(3, 1), "triptych_shadow_matches_total", {}, 3),
        (PromptHeadsCompared(3, 1), "triptych_shadow_matches_differed_total", {}, 1),
        (PartitionsAssigned((0, 4)), "triptych_partitions", {}, 2),
        (PartitionRestarted(4), "triptych_work_begun_again_total", {}, 1),
        (PartitionsHandedOver((0, 4), left=3, took_ms=1.0), "triptych_hand_over_left_total", {}, 3),
        (PartitionsHandedOver((0, 4), left=0, took_ms=1.0), "triptych_hand_over_seconds_count", {}, 1),
        (StreamForgotten("city"), "triptych_streams_forgotten_total", {}, 1),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_event_is_counted(metrics: Metrics, event: Event, name: str, labels: dict[str, str], value: float) -> None:
    """In the series with this name and these labels."""
    metrics(event)
    assert sample(metrics, name, **labels) == value


def test_revoked_and_lost_partitions_are_not_counted(metrics: Metrics) -> None:
    """The gauge counts the partitions that are owned now."""
    metrics(PartitionsAssigned((0, 1, 2)))
    metrics(PartitionsRevoked((1,), lost=False))
    metrics(PartitionsRevoked((1, 2), lost=True))
    assert sample(metrics, "triptych_partitions") == 1


def test_label_values_come_from_closed_sets(metrics: Metrics) -> None:
    """A hundred streams and errors add no series."""
    before = generate_latest(metrics.registry).decode().count("triptych_")
    for at in range(100):
        metrics(LateItemReceived(f"stream-{at}", "video", f"session-{at}", 0, 1))
        metrics(RecordDeadLettered("t", 0, at, "video", f"reason {at}", DeadReason.FUTURE))
        metrics(PartitionRestored(at, 1, 1))
        metrics(Stopped((f"stream-{at}",)))
    assert generate_latest(metrics.registry).decode().count("triptych_") == before


def test_two_workers_in_one_process_count_separately() -> None:
    """Tests and the demo run several."""
    one, other = Metrics(), Metrics()
    one(StreamForgotten("city"))
    assert one.registry.get_sample_value("triptych_streams_forgotten_total") == 1
    assert other.registry.get_sample_value("triptych_streams_forgotten_total") == 0


def test_models_and_shadows_are_counted(metrics: Metrics) -> None:
    """Each window of the shadow has one outcome."""
    for event in (
        ModelSwapped("shadow", "moods", "2", "b" * 64, None, 12.3),
        ModelRefused("model", "moods.json", "damaged"),
        ShadowInferred(windows=8, differed=3, distances=(0.1, 0.5)),
        ShadowSkipped(windows=4),
        ShadowFailed(windows=2, error="x", given_up=True),
    ):
        metrics(event)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"triptych_{name}", labels)

    assert (value("model_swaps_total", role="shadow"), value("model_swaps_total", role="model")) == (1, 0)
    assert value("model_refusals_total", role="model") == 1
    outcomes = {name: value("shadow_windows_total", outcome=name) for name in ("judged", "skipped", "failed")}
    assert outcomes == {"judged": 8, "skipped": 4, "failed": 2}
    assert value("shadow_differed_total") == 3
    assert (value("shadow_distance_count"), value("shadow_distance_sum")) == (2, 0.6)
