"""Triptych's Kafka transport compared with the bare client, in one run: `python -m benchmarks.transport`.

It starts its own broker. The rounds alternate, and the best of each is compared, so that other load on the machine
affects both.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable
from contextlib import closing

from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaTopicPartition

from tools.devservers import DevKafka
from triptych.settings.kafka import KafkaSettings
from triptych.transport.kafka.transport import KafkaTransport
from triptych.transport.records import Message, TopicPartition
from triptych.transport.topic_settings import TopicSettings

ROUNDS = 3
LIMIT_S = 120.0


def main() -> None:
    """Print one line per record size."""
    with (
        DevKafka() as broker,
        closing(KafkaTransport(KafkaSettings(bootstrap_servers=broker.bootstrap_servers))) as transport,
    ):
        for size_bytes, count in ((1_000, 20_000), (40_000, 3_000)):
            compare(broker.bootstrap_servers, transport, size_bytes, count)


def compare(where: str, transport: KafkaTransport, size_bytes: int, count: int) -> None:
    """Send and read `count` records in both ways, alternately."""
    ways: dict[str, Callable[[str], None]] = {
        "sent, bare": lambda topic: send_bare(where, topic, size_bytes, count),
        "sent, ours": lambda topic: send_ours(transport, topic, size_bytes, count),
        "read, bare": lambda topic: read_bare(where, topic, count),
        "read, ours": lambda topic: read_ours(transport, topic, count),
    }
    rates = dict.fromkeys(ways, 0.0)
    for _ in range(ROUNDS):
        topics = {kind: f"bench-{uuid.uuid4().hex[:8]}" for kind in ("bare", "ours")}
        with closing(transport.admin()) as admin:
            admin.create([TopicSettings(topic, 1) for topic in topics.values()])
        for name, way in ways.items():
            started = time.monotonic()
            way(topics[name[-4:]])
            rates[name] = max(rates[name], count / (time.monotonic() - started))
    shown = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items())
    ratios = (
        f"ours / bare: {rates['sent, ours'] / rates['sent, bare']:.2f} {rates['read, ours'] / rates['read, bare']:.2f}"
    )
    sys.stdout.write(f"{size_bytes} bytes: {shown}; {ratios}\n")


def send_bare(where: str, topic: str, size_bytes: int, count: int) -> None:
    """Send with the bare client, configured like Triptych's publisher."""
    producer = KafkaProducer(
        bootstrap_servers=where, acks="all", batch_size=1 << 20, linger_ms=5, max_request_size=16 << 20
    )
    for _ in range(count):
        producer.send(topic, key=b"city", value=b"x" * size_bytes, headers=[("ce_id", b"1")])
    producer.flush(LIMIT_S)
    producer.close()


def send_ours(transport: KafkaTransport, topic: str, size_bytes: int, count: int) -> None:
    """Send with Triptych's publisher."""
    publisher = transport.publisher()
    for _ in range(count):
        publisher.send(Message(topic, b"city", b"x" * size_bytes, (("ce_id", b"1"),)))
    publisher.close(LIMIT_S)


def read_bare(where: str, topic: str, count: int) -> None:
    """Read with the bare client, configured like Triptych's reader."""
    consumer = KafkaConsumer(
        bootstrap_servers=where,
        max_poll_records=1_000_000,
        max_partition_fetch_bytes=2 << 20,
        fetch_max_bytes=16 << 20,
        isolation_level="read_committed",
    )
    tp = KafkaTopicPartition(topic, 0)
    consumer.assign([tp])
    consumer.seek(tp, 0)
    left = count
    while left > 0:
        left -= sum(len(batch) for batch in consumer.poll(1_000).values())
    consumer.close()


def read_ours(transport: KafkaTransport, topic: str, count: int) -> None:
    """Read with Triptych's reader."""
    with closing(transport.reader({TopicPartition(topic, 0): 0})) as reader:
        left = count
        while left > 0:
            left -= len(reader.poll(1.0).records)


if __name__ == "__main__":
    main()
