"""The topics of `triptych alert --mqtt`, and the documents on them. No I/O.

    PREFIX/ALERT/status           online or offline (retained; the last will)
    PREFIX/ALERT/FEED/status      online, or offline while the feed has no results (retained)
    PREFIX/ALERT/FEED/state       the states of all sensors of the feed (retained)
    PREFIX/ALERT/FEED/alert       each alert

The configurations are those of MQTT discovery by Home Assistant, one for each sensor (`SENSOR/config`), because an
empty retained message removes such a sensor: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from triptych.consumers.alerts.mqtt.address import digested_id, object_id
from triptych.consumers.alerts.mqtt.sensors import FeedSensors
from triptych.consumers.alerts.webhook import WebhookMessage

ONLINE: Final = b"online"
OFFLINE: Final = b"offline"

_STATES: Final = {True: "ON", False: "OFF"}
_DEVICE_CLASSES: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("occupancy", frozenset({"people", "faces"})),
    ("sound", frozenset({"speech", "loudness", "sound"})),
    ("problem", frozenset({"quality", "dead", "lag", "video", "audio", "subtitles", "skipped", "closed_by"})),
)


def device_class_of(names: Iterable[str]) -> str | None:
    """Return the class of a binary sensor for a rule that uses these names, if one fits all of them."""
    used = frozenset(names)
    return next((found for found, fitting in _DEVICE_CLASSES if used and used <= fitting), None)


@dataclass(frozen=True, slots=True)
class AlertTopics:
    """The topics and documents of one alert.

    Attributes:
        prefix: the first levels of all topics.
        discovery_prefix: where Home Assistant looks for configurations; empty: there are none.
        pipeline: the pipeline's name.
        name: the name of the rule. Sensors keep their identity while it stays the same.
        rule_names: the names that the rule uses.
        version: the version of this program.
    """

    prefix: str
    discovery_prefix: str
    pipeline: str
    name: str
    rule_names: frozenset[str]
    version: str

    @property
    def alert_id(self) -> str:
        """What tells this alert from others on the broker: it differs by pipeline and name."""
        return digested_id(self.name, json.dumps([self.pipeline, self.name]))

    @property
    def status(self) -> str:
        """The topic that says whether this program runs."""
        return f"{self.prefix}/{self.alert_id}/status"

    def alert(self, stream: str) -> str:
        """The topic of the alerts of a feed."""
        return f"{self.prefix}/{self.alert_id}/{object_id(stream)}/alert"

    def feed_status(self, stream: str) -> str:
        """The topic that says whether a feed has results."""
        return f"{self.prefix}/{self.alert_id}/{object_id(stream)}/status"

    def state(self, stream: str) -> str:
        """The topic of the states of a feed's sensors."""
        return f"{self.prefix}/{self.alert_id}/{object_id(stream)}/state"

    def state_document(self, feed: FeedSensors) -> bytes:
        """The states of a feed's sensors. Prompts are named by their object ids."""
        document: dict[str, Any] = {"rule": _STATES[feed.rule.on]}
        if feed.prompts:
            document["prompts"] = {object_id(name): _STATES[known.condition.on] for name, known in feed.prompts.items()}
        if feed.counts_people:
            document["people"] = feed.people
        return _json(document)

    def configurations(self, stream: str, feed: FeedSensors) -> dict[str, bytes]:
        """The configurations of a feed's sensors by topic; none without a discovery prefix."""
        if not self.discovery_prefix:
            return {}
        return dict(self._configurations(stream, feed))

    def prompt_configuration(self, stream: str, prompt: str) -> str:
        """The topic of the configuration of a prompt's sensor."""
        return self._configuration_topic("binary_sensor", stream, f"prompt_{object_id(prompt)}")

    def people_configuration(self, stream: str) -> str:
        """The topic of the configuration of the sensor of people."""
        return self._configuration_topic("sensor", stream, "people")

    def _configurations(self, stream: str, feed: FeedSensors) -> Iterator[tuple[str, bytes]]:
        device_class = device_class_of(self.rule_names)
        rule = {"name": self.name, "value_template": "{{ value_json.rule }}"}
        if device_class is not None:
            rule["device_class"] = device_class
        yield self._configuration("binary_sensor", stream, "rule", rule)
        for name in feed.prompts:
            prompt_id = object_id(name)
            state = {"name": name, "value_template": f"{{{{ value_json.prompts['{prompt_id}'] | default('OFF') }}}}"}
            yield self._configuration("binary_sensor", stream, f"prompt_{prompt_id}", state)
        if feed.counts_people:
            people = {"name": "People", "value_template": "{{ value_json.people }}", "state_class": "measurement"}
            yield self._configuration("sensor", stream, "people", people | {"icon": "mdi:account-group"})

    def _configuration(self, component: str, stream: str, sensor: str, options: Mapping[str, str]) -> tuple[str, bytes]:
        document = {
            **options,
            "unique_id": f"triptych_{self.alert_id}_{object_id(stream)}_{sensor}",
            "state_topic": self.state(stream),
            "qos": 1,
            "availability": [{"topic": self.status}, {"topic": self.feed_status(stream)}],
            "availability_mode": "all",
            "device": {
                "identifiers": [f"triptych_{object_id(self.pipeline)}_{object_id(stream)}"],
                "name": stream,
                "manufacturer": "Triptych",
                "model": f"Feed of the pipeline {self.pipeline}",
            },
            "origin": {"name": "Triptych", "sw_version": self.version},
        }
        return self._configuration_topic(component, stream, sensor), _json(document)

    def _configuration_topic(self, component: str, stream: str, sensor: str) -> str:
        node = f"triptych_{object_id(stream)}"
        return f"{self.discovery_prefix}/{component}/{node}/{self.alert_id}_{sensor}/config"


def alert_payload(message: WebhookMessage) -> bytes:
    """Return the payload of an alert: the body of a webhook with the message's id in it, for MQTT has no headers."""
    return _json({"id": message.id, **json.loads(message.body)})


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
