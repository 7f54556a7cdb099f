"""What `triptych alert --mqtt` is asked for. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from triptych.consumers.alerts.event_tracker import EventLimits
from triptych.consumers.alerts.mqtt.address import MqttAddress
from triptych.consumers.alerts.mqtt.sensors import SensorOptions
from triptych.schemas.errors import UsageError

_MOST_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """A broker, and the sensors of each feed.

    Attributes:
        address: where the broker is.
        name: the name of the rule's sensor; None: the rule.
        prompt_score: the score from which the sensor of a prompt is on; None: prompts have no sensors.
        people: whether there is a sensor for the number of people.
    """

    address: MqttAddress
    name: str | None = None
    prompt_score: float | None = None
    people: bool = False

    def __post_init__(self) -> None:
        """Raise `UsageError` for a name that cannot be shown."""
        name = self.name
        if name is not None and not (0 < len(name) <= _MOST_CHARACTERS and name.isprintable() and name.strip()):
            raise UsageError(f"--name: expected 1 to {_MOST_CHARACTERS} printable characters, got {name[:80]!r}")

    def sensors(self, limits: EventLimits) -> SensorOptions:
        """Return which sensors a feed has."""
        return SensorOptions(self.prompt_score, self.people, limits)
