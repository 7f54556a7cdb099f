"""A hook that makes the worker unready while Kafka or Redis does not answer, and says why."""

from __future__ import annotations

from typing import Final

from triptych.service.health import Health
from triptych.worker.observability.events import Event, RetryScheduled, Service, Stage, StageTook

_PROVEN_BY: Final[dict[Stage, Service]] = {"publish": "kafka", "commit": "kafka", "ask": "kafka", "store": "redis"}
"""The stage whose end shows that a server answers again."""


STARTING: Final[dict[str, str]] = {
    "model_warm": "the model is not warm yet",
    "partitions_assigned": "no partitions were assigned yet",
}
"""Conditions that every worker has to meet, and what is said of them at first."""


class ReadinessHook:
    """Follows the retries of the worker; does not ask the servers anything itself."""

    def __init__(self, health: Health) -> None:
        """Tell `health`."""
        self._health = health

    def __call__(self, event: Event) -> None:
        """Take one event."""
        match event:
            case RetryScheduled(what=what, error=error, attempt=attempt):
                self._health.set_ready(what, ready=False, reason=f"does not answer ({attempt} times so far): {error}")
            case StageTook(stage=stage) if stage in _PROVEN_BY:
                self._health.set_ready(_PROVEN_BY[stage], ready=True)
            case _:
                pass
