"""Transport over Kafka with librdkafka."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TypeVar

from triptych.settings.kafka import KafkaSettings
from triptych.transport.in_flight import SEND_TIMEOUT_S
from triptych.transport.kafka.transport import CLOSE_LIMIT_S
from triptych.transport.librdkafka.admin import LibrdkafkaAdmin
from triptych.transport.librdkafka.group_consumer import LibrdkafkaGroupConsumer
from triptych.transport.librdkafka.publisher import LibrdkafkaPublisher
from triptych.transport.librdkafka.reader import LibrdkafkaReader
from triptych.transport.librdkafka.transactions import LibrdkafkaTransactions
from triptych.transport.records import OutOfRangePolicy, TopicPartition

Client = TypeVar(
    "Client", LibrdkafkaReader, LibrdkafkaGroupConsumer, LibrdkafkaPublisher, LibrdkafkaTransactions, LibrdkafkaAdmin
)


class LibrdkafkaTransport:
    """Creates clients of one Kafka cluster (see `Transport`)."""

    def __init__(self, settings: KafkaSettings, *, send_timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Store the settings; connect when a client is opened.

        Args:
            settings: the brokers, security and limits.
            send_timeout_s: how long a publisher's `send` blocks while too many bytes are in flight.
        """
        self._settings = settings
        self._send_timeout_s = send_timeout_s
        self._open: list[LibrdkafkaReader | LibrdkafkaPublisher | LibrdkafkaTransactions | LibrdkafkaAdmin] = []
        self._opening = threading.Lock()  # several threads may open clients

    def reader(
        self, start: Mapping[TopicPartition, int], *, when_out_of_range: OutOfRangePolicy = "earliest"
    ) -> LibrdkafkaReader:
        """Open a reader for these partitions, at these offsets."""
        return self._kept(LibrdkafkaReader.open(self._settings, start, when_out_of_range=when_out_of_range))

    def group_consumer(
        self,
        topics: Sequence[str],
        group: str,
        *,
        when_out_of_range: OutOfRangePolicy = "earliest",
        hand_over_s: float = 0.0,
    ) -> LibrdkafkaGroupConsumer:
        """Open a consumer. It joins the group with its first poll."""
        consumer = LibrdkafkaGroupConsumer(
            self._settings, topics, group, when_out_of_range=when_out_of_range, hand_over_s=hand_over_s
        )
        return self._kept(consumer)

    def publisher(self) -> LibrdkafkaPublisher:
        """Open a publisher."""
        return self._kept(LibrdkafkaPublisher(self._settings, send_timeout_s=self._send_timeout_s))

    def transactional_publisher(self, name: str) -> LibrdkafkaTransactions:
        """Open a transactional publisher."""
        return self._kept(LibrdkafkaTransactions(self._settings, name))

    def admin(self) -> LibrdkafkaAdmin:
        """Open an admin client."""
        return self._kept(LibrdkafkaAdmin(self._settings))

    def close(self) -> None:
        """Close the clients that are still open, most recent first."""
        with ExitStack() as closing:
            while self._open:
                client = self._open.pop(0)
                if isinstance(client, LibrdkafkaPublisher | LibrdkafkaTransactions):
                    closing.callback(client.close, CLOSE_LIMIT_S)
                else:
                    closing.callback(client.close)

    def _kept(self, client: Client) -> Client:
        with self._opening:
            self._open = [earlier for earlier in self._open if not earlier.closed]
            self._open.append(client)
        return client
