"""A receiver of alerts over MQTT, with sensors for each feed that Home Assistant discovers.

What should be retained on the broker follows from the tracker of the sensors. It is published when it changes, and
again after each new connection, because a broker without persistence forgets it when it is restarted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version as distribution_version
from threading import Event
from typing import Final

import structlog

from triptych.consumers.alerts.mqtt.connection import MqttConnection, MqttMessage
from triptych.consumers.alerts.mqtt.discovery import OFFLINE, ONLINE, AlertTopics, alert_payload
from triptych.consumers.alerts.mqtt.options import MqttOptions
from triptych.consumers.alerts.mqtt.sensors import SensorChange, SensorTracker
from triptych.consumers.alerts.receiver import Attempt
from triptych.consumers.alerts.webhook import WebhookMessage
from triptych.consumers.rules.rule import Rule
from triptych.schemas.results import Result
from triptych.settings.tree import Settings

log = structlog.get_logger(__name__)

SILENT_AFTER_S: Final = 60.0
"""A feed without results for this long is unavailable: whether its rule holds is not known."""
_RETRY_S: Final = 5.0
_DONE: Final = Attempt(accepted=True, reason="")


@dataclass(slots=True)
class _Retained:
    """What the broker has of a feed, in this session: its status, its state, and the topics of its configurations.

    `heard_s` is when a result came last, and `sensors` what the configurations are of.
    """

    heard_s: float
    status: bytes = b""
    state: bytes = b""
    sensors: tuple[frozenset[str], bool] | None = None
    configured: frozenset[str] = frozenset()


class MqttReceiver:
    """Publishes alerts, and keeps the sensors of all feeds up to date. One thread uses it."""

    def __init__(
        self,
        connection: MqttConnection,
        topics: AlertTopics,
        tracker: SensorTracker,
        *,
        stop: Event,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Publish over a connection, which this receiver closes.

        Args:
            connection: the connection to the broker.
            topics: the topics, and the documents on them.
            tracker: the states of the sensors, restored from an earlier run.
            stop: ends whatever blocks.
            timeout_s: the longest time to wait for one acknowledgement.
            clock: a monotonic clock, in seconds.
        """
        self._connection = connection
        self._topics = topics
        self._tracker = tracker
        self._stop = stop
        self._timeout_s = timeout_s
        self._clock = clock
        self._session = 0
        self._feeds = {stream: _Retained(-math.inf) for stream in tracker.feeds}  # until a result comes

    def __str__(self) -> str:
        return str(self._connection)

    def see(self, result: Result, *, matches: bool) -> bool:
        """Publish what the result changes. Blocks while the broker is away; return False if a stop came first."""
        change = self._tracker.update(result, matches=matches)
        if result.stream in self._tracker.feeds:
            self._feeds.setdefault(result.stream, _Retained(-math.inf)).heard_s = self._clock()
        if change is None:
            return True
        for stream in change.forgotten:
            del self._feeds[stream]
        removed = (MqttMessage(topic, b"", retain=True) for topic in self._removed(result.stream, change))
        return self._renew().accepted and self._publish_each((*removed, *self._due(result.stream))).accepted

    def rest(self) -> None:
        """Publish everything after a new connection, and that feeds have become silent."""
        if not self._connection.is_connected or not self._renew().accepted:
            return
        silent_s = self._clock() - SILENT_AFTER_S
        for stream, known in self._feeds.items():
            if known.heard_s <= silent_s and known.status != OFFLINE:
                self._publish_each(self._due(stream))

    def send(self, message: WebhookMessage, stream: str) -> Attempt:
        """Publish an alert, and wait for its acknowledgement.

        After a new connection everything else is published first: nothing else does that while an alert is tried again.
        """
        renewal = self._renew(self._clock() + self._timeout_s)
        if not renewal.accepted:
            return renewal
        alert = MqttMessage(self._topics.alert(stream), alert_payload(message))
        return self._connection.publish(alert, timeout_s=self._timeout_s, stop=self._stop)

    def wait(self, stop: Event, delay_s: float) -> None:
        """Wait before another attempt, no longer than until the connection is back."""
        self._connection.wait(stop, delay_s)

    def close(self) -> None:
        """Say that this program has ended, and disconnect. Blocks for about two seconds at most."""
        self._connection.close(MqttMessage(self._topics.status, OFFLINE, retain=True))

    def _removed(self, stream: str, change: SensorChange) -> Iterator[str]:
        """Yield the topics on which nothing is to be retained any more."""
        if self._topics.discovery_prefix:
            yield from (self._topics.prompt_configuration(stream, name) for name in change.removed_prompts)
            if change.removed_people:
                yield self._topics.people_configuration(stream)
        for forgotten, feed in change.forgotten.items():
            yield from self._topics.configurations(forgotten, feed)
            yield from (self._topics.state(forgotten), self._topics.feed_status(forgotten))

    def _renew(self, until_s: float = math.inf) -> Attempt:
        """After a new connection, publish everything: until a time, a stop, or the broker has it."""
        while not self._session or self._session != self._connection.sessions:
            outcome = self._publish(MqttMessage(self._topics.status, ONLINE, retain=True), until_s)
            if not outcome.accepted:
                return outcome
            session = self._connection.answered_session  # there may be a newer one, which has the last will
            for stream, known in self._feeds.items():
                self._feeds[stream] = _Retained(known.heard_s)
            everything = (message for stream in self._feeds for message in self._due(stream))
            outcome = self._publish_each(everything, until_s)
            if not outcome.accepted:
                return outcome
            self._session = session
        return _DONE

    def _publish_each(self, messages: Iterable[MqttMessage], until_s: float = math.inf) -> Attempt:
        for message in messages:
            outcome = self._publish(message, until_s)
            if not outcome.accepted:
                return outcome
        return _DONE

    def _due(self, stream: str) -> Iterator[MqttMessage]:
        """Yield what the broker lacks of a feed, the configurations first. What was yielded counts as published."""
        known, feed = self._feeds[stream], self._tracker.feeds[stream]
        sensors = frozenset(feed.prompts), feed.counts_people
        if sensors != known.sensors:
            configurations = self._topics.configurations(stream, feed)
            for topic in configurations.keys() - known.configured:
                yield MqttMessage(topic, configurations[topic], retain=True)
            known.sensors, known.configured = sensors, frozenset(configurations)
        state = self._topics.state_document(feed)
        if state != known.state:
            known.state = state
            yield MqttMessage(self._topics.state(stream), state, retain=True)
        status = OFFLINE if known.heard_s <= self._clock() - SILENT_AFTER_S else ONLINE
        if status != known.status:
            known.status = status
            yield MqttMessage(self._topics.feed_status(stream), status, retain=True)

    def _publish(self, message: MqttMessage, until_s: float) -> Attempt:
        """Publish until the broker has the message or refuses it for good; or until a stop, or a time."""
        while True:
            attempt = self._connection.publish(message, timeout_s=self._timeout_s, stop=self._stop)
            if attempt.refused:
                log.error("mqtt_message_refused", topic=message.topic, reason=attempt.reason)
                return _DONE
            if attempt.accepted or self._stop.is_set() or self._clock() >= until_s:
                return attempt
            self._connection.wait(self._stop, _RETRY_S)


def open_mqtt_receiver(
    settings: Settings, options: MqttOptions, rule: Rule, tracker: SensorTracker, *, timeout_s: float, stop: Event
) -> MqttReceiver:
    """Begin to connect to a broker.

    Raises:
        UsageError: the extra `mqtt` is not installed, or a file for TLS cannot be used.
        SettingsError: the file with the password cannot be read.
    """
    topics = AlertTopics(
        prefix=options.address.prefix,
        discovery_prefix=settings.mqtt.discovery_prefix.strip("/"),
        pipeline=settings.pipeline,
        name=options.name or str(rule),
        rule_names=rule.names,
        version=distribution_version("triptych"),
    )
    will = MqttMessage(topics.status, OFFLINE, retain=True)
    connection = MqttConnection(options.address, settings.mqtt, will=will)
    return MqttReceiver(connection, topics, tracker, stop=stop, timeout_s=timeout_s)
