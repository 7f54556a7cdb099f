"""Opening a client of Kafka, and leaving nothing behind where that fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kafka import errors
from kafka.net.compat import KafkaNetClient

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import TransportError
from triptych.transport.kafka.errors import is_refusal, translated
from triptych.transport.kafka.security import security_configs

CONNECT_LIMIT_MS = 10_000
"""How long to look for a broker before it counts as away."""


def connect(client_type: Any, settings: KafkaSettings, **configs: object) -> Any:  # noqa: ANN401 - the client is untyped
    """Open a consumer, producer or admin client.

    Raises `BrokerUnavailableError` where nobody answers, `NotAuthorizedError` where we are refused. A consumer or admin
    client that could not connect goes on trying for ever on a thread of its own, which nobody could end: so its network
    half is caught as it is made.
    """
    attempts = _Attempts()
    try:
        client = client_type(
            bootstrap_servers=settings.bootstrap_servers.split(","),
            bootstrap_timeout_ms=CONNECT_LIMIT_MS,
            reconnect_backoff_max_ms=1_000,
            metadata_max_age_ms=30_000,
            kafka_client=attempts.open_network,
            **security_configs(settings),
            **configs,
        )
    except (errors.KafkaError, TransportError) as error:
        attempts.abandon()
        if isinstance(error, TransportError):
            raise
        where = f"connecting to the broker at {settings.bootstrap_servers} ({settings.security_protocol})"
        raise translated(error, where, because=attempts.last_error) from error
    attempts.succeeded = True
    return client


class _Attempts:
    """Watch a client connect for the first time.

    The client itself tells only that it ran out of time, and keeps the broker's "wrong password" to its log: so each
    connection is asked what it failed of, and after a refusal there is no further one.
    """

    def __init__(self) -> None:
        self.last_error: BaseException | None = None
        self.succeeded = False
        self._networks: list[KafkaNetClient] = []

    def open_network(self, **network_configs: object) -> KafkaNetClient:
        """Make the network half of a client."""
        network = KafkaNetClient(**network_configs)
        manager = network._manager  # noqa: SLF001 - nothing public says why a connection failed
        get_connection = manager.get_connection

        def watched(*args: object, **options: object) -> Any:  # noqa: ANN401 - the client is untyped
            if self.last_error is not None and not self.succeeded and is_refusal(self.last_error):
                raise self.last_error
            connection = get_connection(*args, **options)
            if not self.succeeded:
                connection.close = self._noting(connection.close)
            return connection

        manager.get_connection = watched
        manager._build_transport = _hearing_last_words(manager._build_transport)  # noqa: SLF001 - as above
        self._networks.append(network)
        return network

    def abandon(self) -> None:
        """Close what was opened."""
        for network in self._networks:
            network.close()

    def _noting(self, close: Callable[..., None]) -> Callable[..., None]:
        """Note why a connection is closed: what it failed of is told there, also when the broker hung up meanwhile."""

        def noting(error: BaseException | None = None) -> None:
            if error is not None and not (self.last_error is not None and is_refusal(self.last_error)):
                self.last_error = error
            close(error)

        return noting


def _hearing_last_words(build_transport: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Let a connection take in what came just before its end.

    The client (3.0.12 at least) throws it away, and a broker that refuses a password says so and hangs up at once.
    """

    async def build(*args: object, **options: object) -> Any:  # noqa: ANN401 - the client is untyped
        transport = await build_transport(*args, **options)
        receive = transport._sock_recv  # noqa: SLF001 - as above

        def data_first() -> tuple[bytes, BaseException | None]:
            data, error = receive()
            return data, None if data else error  # the end is still there at the next look

        transport._sock_recv = data_first  # noqa: SLF001 - as above
        return transport

    return build
