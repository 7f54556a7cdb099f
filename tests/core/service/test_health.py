"""Liveness and readiness."""

from __future__ import annotations

from triptych.service.health import Health

SECOND = 1_000_000_000
STARTING = {"model_warm": "not loaded yet", "partitions_assigned": "none yet"}


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now_ns = 5 * SECOND

    def __call__(self) -> int:
        """Return the time."""
        return self.now_ns


def ready_health() -> Health:
    """Return the health of a program that meets all conditions."""
    health = Health(starting=STARTING)
    for name in STARTING:
        health.set_ready(name, ready=True)
    return health


def test_a_program_is_ready_once_all_conditions_are_met() -> None:
    """Until then readiness names the unmet conditions."""
    health = Health(starting=STARTING)
    assert list(health.readiness().missing) == ["model_warm", "partitions_assigned"]
    health.set_ready("model_warm", ready=True)
    assert list(health.readiness().missing) == ["partitions_assigned"]
    assert not health.readiness().ok
    health.set_ready("partitions_assigned", ready=True)
    assert health.readiness().ok


def test_a_condition_may_be_unmet_for_a_while() -> None:
    """For example during a rebalance."""
    health = ready_health()
    health.set_ready("partitions_assigned", ready=False, reason="waiting for the group's assignment")
    assert health.readiness().missing == {"partitions_assigned": "waiting for the group's assignment"}
    health.set_ready("partitions_assigned", ready=True)
    assert health.readiness().ok


def test_a_program_is_alive_while_its_loop_beats() -> None:
    """Without a heartbeat for longer than the limit the loop counts as stuck."""
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


def test_the_first_heartbeat_has_its_own_limit() -> None:
    """A worker loads and warms up its model before the first iteration."""
    clock = Clock()
    health = Health(stall_after_s=30, start_limit_s=300, clock_ns=clock)
    clock.now_ns += 300 * SECOND
    assert health.liveness().ok
    clock.now_ns += 1
    assert "has not started" in health.liveness().missing["loop"]
