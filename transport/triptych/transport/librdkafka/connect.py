"""Open a client of librdkafka with the connection settings, and find out at once whether it can connect.

librdkafka connects in the background and retries forever, whatever the reason. So after a client is made, its
metadata are requested, and a rejected login or certificate is raised as soon as the client reports it.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import ssl
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka.admin._metadata import ClusterMetadata  # its package does not export the name

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import BrokerUnavailableError, TransportError
from triptych.transport.kafka.connect import CONNECT_LIMIT_MS
from triptych.transport.kafka.errors import is_rejection, translated
from triptych.transport.kafka.security import TokenProvider, security_configs
from triptych.transport.librdkafka.errors import as_kafka_python, kafka_error_of

log = structlog.get_logger(__name__)

CONFIG_WARNING: Final = "CONFWARN"
"""The kind of a line about a setting of ours, which is the same at each start."""
CONNECT_SLICE_S: Final = 0.25
"""The client reports a rejection only between two requests, so a request waits no longer than this."""
TOKEN_LIFETIME_S: Final = 300.0
"""The client asks for another token after 4/5 of its lifetime. A token may be replaced before it expires, and a token
that is no JWT does not say when it expires."""

Configs = dict[str, Any]
"""Settings of a client by librdkafka's names, among them callbacks."""


class Pollable(Protocol):
    """What all clients of librdkafka have in common."""

    def poll(self, timeout: float = ...) -> Any:  # noqa: ANN401 - a message, or a number of events
        """Serve the callbacks."""

    def list_topics(self, topic: str | None = ..., timeout: float = ...) -> ClusterMetadata:
        """Request metadata."""


Client = TypeVar("Client", bound=Pollable)


class LibrdkafkaLog:
    """Passes the log lines of one client on to structlog, on the thread that polls it.

    The client takes it in place of a `logging.Logger`, of which it calls `log` only.
    """

    def log(self, level: int, text: str, *values: object) -> None:
        """Log one line, at most as a warning: a line about a broker that cannot be reached is no error by itself."""
        line = text % values if values else text
        if line.startswith(CONFIG_WARNING) or level < logging.INFO:
            log.debug("librdkafka_line", line=line)
        elif level < logging.WARNING:
            log.info("librdkafka_line", line=line)
        else:
            log.warning("librdkafka_line", line=line)


class ClientErrors:
    """The errors that one client reports about its connections. Written on the thread that polls it.

    The client passes errors to a callback, but a fatal one is raised by the call that serves the callbacks.
    """

    def __init__(self) -> None:
        self.last: KafkaError | None = None
        self.fatal: KafkaError | None = None
        """The error after which the client is unusable."""
        self.rejection: KafkaError | None = None
        """Why retrying with the same credentials is pointless."""
        self.events: list[Message] = []
        """What a consumer reported among its records while it connected. It reports some errors only once."""

    def __call__(self, error: KafkaError) -> None:
        """Record an error."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN or self.last is None:  # noqa: SLF001 - the name of an error of librdkafka
            self.last = error
        if error.fatal():
            self.fatal = error
        if self.rejection is None and is_rejection(as_kafka_python(error)):
            self.rejection = error


def connect(
    make: Callable[[Configs], Client], settings: KafkaSettings, configs: Configs
) -> tuple[Client, ClientErrors]:
    """Make a client and wait until a broker has answered it.

    Raises:
        BrokerUnavailableError: no broker answered.
        NotAuthorizedError: the broker rejected the credentials.
        CredentialsError: the credentials, or the broker's certificate, cannot be used.
    """
    reported = ClientErrors()
    where = f"connecting to the broker at {settings.bootstrap_servers} ({settings.security_protocol})"
    try:
        client = make({**connection_configs(settings), **configs, "error_cb": reported, "logger": LibrdkafkaLog()})
    except KafkaException as found:
        raise translated(as_kafka_python(kafka_error_of(found)), where) from found
    deadline_s = time.monotonic() + CONNECT_LIMIT_MS / 1_000
    while True:
        failure = _failure(client)
        if failure is None:
            return client, reported
        try:
            event = client.poll(0)  # serves the callback that reports errors
            if isinstance(event, Message):
                reported.events.append(event)
        except KafkaException as found:
            # A broker has answered, so the client is connected; who uses it gets the error.
            reported(kafka_error_of(found))
        if reported.rejection is not None:
            raise translated(as_kafka_python(reported.rejection), where, because=as_kafka_python(reported.rejection))
        if time.monotonic() > deadline_s:
            because = None if reported.last is None else as_kafka_python(reported.last)
            raise translated(as_kafka_python(failure), where, because=because)


def _failure(client: Pollable) -> KafkaError | None:
    """Request metadata; return why no broker answered, as a timeout, or None."""
    try:
        client.list_topics(timeout=CONNECT_SLICE_S)
    except KafkaException as found:
        error = kafka_error_of(found)
        if error.code() == KafkaError._TRANSPORT:  # noqa: SLF001 - the name of an error of librdkafka
            time.sleep(CONNECT_SLICE_S)  # it fails at once while there is no connection
            return KafkaError(KafkaError._TIMED_OUT, "unable to connect")  # noqa: SLF001 - as above
        return error
    return None


def connection_configs(settings: KafkaSettings) -> Configs:
    """Return the configs of the connection and its security. Raises `CredentialsError` if a file cannot be used."""
    configs: Configs = {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": "triptych",
        "security.protocol": settings.security_protocol,
        "reconnect.backoff.max.ms": 1_000,
        "topic.metadata.refresh.interval.ms": 30_000,
        "socket.keepalive.enable": True,
        "log.connection.close": False,
    }
    checked = security_configs(settings)  # the same checks and errors as with kafka-python
    if settings.security_protocol.endswith("SSL"):
        configs |= _tls_configs(settings)
    if settings.sasl_mechanism is not None:
        configs["sasl.mechanism"] = settings.sasl_mechanism
    if settings.sasl_mechanism == "OAUTHBEARER":
        configs["oauth_cb"] = _token_source(settings)
    elif settings.sasl_mechanism is not None:
        configs["sasl.username"] = checked["sasl_plain_username"]
        configs["sasl.password"] = checked["sasl_plain_password"]
    return configs


def _tls_configs(settings: KafkaSettings) -> Configs:
    configs: Configs = {"ssl.endpoint.identification.algorithm": "https"}
    authorities = settings.ssl_ca_file or ssl.get_default_verify_paths().cafile
    if authorities is not None:  # otherwise librdkafka looks in the usual places itself
        configs["ssl.ca.location"] = str(authorities)
    if settings.ssl_cert_file is not None:
        configs["ssl.certificate.location"] = str(settings.ssl_cert_file)
        configs["ssl.key.location"] = str(settings.ssl_key_file)
    return configs


def _token_source(settings: KafkaSettings) -> Callable[[str], tuple[str, float]]:
    provider = TokenProvider(settings)

    def token(_: str) -> tuple[str, float]:
        """Return a token, and when the client must have asked for another one, in seconds since the epoch."""
        found = provider.token()
        return found, min(time.time() + TOKEN_LIFETIME_S, _expiry_s(found))

    return token


def _expiry_s(token: str) -> float:
    """Return when a JWT expires, in seconds since the epoch; infinity for other tokens."""
    try:
        _, claims, _ = token.split(".")
        return float(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        return float("inf")


def require_brokers(client: Pollable, doing: str, limit_s: float) -> ClusterMetadata:
    """Return the metadata of all topics, once the answer names a broker.

    A broker that has just restarted answers that there are no brokers, until the controller registers it again.

    Raises:
        BrokerUnavailableError: the broker did not answer in time, or knows of no broker.
    """
    deadline_s = time.monotonic() + limit_s
    while True:
        try:
            metadata = client.list_topics(timeout=max(CONNECT_SLICE_S, deadline_s - time.monotonic()))
        except KafkaException as found:
            failure: TransportError = translated(as_kafka_python(kafka_error_of(found)), doing)
            if not isinstance(failure, BrokerUnavailableError):
                raise failure from found
        else:
            if metadata.brokers:
                return metadata
            failure = BrokerUnavailableError(f"{doing}: it reports that there are no brokers")
        if time.monotonic() > deadline_s:
            raise failure
        time.sleep(CONNECT_SLICE_S)
