"""The connection to an MQTT broker, with a real broker."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, Any, Self

import pytest
from paho.mqtt.client import Client, MQTTMessageInfo

from tests.consumers.alerts.mqtt.test_receiver import ACCESS, LIMIT_S, Watcher, wait_for
from triptych.consumers.alerts.mqtt import connection as mqtt_connection
from triptych.consumers.alerts.mqtt.address import MqttAddress
from triptych.consumers.alerts.mqtt.connection import MqttConnection, MqttMessage
from triptych.settings.mqtt import MqttSettings

if TYPE_CHECKING:
    from tests.consumers.alerts.mqtt.test_receiver import StartMosquitto

ONLINE = MqttMessage("status", b"online", retain=True)
OFFLINE = MqttMessage("status", b"offline", retain=True)


class HalfOpenRelay:
    """Relays to a server, and can lose a connection on the client's side only: the server does not notice."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._clients: list[socket.socket] = []
        self._servers: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        _shut(self._clients + self._servers)

    def lose_clients(self) -> list[socket.socket]:
        """End the connections of the clients. Return those to the server, which stay open."""
        servers, self._servers = self._servers, []
        clients, self._clients = self._clients, []
        _shut(clients)
        return servers

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                self._clients.append(client)
                self._servers.append(server)
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65_536):
            sink.sendall(content)


def _shut(connections: list[socket.socket]) -> None:
    for each in connections:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def never() -> Event:
    """A stop that does not come."""
    return Event()


def connect(port: int) -> MqttConnection:
    """Begin to connect. The will is the status `offline`."""
    return MqttConnection(MqttAddress.parse(f"mqtt://127.0.0.1:{port}"), MqttSettings(), will=OFFLINE)


@pytest.fixture(autouse=True)
def _connect_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_connection, "_MAX_RECONNECT_S", 1)


def test_the_will_of_a_half_open_connection_does_not_come_late(start_mosquitto: StartMosquitto, never: Event) -> None:
    """A new connection ends the old one at the broker at once, so the last status is that of the new one."""
    broker = start_mosquitto()
    with HalfOpenRelay(broker.port) as relay, Watcher(broker) as watcher:
        connection = connect(relay.port)
        assert connection.publish(ONLINE, timeout_s=LIMIT_S, stop=never).accepted
        left_open = relay.lose_clients()
        wait_for(lambda: connection.sessions == 2)
        assert connection.publish(ONLINE, timeout_s=LIMIT_S, stop=never).accepted
        _shut(left_open)  # the broker would notice a connection that it still has
        wait_for(lambda: len(watcher.heard) == 3)
        assert [status for _, status in watcher.heard] == [b"online", b"offline", b"online"]
        connection.close(OFFLINE)


def test_a_late_answer_is_not_that_of_a_later_message(
    start_mosquitto: StartMosquitto, never: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers of messages repeat after 65,535. Here the second message has that of one that was given up."""
    broker = start_mosquitto()
    connection = connect(broker.port)
    with Watcher(broker) as watcher:
        numbers = iter((1, 2, 3, 2, 4))
        monkeypatch.setattr(Client, "_mid_generate", lambda _self: next(numbers))
        assert connection.publish(ONLINE, timeout_s=LIMIT_S, stop=never).accepted
        broker.process.freeze()
        assert not connection.publish(MqttMessage("given/up", b""), timeout_s=0.1, stop=never).accepted
        broker.process.thaw()
        wait_for(lambda: len(watcher.heard) == 2)
        assert connection.publish(ONLINE, timeout_s=LIMIT_S, stop=never).accepted
        broker.process.freeze()
        attempt = connection.publish(MqttMessage("later", b""), timeout_s=0.3, stop=never)
        broker.process.thaw()
        assert not attempt.accepted
        connection.close(OFFLINE)


def test_a_message_that_was_given_up_is_not_sent_on_a_new_connection(
    start_mosquitto: StartMosquitto, never: Event
) -> None:
    """Nor is one twice that was sent again."""
    broker = start_mosquitto()
    connection = connect(broker.port)
    assert connection.publish(ONLINE, timeout_s=LIMIT_S, stop=never).accepted
    broker.process.freeze()
    assert not connection.publish(MqttMessage("given/up", b"1"), timeout_s=0.1, stop=never).accepted
    waiting = MqttMessage("waiting", b"2")
    assert not connection.publish(waiting, timeout_s=0.1, stop=never).accepted
    broker.process.kill()
    broker.start()
    with Watcher(broker) as watcher:
        wait_for(lambda: connection.sessions == 2)
        assert connection.publish(waiting, timeout_s=LIMIT_S, stop=never).accepted
        assert connection.publish(ONLINE, timeout_s=LIMIT_S, stop=never).accepted
        wait_for(lambda: (ONLINE.topic, ONLINE.payload) in watcher.heard)
        assert watcher.heard == [("waiting", b"2"), (ONLINE.topic, ONLINE.payload)]
        connection.close(OFFLINE)


def test_after_a_reconnect_a_message_is_sent_again_at_once(
    start_mosquitto: StartMosquitto, never: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the pause before the next attempt is long."""
    broker = start_mosquitto()
    connection = connect(broker.port)
    assert connection.publish(ONLINE, timeout_s=LIMIT_S, stop=never).accepted
    broker.process.freeze()
    message, was_sent, send = MqttMessage("waiting", b""), Event(), Client.publish

    def publish(client: Client, topic: str, payload: bytes, **options: Any) -> Any:  # noqa: ANN401 - as in paho
        try:
            return send(client, topic, payload, **options)
        finally:
            was_sent.set()

    monkeypatch.setattr(Client, "publish", publish)
    with ThreadPoolExecutor(1) as threads:
        publishing = threads.submit(connection.publish, message, timeout_s=LIMIT_S, stop=never)
        assert was_sent.wait(LIMIT_S)
        broker.process.kill()
        broker.start()
        assert "connection ended" in publishing.result().reason
    started_s = time.monotonic()
    connection.wait(never, LIMIT_S)
    assert connection.publish(message, timeout_s=LIMIT_S, stop=never).accepted
    assert time.monotonic() - started_s < LIMIT_S / 2
    connection.close(OFFLINE)


@pytest.mark.parametrize("payload_bytes", [0, 118, 119, 120, 16_373, 16_374, 16_375, 16_376])
def test_the_size_of_a_packet_is_that_which_is_sent(payload_bytes: int) -> None:
    """Its length has one byte up to 127, two up to 16,383, and then three."""
    message = MqttMessage("é", b"." * payload_bytes)
    rest_bytes = 7 + payload_bytes
    assert message.packet_bytes == rest_bytes + 1 + (1 if rest_bytes < 128 else 2 if rest_bytes < 16_384 else 3)


@pytest.mark.parametrize(("most_bytes", "accepted"), [(208, True), (207, False)])
def test_a_message_that_is_too_large_is_refused_before_it_is_sent(
    start_mosquitto: StartMosquitto, never: Event, most_bytes: int, *, accepted: bool
) -> None:
    """The broker would end the connection, again and again. The others go on."""
    broker = start_mosquitto(limits=[f"max_packet_size {most_bytes}"])
    connection = connect(broker.port)
    message = MqttMessage("large", b"." * 195)
    attempt = connection.publish(message, timeout_s=LIMIT_S, stop=never)
    assert (attempt.accepted, attempt.refused, attempt.permanent) == (accepted, not accepted, not accepted)
    assert accepted or f"208 bytes, which takes {most_bytes} at most" in attempt.reason
    assert connection.publish(ONLINE, timeout_s=LIMIT_S, stop=never).accepted
    assert connection.sessions == 1
    connection.close(OFFLINE)


def test_a_message_that_ends_the_connection_is_refused(start_mosquitto: StartMosquitto, never: Event) -> None:
    """After that: so does Mosquitto with messages over its `message_size_limit`, of which it does not tell before."""
    broker = start_mosquitto(limits=["message_size_limit 100"])
    connection = connect(broker.port)
    message = MqttMessage("large", b"." * 101)
    assert "connection ended" in connection.publish(message, timeout_s=LIMIT_S, stop=never).reason
    for _ in range(2):
        attempt = connection.publish(message, timeout_s=LIMIT_S, stop=never)
        assert (attempt.accepted, attempt.refused, attempt.permanent) == (False, True, True)
        assert "it may be too large: 113 bytes" in attempt.reason
        assert connection.publish(ONLINE, timeout_s=LIMIT_S, stop=never).accepted
    assert connection.sessions == 2
    connection.close(OFFLINE)


def test_a_connection_that_ends_while_a_message_is_sent_was_ended_by_it(
    start_mosquitto: StartMosquitto, never: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's own thread may see the end, and connect again, before the call that sends the message returns."""
    broker = start_mosquitto(limits=["message_size_limit 100"])
    connection = connect(broker.port)
    assert connection.publish(ONLINE, timeout_s=LIMIT_S, stop=never).accepted
    client = connection._client  # noqa: SLF001 - what it does must end late
    send = client.publish

    def send_slowly(*args: Any, **options: Any) -> MQTTMessageInfo:  # noqa: ANN401 - as paho has it
        sent = send(*args, **options)
        wait_for(lambda: connection.sessions == 2)
        return sent

    message = MqttMessage("large", b"." * 101)
    monkeypatch.setattr(client, "publish", send_slowly)
    assert "connection ended" in connection.publish(message, timeout_s=LIMIT_S, stop=never).reason
    assert connection.publish(message, timeout_s=LIMIT_S, stop=never).permanent
    assert connection.sessions == 2
    connection.close(OFFLINE)


def test_a_missing_right_is_no_permanent_refusal(start_mosquitto: StartMosquitto, never: Event) -> None:
    """Somebody may grant it."""
    broker = start_mosquitto(ACCESS)
    assert broker.certificates is not None
    access = MqttSettings(username=ACCESS.user, password=ACCESS.password, ssl_ca_file=broker.certificates.ca)
    connection = MqttConnection(MqttAddress.parse(broker.url), access, will=OFFLINE)
    attempt = connection.publish(MqttMessage("forbidden", b"."), timeout_s=LIMIT_S, stop=never)
    assert (attempt.accepted, attempt.refused, attempt.permanent) == (False, True, False)
    connection.close(OFFLINE)
