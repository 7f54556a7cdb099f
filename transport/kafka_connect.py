"""Opening a client of Kafka, and leaving nothing behind where that fails."""

from __future__ import annotations

from typing import Any

from kafka import errors
from kafka.net.compat import KafkaNetClient

from triptych.settings import KafkaSettings
from triptych.transport.kafka_errors import translated

CONNECT_LIMIT_MS = 10_000
"""How long to look for a broker before it counts as away."""


def connect(client_type: Any, settings: KafkaSettings, **configs: object) -> Any:  # noqa: ANN401 - the client is untyped
    """Open a consumer, producer or admin client.

    Raises `BrokerUnavailableError` where nobody answers. A consumer or admin client that could not connect goes on
    trying for ever on a thread of its own, which nobody could end: so its network half is caught as it is made.
    """
    network: list[KafkaNetClient] = []

    def catch(**network_configs: object) -> KafkaNetClient:
        network.append(KafkaNetClient(**network_configs))
        return network[-1]

    try:
        return client_type(
            bootstrap_servers=settings.bootstrap_servers.split(","),
            bootstrap_timeout_ms=CONNECT_LIMIT_MS,
            reconnect_backoff_max_ms=1_000,
            metadata_max_age_ms=30_000,
            kafka_client=catch,
            **configs,
        )
    except errors.KafkaError as error:
        for client in network:
            client.close()
        raise translated(error, f"connecting to the broker at {settings.bootstrap_servers}") from error
