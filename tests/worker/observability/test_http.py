"""Metrics, health and readiness over real HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import get_args
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from triptych.schemas.errors import UsageError
from triptych.schemas.reasons import DeadReason
from triptych.service.health import Health
from triptych.service.status import StatusServer
from triptych.worker.observability.events import (
    BatchInferred,
    BytesHeld,
    CommitRefused,
    EffortChanged,
    Event,
    ItemLate,
    ItemsShed,
    LagMeasured,
    ModelFailed,
    ModelRefused,
    ModelSwapped,
    OffsetsOutOfRange,
    PartitionsAssigned,
    PartitionsHandedOver,
    PartitionsRevoked,
    RecordDeadLettered,
    RecordDropped,
    RecordsRead,
    Restored,
    ResultsPublished,
    ResultsReplayed,
    RetryScheduled,
    RevisionStateEvicted,
    ShadowFailed,
    ShadowJudged,
    ShadowSkipped,
    Stage,
    StageTook,
    Stopped,
    StreamForgotten,
    SyncMeasured,
    WindowClosed,
    WindowRevised,
    WorkBegunAgain,
)
from triptych.worker.observability.metrics import Metrics
from triptych.worker.observability.readiness import STARTING


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    content_type: str
    body: str


@dataclass(frozen=True, slots=True)
class Worker:
    """The parts of a worker that are seen from outside."""

    metrics: Metrics
    health: Health
    server: StatusServer

    def ask(self, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
        """Send one request."""
        connection = HTTPConnection(urlsplit(self.server.url).netloc, timeout=10)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers["Content-Type"], response.read().decode())
        finally:
            connection.close()

    def sample(self, name: str, **labels: str) -> float:
        """Return one value as a scrape reads it."""
        for family in text_string_to_metric_families(self.ask("/metrics").body):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return float(sample.value)
        raise AssertionError(f"no sample {name} {labels}")


@pytest.fixture
def worker() -> Iterator[Worker]:
    """Serve on a free port."""
    metrics, health = Metrics(), Health(starting=STARTING)
    with StatusServer("127.0.0.1", 0, metrics.registry, health) as server:
        yield Worker(metrics, health, server)


def test_health_is_200_with_a_beating_loop_and_503_with_the_reason_without() -> None:
    """The body says what is wrong, for whoever reads the event of the restart."""
    health = Health(stall_after_s=-1)
    metrics = Metrics()
    with StatusServer("127.0.0.1", 0, metrics.registry, health) as server:
        asked = Worker(metrics, health, server)
        assert asked.ask("/healthz") == Answer(200, "application/json", '{"ok": true, "missing": {}}\n')
        health.beat()
        answer = asked.ask("/healthz")
        assert answer.status == 503
        assert "loop" in json.loads(answer.body)["missing"]


def test_readiness_names_what_is_missing(worker: Worker) -> None:
    """503 until everything holds."""
    answer = worker.ask("/readyz")
    assert answer.status == 503
    assert json.loads(answer.body) == {"ok": False, "missing": STARTING}
    for name in STARTING:
        worker.health.set_ready(name, ready=True)
    assert worker.ask("/readyz") == Answer(200, "application/json", '{"ok": true, "missing": {}}\n')


def test_a_path_that_is_not_served_says_which_are(worker: Worker) -> None:
    """404; the query of one that is served is ignored."""
    answer = worker.ask("/")
    assert answer.status == 404
    assert "/readyz" in answer.body
    assert worker.ask("/healthz?verbose=1").status == 200


def test_head_has_no_body_and_other_methods_are_refused(worker: Worker) -> None:
    """Probes use both."""
    assert worker.ask("/healthz", "HEAD") == Answer(200, "application/json", "")
    assert worker.ask("/healthz", "POST").status == 501


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/elsewhere"])
def test_with_a_token_only_who_carries_it_is_answered(path: str) -> None:
    """Nothing at all is told to others, and no error repeats what they sent."""
    metrics, health = Metrics(), Health()
    with StatusServer("127.0.0.1", 0, metrics.registry, health, token="s3cret") as server:  # noqa: S106 - the example
        asked = Worker(metrics, health, server)
        for carried in (None, "Bearer wrong", "Bearer s3cre", "Basic s3cret", "s3cret", "Bearer \xff"):
            answer = asked.ask(path, headers={} if carried is None else {"Authorization": carried})
            assert (answer.status, answer.content_type) == (401, "application/json")
            assert "s3cre" not in answer.body
        assert asked.ask(path, headers={"Authorization": "Bearer s3cret"}).status in {200, 503, 404}


def test_every_series_is_there_before_the_first_event(worker: Worker) -> None:
    """A rate is then known from the first event on."""
    assert worker.ask("/metrics").content_type.startswith("text/plain")
    for modality in ("video", "audio", "subtitles"):
        for name in ("records", "record_bytes", "late", "late_revising", "repeats", "redriven", "shed"):
            assert worker.sample(f"triptych_{name}_total", modality=modality) == 0
        for reason in DeadReason:
            assert worker.sample("triptych_dead_total", modality=modality, reason=reason) == 0
    for closed_by in ("progress", "end", "idle", "quiet", "bound"):
        assert worker.sample("triptych_windows_total", closed_by=closed_by) == 0
    for what in ("kafka", "redis"):
        assert worker.sample("triptych_retries_total", what=what) == 0
    for stage in get_args(Stage):
        assert worker.sample("triptych_stage_seconds_count", stage=stage) == 0
    assert worker.sample("process_resident_memory_bytes") > 0


@pytest.mark.parametrize(
    ("event", "name", "labels", "value"),
    [
        (RecordsRead("video", 10, 12_345), "triptych_records_total", {"modality": "video"}, 10),
        (RecordsRead("video", 10, 12_345), "triptych_record_bytes_total", {"modality": "video"}, 12_345),
        (WindowClosed("city", 0, 1, "idle", 4, 0), "triptych_windows_total", {"closed_by": "idle"}, 1),
        (WindowClosed("city", 0, 1, "idle", 4, 0), "triptych_windows_skipped_total", {}, 4),
        (ItemLate("city", "audio", "s", 0, 1), "triptych_late_total", {"modality": "audio"}, 1),
        (RecordDropped("city", "audio", "s", "repeat"), "triptych_repeats_total", {"modality": "audio"}, 1),
        (RecordDropped("city", "audio", "s", "left_session"), "triptych_left_session_total", {}, 1),
        (RecordDropped("city", "audio", "s", "redriven"), "triptych_redriven_total", {"modality": "audio"}, 1),
        (RecordDropped("city", "audio", "s", "other_pipeline"), "triptych_left_session_total", {}, 0),
        (ItemLate("city", "video", "s", 0, 1, redriven=True), "triptych_redriven_total", {"modality": "video"}, 1),
        (ItemLate("city", "video", "s", 0, 1, redriven=True), "triptych_late_total", {"modality": "video"}, 1),
        (ItemLate("city", "video", "s", 0, 1), "triptych_late_revising_total", {"modality": "video"}, 0),
        (ItemLate("city", "video", "s", 0, 1, revises=True), "triptych_late_revising_total", {"modality": "video"}, 1),
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
        (StageTook("infer", 20.0), "triptych_stage_seconds_sum", {"stage": "infer"}, 0.02),
        (ResultsPublished(8, 7), "triptych_results_total", {}, 8),
        (ResultsReplayed(9, 0), "triptych_replayed_total", {}, 9),
        (SyncMeasured("city", -50.0, None), "triptych_av_offset_seconds_bucket", {"le": "-0.045"}, 1),
        (SyncMeasured("city", 40.0, None), "triptych_av_offset_seconds_bucket", {"le": "0.0"}, 0),
        (SyncMeasured("city", None, 25.0), "triptych_drift_ppm_count", {}, 1),
        (SyncMeasured("city", None, 25.0), "triptych_av_offset_seconds_count", {}, 0),
        (ItemsShed("city", {"video": 3, "audio": 0}, unasked=False), "triptych_shed_total", {"modality": "video"}, 3),
        (ItemsShed("city", {"video": 3, "audio": 0}, unasked=False), "triptych_windows_unasked_total", {}, 0),
        (ItemsShed("city", {"audio": 4}, unasked=True), "triptych_shed_total", {"modality": "audio"}, 4),
        (ItemsShed("city", {"audio": 4}, unasked=True), "triptych_windows_unasked_total", {}, 1),
        (EffortChanged(rung=2, frames=1, asks_model=True), "triptych_overload_rung", {}, 2),
        (OffsetsOutOfRange("t", 0, 1, 2), "triptych_offsets_gone_total", {}, 1),
        (LagMeasured(1.5), "triptych_lag_seconds", {}, 1.5),
        (BytesHeld(4_096, 3), "triptych_held_bytes", {}, 4_096),
        (BytesHeld(4_096, 3), "triptych_streams", {}, 3),
        (ModelFailed("city", 0, "x"), "triptych_model_failures_total", {}, 1),
        (RetryScheduled("redis", "x", 1, 0.1), "triptych_retries_total", {"what": "redis"}, 1),
        (CommitRefused("x"), "triptych_commits_refused_total", {}, 1),
        (PartitionsAssigned((0, 4)), "triptych_partitions", {}, 2),
        (WorkBegunAgain(4), "triptych_work_begun_again_total", {}, 1),
        (PartitionsHandedOver((0, 4), left=3, took_ms=1.0), "triptych_hand_over_left_total", {}, 3),
        (PartitionsHandedOver((0, 4), left=0, took_ms=1.0), "triptych_hand_over_seconds_count", {}, 1),
        (StreamForgotten("city"), "triptych_streams_forgotten_total", {}, 1),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_event_is_counted(worker: Worker, event: Event, name: str, labels: dict[str, str], value: float) -> None:
    """Where a scrape finds it."""
    worker.metrics(event)
    assert worker.sample(name, **labels) == value


def test_partitions_that_leave_are_no_longer_counted(worker: Worker) -> None:
    """Whether revoked or lost."""
    worker.metrics(PartitionsAssigned((0, 1, 2)))
    worker.metrics(PartitionsRevoked((1,), lost=False))
    worker.metrics(PartitionsRevoked((1, 2), lost=True))
    assert worker.sample("triptych_partitions") == 1


def test_no_label_ever_comes_from_outside(worker: Worker) -> None:
    """A hundred streams and errors add no series."""
    before = worker.ask("/metrics").body.count("triptych_")
    for at in range(100):
        worker.metrics(ItemLate(f"stream-{at}", "video", f"session-{at}", 0, 1))
        worker.metrics(RecordDeadLettered("t", 0, at, "video", f"reason {at}", DeadReason.FUTURE))
        worker.metrics(Restored(at, 1, 1))
        worker.metrics(Stopped((f"stream-{at}",)))
    assert worker.ask("/metrics").body.count("triptych_") == before


def test_two_workers_in_one_process_count_apart() -> None:
    """Tests and the demo run several."""
    one, other = Metrics(), Metrics()
    one(StreamForgotten("city"))
    assert one.registry.get_sample_value("triptych_streams_forgotten_total") == 1
    assert other.registry.get_sample_value("triptych_streams_forgotten_total") == 0


def test_models_and_their_shadow_are_counted() -> None:
    """Each window of the shadow has one outcome."""
    metrics = Metrics()
    for event in (
        ModelSwapped("shadow", "moods", "2", "b" * 64, None, 12.3),
        ModelRefused("model", "moods.json", "damaged"),
        ShadowJudged(windows=8, differed=3, distances=(0.1, 0.5)),
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


def test_openmetrics_is_served_to_those_who_ask_for_it(worker: Worker) -> None:
    """Prometheus does."""
    answer = worker.ask("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.content_type.startswith("application/openmetrics-text")
    assert answer.body.endswith("# EOF\n")


def test_a_port_that_is_taken_is_the_users_to_change() -> None:
    """The error names the address and the settings."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = StatusServer("127.0.0.1", port, Metrics().registry, Health())
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}.*http.port"), server:
            pass


def test_leaving_the_context_frees_the_port() -> None:
    """A client that keeps its connection open does not hold up the end."""
    metrics = Metrics()
    with (
        capture_logs(),
        StatusServer("127.0.0.1", 0, metrics.registry, Health()) as server,
    ):
        address = urlsplit(server.url)
        idle = socket.create_connection((address.hostname or "", address.port or 0))
    with idle, pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname or "", address.port or 0))
