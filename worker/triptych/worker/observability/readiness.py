"""A hook that marks the worker as not ready while Kafka or Redis is unavailable, or a partition is stopped."""

from __future__ import annotations

from typing import Final

from triptych.service.health import Health
from triptych.worker.observability.events import (
    BatchUnreadable,
    Event,
    PartitionsAssigned,
    RetryScheduled,
    Service,
    Stage,
    StageCompleted,
)

_SERVICE_OF: Final[dict[Stage, Service]] = {"publish": "kafka", "commit": "kafka", "ask": "kafka", "store": "redis"}
"""The server that must have answered for a stage to complete."""

_READABLE: Final = "partitions_readable"


STARTING: Final[dict[str, str]] = {
    "model_warm": "the model has not been loaded and warmed up yet",
    "partitions_assigned": "no partitions have been assigned yet",
}
"""The conditions for readiness, each with the reason reported until it is met."""


class ReadinessHook:
    """Derives readiness from the worker's retries. It sends no requests of its own."""

    def __init__(self, health: Health) -> None:
        """Update `health`."""
        self._health = health

    def __call__(self, event: Event) -> None:
        """Update the condition of the server that an event concerns."""
        match event:
            case RetryScheduled(what=what, error=error, attempt=attempt):
                self._health.set_ready(what, ready=False, reason=f"{attempt} attempts failed: {error}")
            case StageCompleted(stage=stage) if stage in _SERVICE_OF:
                self._health.set_ready(_SERVICE_OF[stage], ready=True)
            case BatchUnreadable(stopped=True):
                reason = f"{event.topic} {event.partition} stopped at offset {event.offset}: {event.reason}"
                self._health.set_ready(_READABLE, ready=False, reason=reason)
            case PartitionsAssigned():  # they are read again
                self._health.set_ready(_READABLE, ready=True)
            case _:
                pass
