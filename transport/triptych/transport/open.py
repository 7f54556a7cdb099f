"""Open the transport to Kafka with the client that the settings choose.

Programs open their transport here. The client's package is imported only when it is chosen.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, cast

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import StopError
from triptych.transport.in_flight import SEND_TIMEOUT_S

if TYPE_CHECKING:
    from triptych.transport.protocols import Transport


def open_transport(settings: KafkaSettings, *, send_timeout_s: float = SEND_TIMEOUT_S) -> Transport:
    """Return a transport to the brokers of the settings. It connects when a client is opened.

    Args:
        settings: the client, the brokers, security and limits.
        send_timeout_s: how long a publisher's `send` blocks while too many bytes are in flight.

    Raises:
        StopError: the chosen client is not installed, or lacks a package.
    """
    return cast("Transport", _transport_type(chosen_client(settings))(settings, send_timeout_s=send_timeout_s))


def chosen_client(settings: KafkaSettings) -> Literal["kafka-python", "librdkafka"]:
    """Return the client that the settings choose: `auto` depends on what is installed.

    Raises:
        StopError: librdkafka is chosen, and not installed.
    """
    is_installed = find_spec("confluent_kafka") is not None
    if settings.client == "librdkafka" and not is_installed:
        raise StopError(
            "kafka.client: librdkafka needs the package confluent-kafka, which is not installed: "
            "pip install 'triptych[librdkafka]'"
        )
    if settings.client == "auto":
        return "librdkafka" if is_installed and not _is_kafka_python_complete() else "kafka-python"
    return settings.client


def _is_kafka_python_complete() -> bool:
    kafka_python = import_module("triptych.transport.kafka.transport")
    try:
        kafka_python.require_fast_checksum()
        kafka_python.require_codecs()
    except StopError:
        return False
    return True


def _transport_type(client: Literal["kafka-python", "librdkafka"]) -> Any:  # noqa: ANN401 - imported when it is chosen
    if client == "librdkafka":
        return import_module("triptych.transport.librdkafka.transport").LibrdkafkaTransport
    return import_module("triptych.transport.kafka.transport").KafkaTransport
