"""Transport over Kafka."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TypeVar

from kafka import codec as kafka_codecs
from kafka.record import util as kafka_checksum

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import StopError
from triptych.transport.in_flight import SEND_TIMEOUT_S
from triptych.transport.kafka.admin import KafkaAdmin
from triptych.transport.kafka.group_consumer import KafkaGroupConsumer
from triptych.transport.kafka.publisher import KafkaPublisher
from triptych.transport.kafka.reader import KafkaReader
from triptych.transport.kafka.transactions import KafkaTransactions
from triptych.transport.records import OutOfRangePolicy, TopicPartition

CLOSE_LIMIT_S = 5.0

Client = TypeVar("Client", KafkaReader, KafkaGroupConsumer, KafkaPublisher, KafkaTransactions, KafkaAdmin)


class KafkaTransport:
    """Creates clients of one Kafka cluster (see `Transport`)."""

    def __init__(self, settings: KafkaSettings, *, send_timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Store the settings; connect when a client is opened.

        Args:
            settings: the brokers, security and limits.
            send_timeout_s: how long a publisher's `send` blocks while too many bytes are in flight.
        """
        require_fast_checksum()
        require_codecs()
        self._settings = settings
        self._send_timeout_s = send_timeout_s
        self._open: list[KafkaReader | KafkaPublisher | KafkaTransactions | KafkaAdmin] = []
        self._opening = threading.Lock()  # several threads may open clients

    def reader(
        self, start: Mapping[TopicPartition, int], *, when_out_of_range: OutOfRangePolicy = "earliest"
    ) -> KafkaReader:
        """Open a reader for these partitions, at these offsets."""
        return self._kept(KafkaReader.open(self._settings, start, when_out_of_range=when_out_of_range))

    def group_consumer(
        self,
        topics: Sequence[str],
        group: str,
        *,
        when_out_of_range: OutOfRangePolicy = "earliest",
        hand_over_s: float = 0.0,
    ) -> KafkaGroupConsumer:
        """Open a consumer. It joins the group with its first poll."""
        consumer = KafkaGroupConsumer(
            self._settings, topics, group, when_out_of_range=when_out_of_range, hand_over_s=hand_over_s
        )
        return self._kept(consumer)

    def publisher(self) -> KafkaPublisher:
        """Open a publisher."""
        return self._kept(KafkaPublisher(self._settings, send_timeout_s=self._send_timeout_s))

    def transactional_publisher(self, name: str) -> KafkaTransactions:
        """Open a transactional publisher."""
        return self._kept(KafkaTransactions(self._settings, name))

    def admin(self) -> KafkaAdmin:
        """Open an admin client."""
        return self._kept(KafkaAdmin(self._settings))

    def close(self) -> None:
        """Close the clients that are still open, most recent first."""
        with ExitStack() as closing:
            while self._open:
                client = self._open.pop(0)
                if isinstance(client, KafkaPublisher | KafkaTransactions):
                    closing.callback(client.close, CLOSE_LIMIT_S)
                else:
                    closing.callback(client.close)

    def _kept(self, client: Client) -> Client:
        with self._opening:
            self._open = [earlier for earlier in self._open if not earlier.closed]
            self._open.append(client)
        return client


def require_fast_checksum() -> None:
    """Require checksums in C: the client falls back to Python silently, which is 2,877 times slower."""
    if kafka_checksum.crc32c_c is None:
        raise StopError(
            "the package crc32c is missing; without it Kafka's checksums are far too slow: pip install crc32c"
        )


def require_codecs() -> None:
    """Require all codecs of Kafka: producers choose them, and the client notices a missing one at the first record."""
    packages = {
        "snappy": (kafka_codecs.has_snappy(), "python-snappy"),
        "lz4": (kafka_codecs.has_lz4(), "lz4"),
        "zstd": (kafka_codecs.has_zstd(), "zstandard"),
    }
    missing = {codec: package for codec, (is_there, package) in packages.items() if not is_there}
    if missing:
        raise StopError(
            f"Kafka's codecs {', '.join(missing)} cannot be read: packages are missing, and a producer may use any of "
            f"them: pip install {' '.join(missing.values())}"
        )
