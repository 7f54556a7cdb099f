"""What comes in: from Kafka to the aligner's decisions, beside a bare loop of librdkafka: `intake`, `intake-small`.

The topic is on a real broker, which the first contender starts and the end of the process stops. All contenders of a
benchmark read the same records of one partition, from its beginning to its end.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from functools import cached_property
from typing import Any, Final, Literal

import cv2
import numpy as np

from benchmarks.frame import Benchmark, Cost, measured
from benchmarks.suite import Size
from tests.worker.world import Feed
from triptych.schemas.codec import encode
from triptych.schemas.names import MODALITY_OF, TOPIC_OF
from triptych.schemas.records import InputRecord
from triptych.settings.kafka import KafkaSettings
from triptych.transport.open import open_transport
from triptych.transport.protocols import Transport
from triptych.transport.records import Message, Record, TopicPartition
from triptych.transport.topic_settings import TopicSettings
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.alignment.entry import READING_ORDER
from triptych.worker.alignment.merge import QUERY_DELAY_NS
from triptych.worker.partitions.partition import PartitionSet

Client = Literal["kafka-python", "librdkafka"]

_STEP_S: Final = 0.5
_BARE_RECORDS: Final = 500
"""How many records the bare loop takes at once."""
_LIMIT_S: Final = 60.0
_GROUP: Final = "intake"
_POLL_NS: Final = 10 * QUERY_DELAY_NS
"""How far apart polls are for the aligner, a record."""


class IncomingTopic:
    """One input topic with the records of one stream, on a broker that is started when it is first needed."""

    def __init__(self, records: Iterable[InputRecord]) -> None:
        self._messages = [
            Message(TOPIC_OF[record.modality], wire.key, wire.value, tuple(wire.headers), partition=0)
            for record in records
            for wire in [encode(record)]
        ]
        self.count = len(self._messages)
        self.tp = TopicPartition(self._messages[0].topic, 0)

    @cached_property
    def bootstrap_servers(self) -> str:
        """The broker that has the topic."""
        from tools.devservers import DevKafka  # noqa: PLC0415 - only where servers are

        stack = ExitStack()
        atexit.register(stack.close)
        servers = stack.enter_context(DevKafka()).bootstrap_servers
        with closing(_transport(servers, "librdkafka")) as transport:
            transport.admin().create([TopicSettings(self.tp.topic, 1)])
            publisher = transport.publisher()
            for message in self._messages:
                publisher.send(message)
            publisher.close(_LIMIT_S)
        return servers


def intake_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of large records: pictures of about 40 kB."""
    noise = np.random.default_rng(7).integers(0, 255, (150, 200, 3), np.uint8)
    picture = cv2.imencode(".jpg", noise, (cv2.IMWRITE_JPEG_QUALITY, 92))[1].tobytes()
    feed = Feed("feed", tracks=("video",))
    frames = (feed.frame(number * _STEP_S, picture) for number in range(size(5_000, 50)))
    return _benchmark("intake", f"{len(picture) / 1_000:.0f} kB", IncomingTopic(frames), goal=1 / 0.9)


def intake_small_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of small records: cues of about 300 bytes with their headers."""
    feed = Feed("feed", tracks=("subtitles",))
    cues = (
        feed.cue(number * _STEP_S, (number + 1) * _STEP_S, f"words at {number}", (number + 1) * _STEP_S)
        for number in range(size(30_000, 50))
    )
    return _benchmark("intake-small", "300 bytes", IncomingTopic(cues), goal=None)


def _benchmark(name: str, what: str, topic: IncomingTopic, *, goal: float | None) -> Benchmark:
    limit, ours = "a bare librdkafka loop", "librdkafka to decisions"
    contenders: dict[str, Callable[[], Cost]] = {
        limit: lambda: _bare(topic, _look_at_nothing),
        "the same, taking key, value and headers": lambda: _bare(topic, _take_contents),
    }
    clients: tuple[Client, ...] = ("librdkafka", "kafka-python")
    for client in clients:
        contenders[f"{client} to our records"] = lambda client=client: _read(topic, client)  # type: ignore[misc]
        contenders[f"{client} to decisions"] = lambda client=client: _decided(topic, client)  # type: ignore[misc]
    return Benchmark(
        name,
        f"What does a record of {what} cost from Kafka to the aligner's decisions?",
        "record",
        contenders,
        limit=limit,
        ours=ours,
        goal=goal,
        forbids="taking the contents, and any parser",
        note="The limit takes the client's messages and looks at none of them. One partition; broker on the same CPUs.",
    )


def _transport(servers: str, client: Client) -> Transport:
    return open_transport(KafkaSettings(bootstrap_servers=servers, client=client))


def _look_at_nothing(_: Sequence[Any]) -> None:
    """Leave the messages as they are."""


def _take_contents(messages: Sequence[Any]) -> None:
    """Take what a record consists of."""
    for message in messages:
        message.key(), message.value(), message.headers(), message.timestamp(), message.offset()


def _bare(topic: IncomingTopic, look_at: Callable[[Sequence[Any]], None]) -> Cost:
    """Read with the bare client and its own settings."""
    from confluent_kafka import Consumer  # noqa: PLC0415 - an extra
    from confluent_kafka import TopicPartition as ClientPartition  # noqa: PLC0415 - as above

    consumer = Consumer(
        {
            "bootstrap.servers": topic.bootstrap_servers,
            "group.id": _GROUP,
            "enable.auto.commit": False,
            "check.crcs": True,
        }
    )
    consumer.assign([ClientPartition(*topic.tp, 0)])

    def work() -> float:
        left = topic.count
        while left > 0:
            messages = consumer.consume(1, 1.0) + consumer.consume(_BARE_RECORDS, 0)
            look_at(messages)
            left -= len(messages)
        return topic.count

    try:
        return measured(work)
    finally:
        consumer.close()


def _read(topic: IncomingTopic, client: Client) -> Cost:
    return _measured(topic, client, lambda _: None)


def _decided(topic: IncomingTopic, client: Client) -> Cost:
    """Decode and align what is read, as a worker does."""
    positions = dict.fromkeys(READING_ORDER, 0)
    config = AlignConfig(partition_max_bytes=1 << 40, stream_max_bytes=1 << 40)
    partition_set = PartitionSet(0, config, positions, partitions=1, restored={})

    def receive(polled: tuple[Record, ...]) -> None:
        last = polled[-1]
        positions[MODALITY_OF[last.topic]] = last.offset + 1
        at_ns = last.offset * _POLL_NS
        partition_set.receive(polled, positions, at_ns=at_ns)
        ends = {tp: positions[modality] for modality, tp in partition_set.tps.items()}
        # Records are only taken once a later query has found the other topics read to their ends.
        partition_set.apply_end_offsets(ends, at_ns=at_ns + QUERY_DELAY_NS, wall_ns=last.arrival_ns)
        while (decision := partition_set.decide()) is not None:
            closed[0] += isinstance(decision, ClosedWindow)

    closed = [0]
    cost = _measured(topic, client, receive)
    if partition_set.aligner.unread or not closed[0]:
        unread = partition_set.aligner.unread
        raise RuntimeError(f"intake: expected that all records are aligned, got {closed[0]} windows, {unread} unread")
    return cost


def _measured(topic: IncomingTopic, client: Client, receive: Callable[[tuple[Record, ...]], None]) -> Cost:
    """Read the topic with our reader. Connecting is not measured."""
    with (
        closing(_transport(topic.bootstrap_servers, client)) as transport,
        closing(transport.reader({topic.tp: 0})) as reader,
    ):

        def work() -> float:
            left = topic.count
            while left > 0:
                records = reader.poll(1.0).records
                if records:
                    receive(records)
                left -= len(records)
            return topic.count

        return measured(work)
