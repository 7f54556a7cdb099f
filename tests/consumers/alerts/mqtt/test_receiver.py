"""`triptych alert --mqtt` with a real broker, which is restarted, frozen and secured."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Self, cast

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tools.devservers import DevMosquitto, MosquittoAccess
from triptych.consumers.alerts.alert import AlertLoop, AlertOptions, AlertSender
from triptych.consumers.alerts.mqtt import receiver as mqtt_receiver
from triptych.consumers.alerts.mqtt.address import MqttAddress
from triptych.consumers.alerts.mqtt.discovery import OFFLINE, ONLINE, AlertTopics
from triptych.consumers.alerts.mqtt.options import MqttOptions
from triptych.consumers.alerts.mqtt.receiver import MqttReceiver, open_mqtt_receiver
from triptych.consumers.alerts.mqtt.sensors import REMOVED_AFTER_NS, SensorOptions, SensorTracker
from triptych.consumers.alerts.receiver import Attempt
from triptych.consumers.alerts.state import AlertState
from triptych.consumers.rules.rule import Rule
from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.objects import ObjectCount
from triptych.schemas.results import Words
from triptych.settings.mqtt import MqttSettings
from triptych.settings.tree import Settings
from triptych.units import NS_PER_S

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessage

    from tests.consumers.conftest import MakeResult, RedisBench, TopicBench
    from triptych.consumers.alerts.mqtt.connection import MqttConnection, MqttMessage

RULE = "speech > .5"
LIMIT_S = 30
REPOSITORY = Path(__file__).parents[4]
ACCESS = MosquittoAccess(topics=("triptych/#",))

StartMosquitto = Callable[..., DevMosquitto]


@dataclass
class Watcher:
    """A client that keeps every message, in order. With a name it has a session, which outlives a connection."""

    broker: DevMosquitto
    name: str = ""
    heard: list[tuple[str, bytes]] = field(default_factory=list)

    def __enter__(self) -> Self:
        client = paho.Client(CallbackAPIVersion.VERSION2, self.name, clean_session=not self.name)
        subscribed = Event()
        client.on_connect = lambda *_: client.subscribe("#", qos=1)
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = self._take
        client.reconnect_delay_set(1, 1)
        if self.broker.certificates is not None:
            client.tls_set(str(self.broker.certificates.ca))
            client.username_pw_set(ACCESS.user, ACCESS.password)
        client.connect("127.0.0.1", self.broker.port)
        client.loop_start()
        assert subscribed.wait(LIMIT_S)
        self._client = client
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: object, _data: object, message: MQTTMessage) -> None:
        self.heard.append((message.topic, message.payload))

    def on(self, ending: str) -> list[tuple[str, Any]]:
        """Return the topics that end so, with their payloads: JSON, text or, where it is empty, None."""
        return [(topic, _parsed(payload)) for topic, payload in self.heard if topic.endswith(ending)]

    def retained(self) -> dict[str, bytes]:
        """Return the last message on each topic that has retained ones."""
        return {topic: payload for topic, payload in self.heard if not topic.endswith("/alert")}

    def alerts(self) -> list[str]:
        """Return the ids of the results of all alerts."""
        return [payload["data"]["result"]["id"] for _, payload in self.on("/alert")]


def _parsed(payload: bytes) -> Any:  # noqa: ANN401 - whatever it is
    if not payload:
        return None
    return json.loads(payload) if payload.startswith(b"{") else payload.decode()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    until_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < until_s, "it did not happen in time"
        time.sleep(0.01)


def wait_for_log(capsys: pytest.CaptureFixture[str], text: str) -> str:
    """Wait until the log has a text that is new in it; return what is new."""
    logged: list[str] = []

    def has_text() -> bool:
        logged.append("".join(capsys.readouterr()))
        return text in "".join(logged)

    wait_for(has_text)
    return "".join(logged)


def delivered(cursor: Path) -> int:
    """Return how many alerts the cursor file says were acknowledged since its position."""
    return len(json.loads(cursor.read_text())["delivered"]) if cursor.exists() else 0


@dataclass
class Alerting:
    """Alerts to a broker for the results of a bench, in this process."""

    broker: DevMosquitto
    cursor_file: Path
    mqtt: dict[str, Any] = field(default_factory=dict)
    access: MqttSettings = field(default_factory=MqttSettings)
    timeout_s: float = 15.0

    def run(self, bench: TopicBench, *, until_end: bool = True, stop: Event | None = None) -> int:
        """Send alerts up to the end, or until a stop; return how many were delivered."""
        stop = stop or Event()
        options = MqttOptions(MqttAddress.parse(self.broker.url), **self.mqtt)
        alert = AlertOptions(RULE, self.broker.url, None, self.cursor_file, min_backoff_s=0.01, mqtt=options)
        tracker = SensorTracker(options.sensors(alert.events))
        settings = Settings(pipeline=bench.pipeline, mqtt=self.access)
        rule = Rule(RULE)
        with AlertState(self.cursor_file, sensors=tracker) as state, bench.subscriber() as subscriber:
            receiver = open_mqtt_receiver(settings, options, rule, tracker, timeout_s=self.timeout_s, stop=stop)
            try:
                sender = AlertSender(receiver, alert, stop)
                loop = AlertLoop(rule, sender, state, pipeline=bench.pipeline)
                loop.run(subscriber.results(since=state.cursor, until_end=until_end), stop)
                return sender.delivered
            finally:
                receiver.close()

    @contextmanager
    def running(self, bench: TopicBench) -> Iterator[None]:
        """Send alerts in a thread during the block."""
        stop = Event()
        thread = threading.Thread(target=self.run, args=(bench,), kwargs={"until_end": False, "stop": stop})
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(LIMIT_S)
        assert not thread.is_alive()


def test_matches_are_published_and_sensors_discovered(
    start_mosquitto: StartMosquitto, memory_bench: TopicBench, make_result: MakeResult, tmp_path: Path
) -> None:
    """In order, with the id of a webhook's message. States and configurations are retained."""
    broker = start_mosquitto()
    counts = {"people": ObjectCount(median=2, largest=3)}
    matches = {"a.dog": Match(score=0.8, log_odds=1.0)}
    memory_bench.publish(make_result(0), make_result(1, observations={}), make_result(2))
    memory_bench.publish(make_result(3, counts=counts, matches=matches, prompts_version="1"))
    alerting = Alerting(broker, tmp_path / "cursor", {"name": "Somebody speaks", "prompt_score": 0.5, "people": True})
    with Watcher(broker) as watcher:
        assert alerting.run(memory_bench) == 3
        wait_for(lambda: len(watcher.on("/status")) == 3)
    assert watcher.alerts() == [make_result(number).id for number in (0, 2, 3)]
    topic, alert = watcher.on("/alert")[0]
    assert re.fullmatch(r"triptych/Somebody_speaks_[0-9a-f]{12}/city/alert", topic)
    assert alert["id"].startswith("msg_")
    assert (alert["type"], alert["data"]["rule"]) == ("triptych.match", RULE)
    states = [state for _, state in watcher.on("/state")]
    assert [state["rule"] for state in states] == ["ON", "OFF", "ON", "ON"]
    prompt = "a_dog_" + states[-1]["prompts"].copy().popitem()[0].rpartition("_")[2]
    assert states[-1] == {"rule": "ON", "prompts": {prompt: "ON"}, "people": 3}

    with Watcher(broker) as late:
        wait_for(lambda: len(late.heard) == 6)
        configurations = dict(late.on("/config"))
        assert [state for _, state in late.on("/state")] == states[-1:]
        assert dict(late.on("/status")) == {
            f"{topic.rpartition('/')[0]}/status": "online",
            f"{topic.rpartition('/')[0].rpartition('/')[0]}/status": "offline",
        }
    assert [found.split("/")[:3] for found in sorted(configurations)] == [
        ["homeassistant", "binary_sensor", "triptych_city"],
        ["homeassistant", "binary_sensor", "triptych_city"],
        ["homeassistant", "sensor", "triptych_city"],
    ]
    rule = next(found for where, found in configurations.items() if where.endswith("_rule/config"))
    assert (rule["name"], rule["device_class"]) == ("Somebody speaks", "sound")
    assert rule["device"]["name"] == "city"
    assert len({found["unique_id"] for found in configurations.values()}) == 3
    assert len({json.dumps(found["device"]) for found in configurations.values()}) == 1
    retained = {where for where, _ in late.heard}
    for found in configurations.values():
        assert {found["state_topic"], *(each["topic"] for each in found["availability"])} <= retained
        assert found["origin"]["name"] == "Triptych"


def test_a_restart_of_the_broker_loses_nothing(
    start_mosquitto: StartMosquitto,
    memory_bench: TopicBench,
    make_result: MakeResult,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without acknowledgement the cursor stays. A subscriber with a session gets all alerts, in order."""
    broker = start_mosquitto(persistent=True)
    alerting = Alerting(broker, tmp_path / "cursor", timeout_s=0.2)
    with Watcher(broker, "watcher") as watcher, alerting.running(memory_bench):
        memory_bench.publish(make_result(0))
        wait_for(lambda: watcher.alerts() == [make_result(0).id] and delivered(tmp_path / "cursor") == 1)
        broker.stop()
        memory_bench.publish(*(make_result(number) for number in range(1, 5)))
        wait_for_log(capsys, "match_not_taken")
        assert delivered(tmp_path / "cursor") == 1
        broker.start()
        wait_for(lambda: len(set(watcher.alerts())) == 5)
    assert list(dict.fromkeys(watcher.alerts())) == [make_result(number).id for number in range(5)]


def test_a_broker_that_forgets_gets_everything_again(
    start_mosquitto: StartMosquitto, memory_bench: TopicBench, make_result: MakeResult, tmp_path: Path
) -> None:
    """That is one without persistence, which is killed: states, configurations and the status are published anew."""
    broker = start_mosquitto()
    with Alerting(broker, tmp_path / "cursor").running(memory_bench):
        with Watcher(broker) as watcher:
            memory_bench.publish(make_result(0), make_result(0, "quay"))
            wait_for(lambda: len(watcher.alerts()) == 2)
            before = watcher.retained()
        broker.process.kill()
        broker.start()
        with Watcher(broker) as watcher:
            wait_for(lambda: watcher.retained() == before)
    assert len(before) == 7


def test_a_frozen_broker_gets_each_alert_once(
    start_mosquitto: StartMosquitto,
    memory_bench: TopicBench,
    make_result: MakeResult,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its connections stay open, so further attempts wait for the acknowledgement of the first."""
    broker = start_mosquitto()
    alerting = Alerting(broker, tmp_path / "cursor", timeout_s=0.2)
    with Watcher(broker) as watcher, alerting.running(memory_bench):
        memory_bench.publish(make_result(0))
        wait_for(lambda: len(watcher.alerts()) == 1 and delivered(tmp_path / "cursor") == 1)
        broker.process.freeze()
        memory_bench.publish(*(make_result(number) for number in range(1, 5)))
        for _ in range(3):
            wait_for_log(capsys, "no acknowledgement within")
        assert delivered(tmp_path / "cursor") == 1
        broker.process.thaw()
        wait_for(lambda: len(watcher.alerts()) >= 5)
    assert watcher.alerts() == [make_result(number).id for number in range(5)]


def test_hostile_names_of_feeds_share_no_topic(
    start_mosquitto: StartMosquitto, memory_bench: TopicBench, make_result: MakeResult, tmp_path: Path
) -> None:
    """They differ in characters that Home Assistant does not allow, and one looks like another's topic."""
    broker = start_mosquitto()
    alerting = Alerting(broker, tmp_path / "cursor")
    names = ["a.b", "a_b", "a-b", "A.B", "..", "-", "config", "status"]
    with Watcher(broker) as watcher:
        memory_bench.publish(*(make_result(0, name) for name in names))
        alerting.run(memory_bench)
        names.append(next(topic.split("/")[2] for topic, _ in watcher.on("/state") if "/a_b_" in topic))
        memory_bench.publish(make_result(0, names[-1]))
        alerting.run(memory_bench)
        wait_for(lambda: len(watcher.on("/config")) >= 2 * len(names) - 1)
        wait_for(lambda: len(watcher.alerts()) == len(names))
    configurations = dict(watcher.on("/config"))
    assert sorted(found["device"]["name"] for found in configurations.values()) == sorted(names)
    assert all(re.fullmatch(r"homeassistant/binary_sensor/[\w-]+/[\w-]+/config", topic) for topic in configurations)
    assert len({found["unique_id"] for found in configurations.values()}) == len(names)
    assert len({topic for topic, _ in watcher.on("/alert")}) == len(names)


def test_the_sensor_of_a_removed_prompt_goes(
    start_mosquitto: StartMosquitto, memory_bench: TopicBench, make_result: MakeResult, tmp_path: Path
) -> None:
    """Its configuration is replaced by an empty message, also by a later run."""
    broker = start_mosquitto()
    alerting = Alerting(broker, tmp_path / "cursor", {"prompt_score": 0.5})
    with Watcher(broker) as watcher:
        matches = {name: Match(score=0.8, log_odds=1.0) for name in ("dog", "fire")}
        memory_bench.publish(make_result(0, matches=matches, prompts_version="1"))
        alerting.run(memory_bench)
        del matches["fire"]
        numbers = range(1, 2 + REMOVED_AFTER_NS // (60 * NS_PER_S))  # a window of each minute
        left = [make_result(30 * number, matches=matches, prompts_version="2") for number in numbers]
        memory_bench.publish(*left)
        alerting.run(memory_bench)
        wait_for(lambda: watcher.on("prompt_fire/config")[-1][1] is None)
    assert watcher.on("prompt_dog/config")[-1][1] is not None


def test_a_silent_feed_is_unavailable(
    start_mosquitto: StartMosquitto,
    memory_bench: TopicBench,
    make_result: MakeResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether its rule holds is not known. The next result makes it available again."""
    monkeypatch.setattr(mqtt_receiver, "SILENT_AFTER_S", 0.3)
    broker = start_mosquitto()
    with Watcher(broker) as watcher, Alerting(broker, tmp_path / "cursor").running(memory_bench):
        memory_bench.publish(make_result(0))
        wait_for(lambda: [status for _, status in watcher.on("/city/status")] == ["online", "offline"])
        memory_bench.publish(make_result(1))
        wait_for(lambda: [status for _, status in watcher.on("/city/status")][:3] == ["online", "offline", "online"])


def test_the_status_is_published_anew_while_an_alert_is_tried_again(
    start_mosquitto: StartMosquitto,
    memory_bench: TopicBench,
    make_result: MakeResult,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The broker forbids the alert, and is killed: its sensors do not stay unavailable until the alert is given up."""
    broker = start_mosquitto(MosquittoAccess(topics=("triptych/+/status", "triptych/+/+/state", "triptych/+/+/status")))
    assert broker.certificates is not None
    access = MqttSettings(username=ACCESS.user, password=ACCESS.password, ssl_ca_file=broker.certificates.ca)
    memory_bench.publish(make_result(0))
    with Alerting(broker, tmp_path / "cursor", access=access).running(memory_bench):
        wait_for_log(capsys, "match_not_taken")
        broker.process.kill()
        broker.start()
        with Watcher(broker) as watcher:
            wait_for(lambda: sorted(status for _, status in watcher.on("/status")) == ["online", "online"])
            wait_for(lambda: len(watcher.on("/state")) == 1)
        wait_for_log(capsys, "match_not_taken")


def test_an_alert_that_is_too_large_for_the_broker_is_given_up_soon(
    start_mosquitto: StartMosquitto,
    memory_bench: TopicBench,
    make_result: MakeResult,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After three attempts, not after a day. The next alert is delivered."""
    broker = start_mosquitto(limits=["max_packet_size 5000"])
    words = (Words(text="x" * 5_000, start_ns=0, end_ns=1),)
    large = make_result(0, observations=make_result(0).observations.model_copy(update={"words": words}))
    memory_bench.publish(large, make_result(1))
    with Watcher(broker) as watcher:
        assert Alerting(broker, tmp_path / "cursor").run(memory_bench) == 1
        wait_for(lambda: bool(watcher.alerts()))
    assert watcher.alerts() == [make_result(1).id]
    logged = capsys.readouterr().out
    assert (logged.count("match_not_taken"), logged.count("match_given_up")) == (2, 1)
    assert "too large" in logged


class ConnectionWithWill:
    """A connection that is lost when the first message has been acknowledged. The will is retained on the status."""

    def __init__(self) -> None:
        self.sessions = self.answered_session = 0
        self.retained: dict[str, bytes] = {}
        self.is_connected = True

    def publish(self, message: MqttMessage, *, timeout_s: float, stop: Event) -> Attempt:  # noqa: ARG002 - as the real one
        """Keep the message. The second connection is there before this returns."""
        self.sessions = self.sessions or 1
        self.answered_session = self.sessions
        self.retained[message.topic] = message.payload
        if self.sessions == 1:
            self.sessions = 2
            self.retained[message.topic] = OFFLINE  # the first message is the status
        return Attempt(accepted=True, reason="")


def test_a_connection_that_is_lost_after_the_status_is_noticed(make_result: MakeResult) -> None:
    """The new one gets the status too, after the last will of the old one."""
    connection = ConnectionWithWill()
    topics = AlertTopics("triptych", "", "test", "alert", Rule(RULE).names, "1")
    tracker = SensorTracker(SensorOptions())
    receiver = MqttReceiver(cast("MqttConnection", connection), topics, tracker, stop=Event(), timeout_s=1)
    assert receiver.see(make_result(0), matches=True)
    assert connection.retained[topics.status] == ONLINE


@contextmanager
def command(
    bench: RedisBench, broker: DevMosquitto, folder: Path, environ: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Start the command on a real Redis; kill it at the end."""
    args = [sys.executable, "-m", "triptych", "alert", "--where", RULE, "--mqtt", broker.url]
    args += ["--cursor-file", str(folder / "cursor"), "--redis-url", bench.url, "--pipeline", bench.pipeline]
    args += ["--since", "2026-01-01T00:00:00Z"]
    process = subprocess.Popen(
        args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY, env=os.environ | environ
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_a_secured_broker_and_the_last_will(
    start_mosquitto: StartMosquitto, redis_bench: RedisBench, make_result: MakeResult, tmp_path: Path
) -> None:
    """With TLS and a login. Topics that the broker refuses are logged; a kill makes all sensors unavailable."""
    broker = start_mosquitto(ACCESS)
    assert broker.certificates is not None
    redis_bench.publish(make_result(0))
    (tmp_path / "password").write_text(f"{ACCESS.password}\n", encoding="utf-8")
    environ = {
        "TRIPTYCH_MQTT_USERNAME": ACCESS.user,
        "TRIPTYCH_MQTT_PASSWORD_FILE": str(tmp_path / "password"),
        "TRIPTYCH_MQTT_SSL_CA_FILE": str(broker.certificates.ca),
    }
    with Watcher(broker) as watcher, command(redis_bench, broker, tmp_path, environ) as process:
        wait_for(lambda: len(watcher.alerts()) == 1)
        status = f"triptych/{watcher.on('/state')[0][0].split('/')[1]}/status"
        assert (status, "online") in watcher.on("/status")
        process.send_signal(signal.SIGKILL)
        wait_for(lambda: watcher.on(status)[-1] == (status, "offline"))
        _, logged = process.communicate(timeout=LIMIT_S)
    assert "mqtt_message_refused" in logged  # the user may not write under homeassistant/
    assert ACCESS.password not in logged


@pytest.mark.parametrize(
    ("wrong", "reason"), [({"password": "no"}, "Not authorized"), ({"ssl_ca_file": None}, "certificate verify failed")]
)
def test_a_broker_that_cannot_be_used_is_named(
    start_mosquitto: StartMosquitto,
    memory_bench: TopicBench,
    make_result: MakeResult,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    wrong: dict[str, Any],
    reason: str,
) -> None:
    """The log says why, and nothing counts as delivered. A stop ends the waiting."""
    broker = start_mosquitto(ACCESS)
    assert broker.certificates is not None
    right = {"username": ACCESS.user, "password": ACCESS.password, "ssl_ca_file": broker.certificates.ca}
    alerting = Alerting(broker, tmp_path / "cursor", access=MqttSettings(**(right | wrong)))
    memory_bench.publish(make_result(0))
    with alerting.running(memory_bench):
        logged = wait_for_log(capsys, reason)
    assert json.loads((tmp_path / "cursor").read_text())["delivered"] == []
    assert ACCESS.password not in logged
