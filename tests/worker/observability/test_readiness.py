"""The hook that derives readiness from retries."""

from __future__ import annotations

from triptych.service.health import Health
from triptych.worker.observability.events import (
    BatchUnreadable,
    PartitionsAssigned,
    RetryScheduled,
    StageCompleted,
    StreamForgotten,
)
from triptych.worker.observability.readiness import STARTING, ReadinessHook


def ready_health() -> Health:
    """Return the health of a worker that has started."""
    health = Health(starting=STARTING)
    for name in STARTING:
        health.set_ready(name, ready=True)
    return health


def test_a_worker_is_ready_once_its_model_is_warm_and_partitions_are_assigned() -> None:
    """Until then readiness names the unmet conditions."""
    health = Health(starting=STARTING)
    assert list(health.readiness().missing) == ["model_warm", "partitions_assigned"]
    for name in STARTING:
        assert not health.readiness().ok
        health.set_ready(name, ready=True)
    assert health.readiness().ok


def test_a_worker_is_not_ready_while_a_server_is_unavailable() -> None:
    """The reason contains the error. Only the end of a stage that needs this server clears it."""
    health = ready_health()
    hook = ReadinessHook(health)
    hook(RetryScheduled("redis", "connection refused", 4, 0.5))
    assert "connection refused" in health.readiness().missing["redis"]
    assert "4 attempts" in health.readiness().missing["redis"]
    hook(StageCompleted("publish", 1.0))
    hook(StageCompleted("infer", 1.0))
    hook(StreamForgotten("city"))
    assert not health.readiness().ok
    hook(StageCompleted("store", 1.0))
    assert health.readiness().ok


def test_a_publication_or_a_commit_shows_that_kafka_is_available() -> None:
    """Whichever completes first."""
    for stage in ("publish", "commit"):
        health = ready_health()
        hook = ReadinessHook(health)
        hook(RetryScheduled("kafka", "no broker", 1, 0.1))
        assert not health.readiness().ok
        hook(StageCompleted(stage, 1.0))
        assert health.readiness().ok


def test_a_worker_is_not_ready_while_a_partition_is_stopped() -> None:
    """A batch that is skipped does not matter; one that stops its partition is named, until it is assigned again."""
    health = ready_health()
    hook = ReadinessHook(health)
    hook(BatchUnreadable("triptych.audio", 2, 7, 9, "crc", stopped=False))
    assert health.readiness().ok
    hook(BatchUnreadable("triptych.audio", 2, 7, 9, "crc", stopped=True))
    assert "triptych.audio 2 stopped at offset 7: crc" in health.readiness().missing["partitions_readable"]
    hook(PartitionsAssigned((2,)))
    assert health.readiness().ok
