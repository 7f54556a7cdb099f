"""A batch that cannot be read concerns its own partition, and is named: checksums, codecs, broken records."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Literal

import pytest
from kafka import KafkaProducer
from kafka import codec as kafka_codecs
from kafka.record import default_records
from structlog.testing import capture_logs

from tools.devservers import DevKafka
from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import StopError, UnreadableBatchError
from triptych.transport.kafka.transport import KafkaTransport
from triptych.transport.open import open_transport
from triptych.transport.protocols import Reader, Transport
from triptych.transport.records import Poll, Record, TopicPartition, Unreadable
from triptych.transport.topic_settings import TopicSettings

DEADLINE_S = 30.0
CODECS = ("gzip", "snappy", "lz4", "zstd")
Policy = Literal["skip", "stop"]
Spoil = Callable[[], None]


def to(broker: DevKafka, policy: Policy = "skip", *, client: str = "kafka-python") -> Transport:
    """Return a transport with a policy."""
    given = {"client": client, "bootstrap_servers": broker.bootstrap_servers, "unreadable_batch": policy}
    return open_transport(KafkaSettings.model_validate({**given, "session_timeout_ms": 6_000}))


@contextmanager
def producer(broker: DevKafka, codec: str | None = None) -> Iterator[KafkaProducer]:
    """Open a client of somebody else."""
    client = KafkaProducer(bootstrap_servers=broker.bootstrap_servers, compression_type=codec, linger_ms=0)
    try:
        yield client
    finally:
        client.close()


def new_topic(broker: DevKafka, partitions: int = 2) -> str:
    """Create a topic for the test."""
    name = f"unreadable-{uuid.uuid4().hex[:12]}"
    with closing(to(broker)) as transport, closing(transport.admin()) as admin:
        admin.create([TopicSettings(name, partitions)])
    return name


def send_batches(broker: DevKafka, topic: str, batches: Mapping[int, list[list[bytes]]]) -> None:
    """Send each inner list as one batch of its partition."""
    for partition, of_partition in batches.items():
        for values in of_partition:
            client = KafkaProducer(bootstrap_servers=broker.bootstrap_servers, linger_ms=2_000, batch_size=1 << 20)
            for value in values:
                client.send(topic, value=value, key=b"k", partition=partition)
            client.flush()
            client.close()


def flip_byte(broker: DevKafka, topic: str, partition: int, needle: bytes) -> None:
    """Damage a record in the broker's log file."""
    (log,) = broker.data_dir.rglob(f"{topic}-{partition}/00000000000000000000.log")
    content = log.read_bytes()
    at = content.index(needle)
    with log.open("r+b") as file:
        file.seek(at)
        file.write(bytes([content[at] ^ 0xFF]))


def collect(
    reader: Reader, enough: Callable[[list[Record], list[Unreadable]], bool]
) -> tuple[list[Record], list[Unreadable]]:
    """Poll until there is enough."""
    records: list[Record] = []
    spans: list[Unreadable] = []
    deadline = time.monotonic() + DEADLINE_S
    while not enough(records, spans):
        assert time.monotonic() < deadline, (records, spans)
        found: Poll = reader.poll(0.2)
        records += found.records
        spans += found.unreadable
    return records, spans


def values(records: list[Record], partition: int) -> list[bytes]:
    """Return what was read of one partition, in order."""
    return [record.value for record in records if record.partition == partition]


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_of_kafka_can_be_read(kafka: DevKafka, codec: str, client: str) -> None:
    """A producer chooses the codec, and nobody asks the worker."""
    topic = new_topic(kafka, 1)
    with producer(kafka, codec) as other:
        other.send(topic, value=b"words " * 1_000).get(10)
    with closing(to(kafka, client=client)) as transport:
        reader = transport.reader({TopicPartition(topic, 0): 0})
        records, _ = collect(reader, lambda records, _: bool(records))
    assert values(records, 0) == [b"words " * 1_000]


@pytest.mark.parametrize(
    ("check", "package"), [("has_snappy", "python-snappy"), ("has_zstd", "zstandard"), ("has_lz4", "lz4")]
)
def test_a_missing_codec_is_named_at_the_start(monkeypatch: pytest.MonkeyPatch, check: str, package: str) -> None:
    """Not at the first record that needs it."""
    monkeypatch.setattr(kafka_codecs, check, lambda: False)
    with pytest.raises(StopError, match=f"pip install {package}"):
        KafkaTransport(KafkaSettings())


def test_a_batch_with_a_wrong_checksum_is_skipped_and_named(kafka: DevKafka, client: str) -> None:
    """Three records in the middle of a partition are lost, and the rest of it and the other partition are read."""
    topic = new_topic(kafka)
    send_batches(kafka, topic, {0: [[b"a", b"b"], [b"damaged-one", b"d", b"e"], [b"f"]], 1: [[b"g"]]})
    flip_byte(kafka, topic, 0, b"damaged-one")
    with capture_logs() as logs, closing(to(kafka, client=client)) as transport:
        reader = transport.reader({TopicPartition(topic, 0): 0, TopicPartition(topic, 1): 0})
        records, spans = collect(reader, lambda records, _: len(records) == 4)
        assert reader.position(TopicPartition(topic, 0)) == 6

    assert values(records, 0) == [b"a", b"b", b"f"]
    assert values(records, 1) == [b"g"]
    (span,) = spans
    assert (span.tp, span.offset, span.next_offset, span.stopped) == (TopicPartition(topic, 0), 2, 5, False)
    assert "crc" in span.reason.lower()
    (line,) = [line for line in logs if line["event"] == "kafka_batch_unreadable"]
    assert (line["topic"], line["partition"], line["offset"], line["next_offset"]) == (topic, 0, 2, 5)


def test_a_batch_at_the_end_of_the_log_is_skipped(kafka: DevKafka, client: str) -> None:
    """A record that comes later is read, and the position is right meanwhile."""
    topic = new_topic(kafka, 1)
    send_batches(kafka, topic, {0: [[b"a"], [b"damaged-two", b"c"]]})
    flip_byte(kafka, topic, 0, b"damaged-two")
    with closing(to(kafka, client=client)) as transport:
        reader = transport.reader({TopicPartition(topic, 0): 0})
        collect(reader, lambda _, spans: bool(spans))
        reader.poll(0.2)
        assert reader.position(TopicPartition(topic, 0)) == 3
        send_batches(kafka, topic, {0: [[b"d"]]})
        records, _ = collect(reader, lambda records, _: bool(records))
    assert values(records, 0) == [b"d"]


def test_the_policy_stop_stops_one_partition_of_a_member(kafka: DevKafka, client: str) -> None:
    """The others are read on, also when everything is paused and resumed, as backpressure does."""
    topic = new_topic(kafka)
    send_batches(kafka, topic, {0: [[b"a"], [b"damaged-three"], [b"c"]], 1: [[b"x"]]})
    flip_byte(kafka, topic, 0, b"damaged-three")
    both = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    with closing(to(kafka, "stop", client=client)) as transport:
        consumer = transport.group_consumer([topic], f"group-{topic}")
        records, spans = collect(consumer, lambda records, spans: bool(spans) and len(records) == 2)
        consumer.pause(both)
        consumer.resume(both)
        send_batches(kafka, topic, {1: [[b"y"]]})
        later, again = collect(consumer, lambda records, _: bool(records))
        assert consumer.position(both[0]) == 1

    assert values(records, 0) == [b"a"]
    assert values(records + later, 1) == [b"x", b"y"]
    assert [(span.tp, span.offset, span.stopped) for span in spans] == [(both[0], 1, True)]
    assert again == []


def test_the_policy_stop_ends_a_reader_outside_a_group(kafka: DevKafka, client: str) -> None:
    """After it has read everything that can be read, with the place and the setting."""
    topic = new_topic(kafka, 1)
    send_batches(kafka, topic, {0: [[b"a"], [b"damaged-four"]]})
    flip_byte(kafka, topic, 0, b"damaged-four")
    with closing(to(kafka, "stop", client=client)) as transport:
        reader = transport.reader({TopicPartition(topic, 0): 0})
        records, _ = collect(reader, lambda records, _: bool(records))
        with pytest.raises(
            UnreadableBatchError, match=f"{topic} 0: the batch at offset 1 .*UNREADABLE_BATCH=skip"
        ) as end:
            collect(reader, lambda records, _: bool(records))
    assert values(records, 0) == [b"a"]
    assert end.value.exit_code == 8


def header_that_is_no_text(monkeypatch: pytest.MonkeyPatch, broker: DevKafka, topic: str) -> None:
    """Send a record whose header has a name that is not UTF-8, which brokers accept."""

    class Name(str):
        __slots__ = ()

        def encode(self, *_: Any) -> bytes:  # noqa: ANN401 - as in str
            return b"\xff\xfe"

    with monkeypatch.context(), producer(broker) as client:
        client.send(topic, value=b"hostile", partition=0, headers=[(Name("ab"), b"")]).get(10)


@pytest.mark.parametrize("cause", ["header", "codec", "memory"])
def test_whatever_the_client_cannot_read_is_named_and_skipped(
    kafka: DevKafka, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    """The kind of error does not matter: the client raises many of its own, and those of codecs."""
    topic = new_topic(kafka)
    if cause == "header":
        header_that_is_no_text(monkeypatch, kafka, topic)
    else:
        with producer(kafka, "zstd") as client:
            client.send(topic, value=b"hostile" * 100, partition=0).get(10)
    if cause == "codec":
        monkeypatch.setattr(kafka_codecs, "has_zstd", lambda: False)
        monkeypatch.setattr("triptych.transport.kafka.transport.require_codecs", lambda: None)
    if cause == "memory":

        def bomb(_: bytes) -> bytes:
            raise MemoryError("a bomb")

        monkeypatch.setattr(default_records, "zstd_decode", bomb)
    send_batches(kafka, topic, {0: [[b"good"]], 1: [[b"other"]]})
    with closing(to(kafka)) as transport:
        consumer = transport.group_consumer([topic], f"group-{topic}")
        records, spans = collect(consumer, lambda records, _: len(records) == 2)

    assert values(records, 0) == [b"good"]
    assert values(records, 1) == [b"other"]
    assert [(span.offset, span.next_offset) for span in spans] == [(0, 1)]
