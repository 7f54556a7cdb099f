"""The transport over Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kafka.record import util as kafka_checksum

from triptych.settings import KafkaSettings
from triptych.transport.errors import StopError
from triptych.transport.kafka_admin import KafkaAdmin
from triptych.transport.kafka_publisher import SEND_TIMEOUT_S, KafkaPublisher
from triptych.transport.kafka_reader import KafkaGroupConsumer, KafkaReader
from triptych.transport.records import GonePolicy, TopicPartition

CLOSE_LIMIT_S = 5.0


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
        self._open: list[KafkaReader | KafkaPublisher | KafkaAdmin] = []

    def reader(self, start: Mapping[TopicPartition, int], *, when_gone: GonePolicy = "earliest") -> KafkaReader:
        """Read these partitions from these offsets."""
        reader = KafkaReader.open(self._settings, start, when_gone=when_gone)
        self._open.append(reader)
        return reader

    def group_consumer(
        self, topics: Sequence[str], group: str, *, when_gone: GonePolicy = "earliest"
    ) -> KafkaGroupConsumer:
        """Join a group with the first poll."""
        consumer = KafkaGroupConsumer(self._settings, topics, group, when_gone=when_gone)
        self._open.append(consumer)
        return consumer

    def publisher(self) -> KafkaPublisher:
        """Open a publisher."""
        publisher = KafkaPublisher(self._settings, send_timeout_s=self._send_timeout_s)
        self._open.append(publisher)
        return publisher

    def admin(self) -> KafkaAdmin:
        """Open an admin."""
        admin = KafkaAdmin(self._settings)
        self._open.append(admin)
        return admin

    def close(self) -> None:
        """Close what is still open, the last one first."""
        while self._open:
            client = self._open.pop()
            if isinstance(client, KafkaPublisher):
                client.close(CLOSE_LIMIT_S)
            else:
                client.close()


def require_fast_checksum() -> None:
    """Make sure that checksums are computed in C: the client falls back in silence, and is 2,877 times slower then."""
    if kafka_checksum.crc32c_c is None:
        raise StopError(
            "the package crc32c is missing, without which Kafka's checksums take for ever: pip install crc32c"
        )
