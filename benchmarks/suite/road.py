"""A window's road from its records to its result, without a model: `road`, `road-servers`, `streams`, `latency`."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Final

import cv2
import numpy as np

from benchmarks.frame import Benchmark, Cost, measured
from benchmarks.suite import Size
from tests.worker.world import SECOND, Feed, World, wav
from triptych.models.model import InputSpec
from triptych.schemas.codec import encode
from triptych.schemas.names import TOPIC_OF
from triptych.schemas.records import AudioChunk, InputRecord, SubtitleCue, VideoFrame
from triptych.service.health import Health
from triptych.settings.loading import load
from triptych.transport.kafka.transport import KafkaTransport
from triptych.transport.protocols import Transport
from triptych.transport.records import Message, Record
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.alignment.entry import READING_ORDER
from triptych.worker.media.audio import decode_audio
from triptych.worker.media.picture import decode_picture
from triptych.worker.observability.events import Event, ResultsPublished
from triptych.worker.observability.metrics import Metrics
from triptych.worker.partitions.partition import PartitionSet
from triptych.worker.publishing.stores.redis import RedisStore
from triptych.worker.run import WholeLog
from triptych.worker.wiring import Dependencies, open_pipeline

WINDOW_S: Final = 2
_SPEC: Final = InputSpec(4, 32, 32, 16_000)
_QUALITY: Final = (cv2.IMWRITE_JPEG_QUALITY, 85)
"""That of `triptych produce`."""
_NULL: Final[Mapping[str, object]] = {"model.name": "null"}
_PICTURES: Final = 8
"""How many different pictures there are."""


def road_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of a whole worker on topics and a store in memory."""
    films = short_films(streams=size(10, 2), windows=size(30, 2))

    def work() -> Cost:
        return in_memory(films)

    return Benchmark(
        "road",
        "What does a window of two pictures cost from the topics to its result, without a model?",
        "window",
        {
            "decoding its media": lambda: measured(lambda: _decode_media(films)),
            "the worker, in memory": work,
        },
        limit="decoding its media",
        ours="the worker, in memory",
        note="The topics in memory stand for Kafka: their cost is in it, that of Kafka's client is not.",
    )


def road_servers_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of a whole worker on a real Kafka and a real Redis, which each run starts."""
    films = short_films(streams=size(10, 2), windows=size(30, 2))
    return Benchmark(
        "road-servers",
        "What does a window of two pictures cost a worker on a real Kafka and Redis, without a model?",
        "window",
        {
            "decoding its media": lambda: measured(lambda: _decode_media(films)),
            "the worker, Kafka and Redis": lambda: _on_servers(films),
        },
        limit="decoding its media",
        ours="the worker, Kafka and Redis",
        note="Goal: at most 2.5 ms of CPU a window.",
    )


def streams_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of a worker by the number of streams, with the same number of windows."""
    windows = size(300, 20)
    films = {
        streams: short_films(streams, max(1, windows // streams))
        for streams in ((1, 2) if size.is_small else (1, 10, 100, 300))
    }
    return Benchmark(
        "streams",
        "Does a window cost the same with many streams as with one?",
        "window",
        {_streams_name(streams): lambda own=own: in_memory(own) for streams, own in films.items()},
        limit=_streams_name(1),
        ours=_streams_name(max(films)),
        goal=1.1,
    )


def latency_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of the delay from the last record that a window needs to its publication."""
    seconds = size(20, 2)
    return Benchmark(
        "latency",
        "How long after the last record that it needs is a window published, without a model?",
        "window",
        {"1 live stream": lambda: _live(1, seconds), "15 live streams": lambda: _live(15, seconds)},
        limit="1 live stream",
        ours="15 live streams",
        note="Topics and store in memory; batch.max_delay_ms is 0. Goal: p50 at most 20 ms, p99 at most 100 ms.",
    )


def _streams_name(streams: int) -> str:
    return f"{streams} stream{'s' * (streams > 1)}"


def short_films(streams: int, windows: int, *, pictures_per_window: int = 2) -> list[list[InputRecord]]:
    """Return the records of streams of some windows: pictures of 320x180, two chunks a second, and a cue a window."""
    rng = np.random.default_rng(7)
    blocks = [rng.integers(0, 255, (18, 32, 3), np.uint8) for _ in range(_PICTURES)]
    images = [
        cv2.imencode(".jpg", cv2.resize(block, (320, 180), interpolation=cv2.INTER_CUBIC), _QUALITY)[1].tobytes()
        for block in blocks
    ]
    return [_film(Feed(f"feed-{number}"), windows, images, pictures_per_window) for number in range(streams)]


def closed_windows(films: Sequence[Sequence[InputRecord]]) -> list[ClosedWindow]:
    """Return the windows of films as the aligner closes them."""
    positions = dict.fromkeys(READING_ORDER, 0)
    partition_set = PartitionSet(0, AlignConfig(), positions, partitions=1, restored={})
    records = []
    for record in (record for turn in zip(*films, strict=True) for record in turn):
        wire, modality = encode(record), record.modality
        arrival_ns = record.start_ns + SECOND
        records.append(
            Record(TOPIC_OF[modality], 0, positions[modality], arrival_ns, wire.key, wire.value, tuple(wire.headers))
        )
        positions[modality] += 1
    partition_set.receive(records, positions, at_ns=0)
    windows = []
    while (decision := partition_set.decide()) is not None:
        if isinstance(decision, ClosedWindow):
            windows.append(decision)
    return windows


def _film(feed: Feed, windows: int, images: Sequence[bytes], pictures: int) -> list[InputRecord]:
    records: list[InputRecord] = []
    sound, step_s = wav(0.5), WINDOW_S / pictures
    for begin in range(0, windows * WINDOW_S, WINDOW_S):
        own: list[tuple[float, InputRecord]] = [
            (begin, feed.cue(begin, begin + 1, f"words at {begin}", begin + WINDOW_S))
        ]
        for number in range(pictures):
            at_s = begin + number * step_s
            next_ns = feed.start_ns + round((at_s + step_s) * SECOND)
            frame = feed.frame(at_s, images[(begin + number) % len(images)]).model_copy(update={"next_ns": next_ns})
            own.append((at_s, frame))
        own += [(begin + half / 2, feed.chunk(begin + half / 2, sound)) for half in range(2 * WINDOW_S)]
        records += [record for _, record in sorted(own, key=lambda each: each[0])]
    return records + [feed.end(modality, windows * WINDOW_S) for modality in feed.tracks]


def _windows(films: Sequence[Sequence[InputRecord]]) -> int:
    """Return how many windows the films have: one for each cue."""
    return sum(isinstance(record, SubtitleCue) for film in films for record in film)


def _decode_media(films: Sequence[Sequence[InputRecord]]) -> float:
    for film in films:
        for record in film:
            if isinstance(record, VideoFrame):
                decode_picture(record.data, _SPEC)
            elif isinstance(record, AudioChunk):
                decode_audio(record, _SPEC.sample_rate_hz)
    return _windows(films)


def _send(transport: Transport, films: Sequence[Sequence[InputRecord]]) -> None:
    """Send the films, their records in turn."""
    publisher = transport.publisher()
    for turn in zip(*films, strict=True):
        for record in turn:
            wire = encode(record)
            publisher.send(Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers))
    publisher.close(60)


def in_memory(films: Sequence[Sequence[InputRecord]], overrides: Mapping[str, object] = _NULL) -> Cost:
    """Run a worker with these settings on topics and a store in memory, and return the cost without its start."""
    world = World()
    world.settings = load(overrides=dict(overrides), environ={})
    _send(world.transport, films)
    dependencies = Dependencies(world.transport, world.store, [Metrics(), world.events.append], Health())
    return _worked(dependencies, world.settings, films, world.events)


def _on_servers(films: Sequence[Sequence[InputRecord]]) -> Cost:
    from tools.devservers import DevKafka, DevRedis  # noqa: PLC0415 - only where servers are

    with ExitStack() as stack:
        broker, redis = stack.enter_context(DevKafka()), stack.enter_context(DevRedis())
        overrides = {
            "model.name": "null",
            "kafka.bootstrap_servers": broker.bootstrap_servers,
            "redis.url": redis.url,
            "pipeline": f"bench-{uuid.uuid4().hex[:8]}",
        }
        settings = load(overrides=overrides, environ={})
        transport = stack.enter_context(closing(KafkaTransport(settings.kafka)))
        with closing(transport.admin()) as admin:
            create_topics(admin, settings.pipeline, TopicSettings("", 6))
        _send(transport, films)
        store = stack.enter_context(closing(RedisStore.connect(settings.redis.url, pipeline=settings.pipeline)))
        events: list[Event] = []
        dependencies = Dependencies(transport, store, [Metrics(), events.append], Health())
        return _worked(dependencies, settings, films, events)


def _worked(dependencies: Dependencies, settings: object, films: Sequence[object], events: Sequence[Event]) -> Cost:
    """Run a worker to the end of the topics. Its start is not measured."""
    with open_pipeline(settings, dependencies, WholeLog.of(settings)) as pipeline:  # type: ignore[arg-type]

        def work() -> float:
            pipeline.run(threading.Event(), until_end=lambda: True)
            return sum(event.results for event in events if isinstance(event, ResultsPublished))

        cost = measured(work)
    expected = _windows(films)  # type: ignore[arg-type]
    if cost.units < expected:
        raise RuntimeError(f"road: expected {expected:.0f} results, got {cost.units:.0f}")
    return cost


def _live(streams: int, seconds: int) -> Cost:
    """Play streams at their own speed, and measure when the results come."""
    world = World()
    with closing(world.transport.admin()) as admin:
        create_topics(admin, world.settings.pipeline, TopicSettings("", 6))
    begin_ns = time.time_ns() + SECOND
    images = [cv2.imencode(".jpg", np.full((36, 64, 3), 128, np.uint8))[1].tobytes()]
    films = [
        _film(Feed(f"feed-{number}", start_ns=begin_ns + number * SECOND // 15), seconds // WINDOW_S, images, 2)
        for number in range(streams)
    ]
    stop = threading.Event()
    dependencies = Dependencies(world.transport, world.store, [Metrics()], Health())

    def play() -> None:
        publisher = world.transport.publisher()
        for record in sorted((r for film in films for r in film), key=_due_ns):
            time.sleep(max(0, _due_ns(record) - time.time_ns()) / SECOND)
            wire = encode(record)
            publisher.send(Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers))
        publisher.close(5)
        time.sleep(0.5)
        stop.set()

    def work() -> float:
        player = threading.Thread(target=play)
        player.start()
        with open_pipeline(world.settings, dependencies, WholeLog.of(world.settings)) as pipeline:
            pipeline.run(stop)
        player.join()
        return _windows(films)

    def values() -> Mapping[str, float]:
        delays_ms = sorted(
            result.published_ns / 1e6 - result.arrival_ms.last
            for result in world.results()
            if result.arrival_ms.last is not None
        )
        return {
            f"p{rank}_ms": delays_ms[min(len(delays_ms) - 1, len(delays_ms) * rank // 100)] for rank in (50, 90, 99)
        }

    return measured(work, values)


def _due_ns(record: InputRecord) -> int:
    """Return when a live producer sends a record: when its media is over."""
    return getattr(record, "end_ns", record.start_ns)
