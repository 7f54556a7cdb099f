"""The connection to an MQTT broker: paho keeps it open, and this module waits for its acknowledgements.

Messages are sent with QoS 1, by MQTT 5: its acknowledgement says whether the broker takes a message. Each message is
sent after the one before was acknowledged, so the order is kept.
"""

from __future__ import annotations

import secrets
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from triptych.consumers.alerts.mqtt.address import MqttAddress
from triptych.consumers.alerts.receiver import Attempt
from triptych.schemas.errors import UsageError
from triptych.settings.mqtt import MqttSettings

if TYPE_CHECKING:
    from paho.mqtt.client import Client

log = structlog.get_logger(__name__)

_KEEPALIVE_S: Final = 30
_MIN_RECONNECT_S: Final = 1
_MAX_RECONNECT_S: Final = 30
_SLICE_S: Final = 0.25
"""The longest time until a wait notices a stop."""
_CLOSE_S: Final = 2.0
_QOS: Final = 1
_MOST_PACKET_BYTES: Final = 268_435_460
"""The longest packet of MQTT (section 2.1.4): five bytes, and what has a length of four groups of seven bits."""
_PERMANENT_CODES: Final = frozenset({0x90, 0x95, 0x99})
"""Topic name invalid, packet too large, payload format invalid: the message can never be accepted."""
_PROTOCOL_CODES: Final = frozenset({0x81, 0x82, 0x95})
"""Malformed packet, protocol error, packet too large: a connection that ends so after a message ends so each time.

Mosquitto answers a message over its `message_size_limit` with a code that this kind of answer does not have, and paho
ends the connection.
"""
_REMEMBERED_REJECTIONS: Final = 100


@dataclass(frozen=True, slots=True)
class MqttMessage:
    """A message for the broker. An empty retained one removes what is retained on the topic."""

    topic: str
    payload: bytes
    retain: bool = False

    @property
    def packet_bytes(self) -> int:
        """The size of its packet with QoS 1 and no properties (MQTT 5, sections 1.5.5, 2.1 and 3.3)."""
        rest_bytes = 2 + len(self.topic.encode()) + 2 + 1 + len(self.payload)
        return 1 + max(1, -(-rest_bytes.bit_length() // 7)) + rest_bytes


@dataclass(slots=True)
class _Sent:
    """A message that was sent and not answered yet.

    Attributes:
        message: what was sent.
        session: the connection that it was sent on.
        number: by which the broker answers; 0, which is none, while it is being sent.
    """

    message: MqttMessage
    session: int
    number: int = 0


@dataclass(frozen=True, slots=True)
class _Answer:
    """The broker's answer to a message.

    Attributes:
        refusal: why it refused the message; empty: it accepted it.
        session: the connection on which it came.
        permanent: whether the message itself is the reason.
    """

    refusal: str
    session: int
    permanent: bool = False


class MqttConnection:
    """A connection that is opened again whenever it ends. One thread may use it."""

    def __init__(self, address: MqttAddress, access: MqttSettings, *, will: MqttMessage) -> None:
        """Begin to connect, and do not wait for it. The broker publishes `will` when the connection breaks.

        Raises:
            UsageError: the extra `mqtt` is not installed, or a file for TLS cannot be used.
            SettingsError: the file with the password cannot be read.
        """
        self._changed = threading.Condition()
        self._is_connected = False
        self._sessions = 0
        self._reason = "not connected yet"
        self._answers: dict[int, _Answer] = {}
        self._pending: _Sent | None = None
        self._answered_session = 0
        self._most_packet_bytes = _MOST_PACKET_BYTES
        self._rejections: deque[int] = deque(maxlen=_REMEMBERED_REJECTIONS)
        self._address = address
        self._client = self._make_client(access, will)
        # A clean start each time: the broker keeps nothing of the session before, which has no subscriptions.
        self._client.connect_async(address.host, address.port, keepalive=_KEEPALIVE_S, clean_start=True)
        self._client.loop_start()

    def __str__(self) -> str:
        return str(self._address)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now, as far as is known."""
        return self._is_connected

    @property
    def sessions(self) -> int:
        """How often a connection was made. A broker that lost its retained messages is behind a new one."""
        return self._sessions

    @property
    def answered_session(self) -> int:
        """On which connection the message of the last `publish` was accepted or refused, as `sessions` counts them."""
        return self._answered_session

    def publish(self, message: MqttMessage, *, timeout_s: float, stop: threading.Event) -> Attempt:
        """Send a message, and wait until the broker acknowledges it. Blocks up to the timeout, or until a stop.

        Another attempt with a message that was not answered waits on for the answer, as long as the connection is the
        same. It fails when there is a new one; the attempt after that, for which `wait` does not wait, sends it again.
        A message that is larger than the broker accepts is refused here: the broker would end the connection.
        """
        deadline_s = time.monotonic() + timeout_s
        if not self._wait_for(lambda: self._is_connected, deadline_s, stop):
            return Attempt(accepted=False, reason=self._reason)
        refusal = self._own_refusal(message)
        if refusal:
            self._pending = None
            return self._outcome(_Answer(refusal, self._sessions, permanent=True))
        sent = self._pending
        if sent is None or sent.message != message or self._is_lost(sent):
            sent = self._send(message)
        if not self._wait_for(lambda: self._is_settled(sent), deadline_s, stop):
            reason = f"no acknowledgement within {timeout_s:g} s" if self._is_connected else self._reason
            return Attempt(accepted=False, reason=reason)
        if self._is_lost(sent):
            return Attempt(accepted=False, reason="the connection ended before the acknowledgement")
        self._pending = None
        return self._outcome(self._answers[sent.number])

    def wait(self, stop: threading.Event, delay_s: float) -> None:
        """Wait for the delay, a stop, a new connection, or the acknowledgement of the message that was sent last."""
        sessions, sent = self._sessions, self._pending
        self._wait_for(
            lambda: self._sessions != sessions if sent is None else self._is_settled(sent),
            time.monotonic() + delay_s,
            stop,
        )

    def close(self, last: MqttMessage) -> None:
        """Send a last message and disconnect, within about two seconds."""
        if self._is_connected:
            self.publish(last, timeout_s=_CLOSE_S, stop=threading.Event())
        self._client.disconnect()
        self._client.loop_stop()

    def _own_refusal(self, message: MqttMessage) -> str:
        """Return why it is useless to send a message, or nothing."""
        size_bytes = message.packet_bytes
        if size_bytes > self._most_packet_bytes:
            most_bytes = self._most_packet_bytes
            return f"the message is too large for the broker: {size_bytes} bytes, which takes {most_bytes} at most"
        with self._changed:
            is_rejected = hash(message) in self._rejections
        if is_rejected:
            return (
                f"the connection ended with a protocol error after it was sent; it may be too large: {size_bytes} bytes"
            )
        return ""

    def _outcome(self, answer: _Answer) -> Attempt:
        self._answered_session = answer.session
        is_refused = bool(answer.refusal)
        return Attempt(not is_refused, answer.refusal, refused=is_refused, permanent=answer.permanent)

    def _send(self, message: MqttMessage) -> _Sent:
        # Both are noted before it is sent. If there is a new connection meanwhile, it is sent again; and the connection
        # may end because of it before paho's call returns.
        sent = self._pending = _Sent(message, self._sessions)
        with self._changed:
            self._answers.clear()  # late ones, to messages that were given up: numbers repeat
        sent.number = self._client.publish(message.topic, message.payload, qos=_QOS, retain=message.retain).mid
        return sent

    def _is_settled(self, sent: _Sent) -> bool:
        """Whether the answer to a message is there, or can no longer come."""
        return sent.number in self._answers or self._is_lost(sent)

    def _is_lost(self, sent: _Sent) -> bool:
        """Whether the connection ended before the answer to a message, and there is another one."""
        return self._sessions != sent.session and sent.number not in self._answers

    def _wait_for(self, condition: Callable[[], bool], deadline_s: float, stop: threading.Event) -> bool:
        with self._changed:
            while not condition():
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or stop.is_set():
                    return False
                self._changed.wait(min(left_s, _SLICE_S))
        return True

    def _make_client(self, access: MqttSettings, will: MqttMessage) -> Client:
        try:
            from paho.mqtt import client as paho  # noqa: PLC0415 - an extra
            from paho.mqtt.enums import CallbackAPIVersion  # noqa: PLC0415
        except ImportError as error:
            raise UsageError("alerts over MQTT need paho-mqtt: pip install 'triptych[mqtt]'") from error
        # The same id for every connection: a new one ends the old one at the broker, which publishes the old one's will
        # before it accepts the new one. With different ids the will of a connection that was lost without a word would
        # come when its keepalive is over, after what was published since.
        client_id = f"triptych-{secrets.token_hex(6)}"
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        client.reconnect_delay_set(_MIN_RECONNECT_S, _MAX_RECONNECT_S)
        client.will_set(will.topic, will.payload, qos=_QOS, retain=will.retain)
        if access.username is not None:
            client.username_pw_set(access.username, access.secret())
        if self._address.tls:
            client.tls_set_context(_tls_context(access))
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    # paho calls these in its own thread. It holds a lock in the last one that `publish` takes, so nothing here may wait
    # for `publish`: `_changed` is never held while something is sent.

    def _on_connect(self, client: Client, _data: object, _flags: object, code: Any, more: object) -> None:  # noqa: ANN401 - paho's type is of an extra
        if code.is_failure:
            self._note(f"the broker refused the connection: {code}", is_connected=False)
            return
        client.drop_out_messages()  # paho would send them again, also those that were given up; `publish` does that
        with self._changed:
            self._sessions += 1
            self._most_packet_bytes = getattr(more, "MaximumPacketSize", _MOST_PACKET_BYTES)
        log.info("mqtt_connected", to=str(self), sessions=self._sessions)
        self._note("", is_connected=True)

    def _on_connect_fail(self, _client: Client, _data: object) -> None:
        self._note(f"cannot connect: {sys.exc_info()[1]}", is_connected=False)  # paho calls this while it handles it

    def _on_disconnect(self, _client: Client, _data: object, _flags: object, code: Any, _more: object) -> None:  # noqa: ANN401 - as above
        if self._is_connected:
            sent = self._pending
            if code.value in _PROTOCOL_CODES and sent is not None and sent.session == self._sessions:
                with self._changed:
                    self._rejections.append(hash(sent.message))
            self._note(f"the connection ended: {code}", is_connected=False)

    def _on_publish(self, _client: Client, _data: object, number: int, code: Any, _more: object) -> None:  # noqa: ANN401 - as above
        with self._changed:
            refusal = f"the broker refused the message: {code}" if code.is_failure else ""
            self._answers[number] = _Answer(refusal, self._sessions, permanent=code.value in _PERMANENT_CODES)
            self._changed.notify_all()

    def _note(self, reason: str, *, is_connected: bool) -> None:
        with self._changed:
            if reason and reason != self._reason:
                log.warning("mqtt_not_connected", to=str(self), reason=reason)
            self._reason, self._is_connected = reason, is_connected
            self._changed.notify_all()


def _tls_context(access: MqttSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if access.ssl_ca_file is None else str(access.ssl_ca_file))
        if access.ssl_cert_file is not None:
            context.load_cert_chain(access.ssl_cert_file, access.ssl_key_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"mqtt.ssl_ca_file, mqtt.ssl_cert_file, mqtt.ssl_key_file: expected readable PEM files, got: {error}"
        ) from error
    return context
