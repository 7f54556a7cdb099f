"""Alive and ready, and why not."""

from __future__ import annotations

from triptych.service.health import Health
from triptych.worker.observability.events import RetryScheduled, StageTook, StreamForgotten
from triptych.worker.observability.readiness import STARTING, ReadinessHook

SECOND = 1_000_000_000


class Clock:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_ns = 5 * SECOND

    def __call__(self) -> int:
        """Return where it stands."""
        return self.now_ns


def ready_health() -> Health:
    """Return the health of a worker that has started well."""
    health = Health(starting=STARTING)
    for name in STARTING:
        health.set_ready(name, ready=True)
    return health


def test_a_worker_is_ready_once_its_model_is_warm_and_partitions_are_assigned() -> None:
    """Until then the answer names what is missing."""
    health = Health(starting=STARTING)
    assert list(health.readiness().missing) == ["model_warm", "partitions_assigned"]
    health.set_ready("model_warm", ready=True)
    assert list(health.readiness().missing) == ["partitions_assigned"]
    assert not health.readiness().ok
    health.set_ready("partitions_assigned", ready=True)
    assert health.readiness().ok


def test_a_condition_may_fail_later_and_come_back() -> None:
    """A rebalance takes the partitions away for a while."""
    health = ready_health()
    health.set_ready("partitions_assigned", ready=False, reason="waiting for the group's assignment")
    assert health.readiness().missing == {"partitions_assigned": "waiting for the group's assignment"}
    health.set_ready("partitions_assigned", ready=True)
    assert health.readiness().ok


def test_a_worker_is_alive_while_its_loop_goes_round() -> None:
    """A loop that stands for too long is stuck, and the answer says for how long."""
    clock = Clock()
    health = Health(stall_after_s=30, clock_ns=clock)
    health.beat()
    clock.now_ns += 30 * SECOND
    assert health.liveness().ok
    clock.now_ns += 1
    assert not health.liveness().ok
    assert "30 s" in health.liveness().missing["loop"]
    health.beat()
    assert health.liveness().ok


def test_a_start_may_take_longer_than_a_turn_of_the_loop_but_not_for_ever() -> None:
    """Weights are read and the model is warmed before the loop begins."""
    clock = Clock()
    health = Health(stall_after_s=30, start_limit_s=300, clock_ns=clock)
    clock.now_ns += 300 * SECOND
    assert health.liveness().ok
    clock.now_ns += 1
    assert "has not begun" in health.liveness().missing["loop"]


def test_a_server_that_does_not_answer_makes_the_worker_unready_until_it_does() -> None:
    """The reason says which server and what it said; the other one changes nothing."""
    health = ready_health()
    hook = ReadinessHook(health)
    hook(RetryScheduled("redis", "connection refused", 4, 0.5))
    assert "connection refused" in health.readiness().missing["redis"]
    assert "4 times" in health.readiness().missing["redis"]
    hook(StageTook("publish", 1.0))
    hook(StageTook("infer", 1.0))
    hook(StreamForgotten("city"))
    assert not health.readiness().ok
    hook(StageTook("store", 1.0))
    assert health.readiness().ok


def test_either_a_publication_or_a_commit_shows_that_kafka_answers() -> None:
    """Whichever comes first after the retry."""
    for stage in ("publish", "commit"):
        health = ready_health()
        hook = ReadinessHook(health)
        hook(RetryScheduled("kafka", "no broker", 1, 0.1))
        assert not health.readiness().ok
        hook(StageTook(stage, 1.0))
        assert health.readiness().ok
