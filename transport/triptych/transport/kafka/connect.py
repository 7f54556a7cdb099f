"""Open a kafka-python client, and clean up completely if that fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kafka import errors
from kafka.net.compat import KafkaNetClient

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import TransportError
from triptych.transport.kafka.errors import is_rejection, translated
from triptych.transport.kafka.security import security_configs

CONNECT_LIMIT_MS = 10_000
"""How long to try to reach a broker before it counts as unavailable."""


def connect(client_type: Any, settings: KafkaSettings, **configs: object) -> Any:  # noqa: ANN401 - the client is untyped
    """Open a consumer, producer or admin client.

    A consumer or admin client that could not connect keeps trying forever on its own thread, which nothing can stop. So
    this function keeps a reference to the client's network part and closes that.

    Raises:
        BrokerUnavailableError: no broker answered.
        NotAuthorizedError: the broker rejected the credentials.
        CredentialsError: the credentials, or the broker's certificate, cannot be used.
    """
    attempts = _ConnectionAttempts()
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


class _ConnectionAttempts:
    """Observes how a client connects for the first time.

    The client only reports a timeout, and writes the broker's "wrong password" to its log. So this class records why
    each connection failed, and prevents further attempts after a rejection.
    """

    def __init__(self) -> None:
        self.last_error: BaseException | None = None
        self.succeeded = False
        self._networks: list[KafkaNetClient] = []

    def open_network(self, **network_configs: object) -> KafkaNetClient:
        """Create the network part of a client."""
        network = KafkaNetClient(**network_configs)
        manager = network._manager  # noqa: SLF001 - nothing public says why a connection failed
        get_connection = manager.get_connection

        def watched(*args: object, **options: object) -> Any:  # noqa: ANN401 - the client is untyped
            if self.last_error is not None and not self.succeeded and is_rejection(self.last_error):
                raise self.last_error
            connection = get_connection(*args, **options)
            if not self.succeeded:
                connection.close = self._recording_error(connection.close)
            return connection

        manager.get_connection = watched
        manager._build_transport = _reading_final_data(manager._build_transport)  # noqa: SLF001 - as above
        self._networks.append(network)
        return network

    def abandon(self) -> None:
        """Close every network part that was created."""
        for network in self._networks:
            network.close()

    def _recording_error(self, close: Callable[..., None]) -> Callable[..., None]:
        """Record the error with which a connection is closed, even if the broker hung up meanwhile."""

        def noting(error: BaseException | None = None) -> None:
            if error is not None and not (self.last_error is not None and is_rejection(self.last_error)):
                self.last_error = error
            close(error)

        return noting


def _reading_final_data(build_transport: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Make a connection deliver the data that arrived just before it was closed.

    The client (up to 3.0.12 at least) discards it, and a broker that rejects a password says so and hangs up at once.
    """

    async def build(*args: object, **options: object) -> Any:  # noqa: ANN401 - the client is untyped
        transport = await build_transport(*args, **options)
        receive = transport._sock_recv  # noqa: SLF001 - as above

        def data_first() -> tuple[bytes, BaseException | None]:
            data, error = receive()
            return data, None if data else error  # the next read reports the end of the stream again

        transport._sock_recv = data_first  # noqa: SLF001 - as above
        return transport

    return build
