"""The transport over Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TypeVar

from kafka.record import util as kafka_checksum

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import StopError
from triptych.transport.kafka.admin import KafkaAdmin
from triptych.transport.kafka.publisher import SEND_TIMEOUT_S, KafkaPublisher
from triptych.transport.kafka.reader import KafkaGroupConsumer, KafkaReader
from triptych.transport.kafka.transactions import KafkaTransactions
from triptych.transport.records import OutOfRangePolicy, TopicPartition

CLOSE_LIMIT_S = 5.0

Client = TypeVar("Client", KafkaReader, KafkaGroupConsumer, KafkaPublisher, KafkaTransactions, KafkaAdmin)


class KafkaTransport:
    """Make clients of one Kafka cluster (see `Transport`)."""

    def __init__(self, settings: KafkaSettings, *, send_timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Connect to nothing yet.

        Args:
            settings: where the brokers are, and the bounds.
            send_timeout_s: how long a publisher's `send` waits for room.
        """
        require_fast_checksum()
        self._settings = settings
        self._send_timeout_s = send_timeout_s
        self._open: list[KafkaReader | KafkaPublisher | KafkaTransactions | KafkaAdmin] = []

    def reader(
        self, start: Mapping[TopicPartition, int], *, when_out_of_range: OutOfRangePolicy = "earliest"
    ) -> KafkaReader:
        """Read these partitions from these offsets."""
        return self._kept(KafkaReader.open(self._settings, start, when_out_of_range=when_out_of_range))

    def group_consumer(
        self,
        topics: Sequence[str],
        group: str,
        *,
        when_out_of_range: OutOfRangePolicy = "earliest",
        hand_over_s: float = 0.0,
    ) -> KafkaGroupConsumer:
        """Join a group with the first poll."""
        consumer = KafkaGroupConsumer(
            self._settings, topics, group, when_out_of_range=when_out_of_range, hand_over_s=hand_over_s
        )
        return self._kept(consumer)

    def publisher(self) -> KafkaPublisher:
        """Open a publisher."""
        return self._kept(KafkaPublisher(self._settings, send_timeout_s=self._send_timeout_s))

    def transactional_publisher(self, name: str) -> KafkaTransactions:
        """Open a publisher of transactions."""
        return self._kept(KafkaTransactions(self._settings, name))

    def admin(self) -> KafkaAdmin:
        """Open an admin."""
        return self._kept(KafkaAdmin(self._settings))

    def close(self) -> None:
        """Close what is still open, the last one first."""
        with ExitStack() as closing:
            while self._open:
                client = self._open.pop(0)
                if isinstance(client, KafkaPublisher | KafkaTransactions):
                    closing.callback(client.close, CLOSE_LIMIT_S)
                else:
                    closing.callback(client.close)

    def _kept(self, client: Client) -> Client:
        self._open = [earlier for earlier in self._open if not earlier.closed]
        self._open.append(client)
        return client


def require_fast_checksum() -> None:
    """Make sure that checksums are computed in C: the client falls back in silence, and is 2,877 times slower then."""
    if kafka_checksum.crc32c_c is None:
        raise StopError(
            "the package crc32c is missing, without which Kafka's checksums take for ever: pip install crc32c"
        )
