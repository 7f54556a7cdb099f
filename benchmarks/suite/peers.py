"""Other stream processors on the same events: `peers` in memory, `peers-kafka` on a real broker.

Each is installed into an environment of its own, in build/, by the first run.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from functools import cache, cached_property
from pathlib import Path
from typing import Final

from benchmarks.alignment import aligned, log
from benchmarks.frame import Benchmark, Cost, measured
from benchmarks.suite import Size
from benchmarks.suite.records import COMPILED, aligned_by_compiled
from triptych.schemas.codec import encode
from triptych.schemas.names import TOPIC_OF
from triptych.schemas.records import AudioChunk, InputRecord, SubtitleCue, VideoFrame
from triptych.settings.kafka import KafkaSettings
from triptych.transport.open import open_transport
from triptych.transport.protocols import Transport
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings
from triptych.units import NS_PER_S
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.decisions import ClosedWindow, LateItem
from triptych.worker.alignment.entry import READING_ORDER, Entry
from triptych.worker.alignment.merge import QUERY_DELAY_NS
from triptych.worker.partitions.partition import PartitionSet

BYTEWAX: Final = "bytewax==0.21.1"
QUIX: Final = "quixstreams==3.28.1"
WINDOW_S: Final = 2.0
WAIT_S: Final = 2.0
"""How long the others wait for late events. A window of ours waits for its tracks instead."""
_PLAIN: Final = "our aligner"
_COMPILED: Final = "our aligner, compiled"
_ENVIRONMENTS: Final = Path(__file__).parents[2] / "build"
_EVENTS_TOPIC: Final = "peers.events"
_LIMIT_S: Final = 60.0


def peers_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of windows of 100 live streams, whose cues arrive three seconds after they begin."""
    streams, seconds = size(100, 2), size(60, 6)
    entries = log(streams, seconds)
    late: list[Entry] = []
    windows: list[int] = []

    def ours() -> float:
        late.clear()
        windows.append(aligned(entries, late))
        return len(entries)

    def values() -> Mapping[str, float]:
        return {"late_percent": 100 * len(late) / len(entries), "windows": windows[-1]}

    contenders = {"Bytewax": lambda: _in_bytewax(entries), _PLAIN: lambda: measured(ours, values)}
    if COMPILED.is_dir():
        contenders[_COMPILED] = lambda: aligned_by_compiled(streams, seconds)
    return Benchmark(
        "peers",
        "What does an event cost, from its arrival to its window of event time?",
        "record",
        contenders,
        limit="Bytewax",
        ours=_COMPILED if COMPILED.is_dir() else _PLAIN,
        goal=1.0,
        note="Bytewax waits two seconds for what is late, and windows one stream of events by key; ours joins three "
        "tracks, and counts none as late while its track is heard. Compiled: as a wheel may be (`tools/compiled.py`); "
        "the engine of Bytewax is compiled too.",
    )


class EventTopics:
    """The same events twice on a broker that is started when it is first needed: in the contract, and as JSON."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self.count = len(entries)

    @cached_property
    def bootstrap_servers(self) -> str:
        """The broker that has the topics. Each has one partition."""
        from tools.devservers import DevKafka  # noqa: PLC0415 - only where servers are

        stack = ExitStack()
        atexit.register(stack.close)
        servers = stack.enter_context(DevKafka()).bootstrap_servers
        with closing(_transport(servers)) as transport, closing(transport.admin()) as admin:
            admin.create([TopicSettings(topic, 1) for topic in TOPIC_OF.values()])
            publisher = transport.publisher()
            for entry in self._entries:
                wire = encode(_record_of(entry))
                publisher.send(Message(TOPIC_OF[entry.modality], wire.key, wire.value, wire.headers, partition=0))
            publisher.close(_LIMIT_S)
        self._send_as_json(servers)
        return servers

    def _send_as_json(self, servers: str) -> None:
        """Send the events with their event time as the timestamp of the message, which our transport never sets."""
        from confluent_kafka import Producer  # noqa: PLC0415 - an extra
        from confluent_kafka.admin import AdminClient, NewTopic  # noqa: PLC0415 - an extra

        settings = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
        admin = AdminClient({"bootstrap.servers": servers})
        for created in admin.create_topics([NewTopic(_EVENTS_TOPIC, 1, 1, config=settings)]).values():
            created.result(_LIMIT_S)
        producer = Producer({"bootstrap.servers": servers, "queue.buffering.max.messages": 2 * self.count})
        for entry in self._entries:
            value = json.dumps({"modality": entry.modality, "start_ns": entry.start_ns, "end_ns": entry.end_ns})
            at_ms = entry.start_ns // (NS_PER_S // 1_000)
            producer.produce(_EVENTS_TOPIC, value.encode(), key=(entry.stream or "").encode(), timestamp=at_ms)
        if producer.flush(_LIMIT_S):
            raise RuntimeError(f"peers-kafka: the events were not delivered within {_LIMIT_S:g} s")


def peers_kafka_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of the windows of 100 live streams whose events lie on a Kafka topic."""
    topics = EventTopics(log(streams=size(100, 2), seconds=size(60, 6)))
    return Benchmark(
        "peers-kafka",
        "What does an event cost, from its Kafka topic to its window of event time?",
        "record",
        {"Quix Streams": lambda: _in_quix(topics), "our intake, librdkafka": lambda: _in_intake(topics)},
        limit="Quix Streams",
        ours="our intake, librdkafka",
        goal=1.0,
        note="Both read one partition a topic with librdkafka; the broker is on the same CPUs. Quix Streams reads "
        "JSON, waits two seconds for what is late, windows by key, and keeps its windows in RocksDB, here without a "
        "changelog topic. Ours reads records of the contract, whose media are a few bytes, and joins three tracks. "
        "Neither publishes. Joining the group is in the cost of Quix Streams.",
    )


def events_of(entries: Sequence[Entry]) -> str:
    """Return the events as lines `[stream, start in seconds]`, in the order of arrival."""
    return "".join(f"{json.dumps([entry.stream, entry.start_ns / NS_PER_S])}\n" for entry in entries)


def _in_bytewax(entries: Sequence[Entry]) -> Cost:
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.write(events_of(entries))
        file.flush()
        return _in_child("bytewax_child.py", BYTEWAX, file.name)


def _in_quix(topics: EventTopics) -> Cost:
    return _in_child("quix_child.py", QUIX, topics.bootstrap_servers, _EVENTS_TOPIC, str(topics.count))


def _in_intake(topics: EventTopics) -> Cost:
    """Read, decode and align what is on the topics, as a worker does. Connecting is not measured."""
    positions = dict.fromkeys(READING_ORDER, 0)
    config = AlignConfig(partition_max_bytes=1 << 40, stream_max_bytes=1 << 40)
    partition_set = PartitionSet(0, config, positions, partitions=1, restored={})
    modality_of = {tp: modality for modality, tp in partition_set.tps.items()}
    counts = {"windows": 0, "late": 0}

    def decide() -> None:
        while (decision := partition_set.decide()) is not None:
            counts["windows"] += isinstance(decision, ClosedWindow)
            counts["late"] += isinstance(decision, LateItem)

    with (
        closing(_transport(topics.bootstrap_servers)) as transport,
        closing(transport.reader(dict.fromkeys(modality_of, 0))) as reader,
    ):

        def work() -> float:
            left = topics.count
            at_ns = 0
            while left > 0:
                records = reader.poll(1.0).records
                at_ns = time.monotonic_ns()
                for record in records:
                    positions[modality_of[record.tp]] = record.offset + 1
                partition_set.receive(records, positions, at_ns=at_ns)
                decide()
                left -= len(records)
            # The last records are only taken once a later query has found all topics read to their ends.
            ends = {tp: positions[modality] for tp, modality in modality_of.items()}
            partition_set.apply_end_offsets(ends, at_ns=at_ns + QUERY_DELAY_NS, wall_ns=time.time_ns())
            decide()
            return topics.count

        cost = measured(
            work, lambda: {"late_percent": 100 * counts["late"] / topics.count, "windows": counts["windows"]}
        )
    if partition_set.aligner.unread or not counts["windows"]:
        raise RuntimeError(
            f"peers-kafka: expected that all records are aligned, got {counts['windows']} windows, "
            f"{partition_set.aligner.unread} records unread"
        )
    return cost


def _record_of(entry: Entry) -> InputRecord:
    common = {
        "stream": entry.stream,
        "id": f"{entry.session}/{entry.modality}/{entry.seq}",
        "source": "bench:peers",
        "session": entry.session,
        "tracks": entry.tracks,
        "start_ns": entry.start_ns,
        "next_ns": entry.watermark_ns,
        "seq": entry.seq,
    }
    if entry.modality == "video":
        return VideoFrame.model_validate(common | {"data": b"a picture"})
    if entry.modality == "audio":
        return AudioChunk.model_validate(
            common | {"end_ns": entry.end_ns, "data": b"half a second", "sample_rate_hz": 16_000}
        )
    return SubtitleCue.model_validate(common | {"end_ns": entry.end_ns, "text": "some words"})


def _transport(servers: str) -> Transport:
    return open_transport(KafkaSettings(bootstrap_servers=servers, client="librdkafka"))


def _in_child(program: str, requirement: str, *args: str) -> Cost:
    """Run a program beside this one with the Python of its own environment."""
    python = _python(requirement)
    done = subprocess.run(  # noqa: S603 - our own program
        [python, Path(__file__).with_name(program), *args, str(WINDOW_S), str(WAIT_S)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


@cache
def _python(requirement: str) -> Path:
    """Return the Python of an environment with a package, which is made if it is missing."""
    environment = _ENVIRONMENTS / f"peers-{requirement.partition('==')[0]}"
    python = environment / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    if not python.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", "3.11", environment], check=True)  # noqa: S603 - uv is ours
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, requirement], check=True)  # noqa: S603 - as above
    return python
