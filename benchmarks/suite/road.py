"""A window's road from its records to its result, without a model: `road`, `road-servers`."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from benchmarks.frame import Benchmark, Cost, measured
from benchmarks.suite import Size
from tests.worker.world import SECOND, Feed, World, wav
from triptych.models.model import InputSpec
from triptych.schemas.codec import encode
from triptych.schemas.names import MODALITIES, TOPIC_OF, Modality
from triptych.schemas.records import AudioChunk, InputRecord, SubtitleCue, VideoFrame
from triptych.service.health import Health
from triptych.settings.loading import load
from triptych.transport.open import open_transport
from triptych.transport.protocols import Transport
from triptych.transport.records import Message, Record
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.alignment.entry import READING_ORDER
from triptych.worker.media.audio import decode_audio
from triptych.worker.media.picture import decode_picture
from triptych.worker.observability.events import Event, PartitionRestored, ResultsPublished
from triptych.worker.observability.metrics import Metrics
from triptych.worker.partitions.partition import PartitionSet
from triptych.worker.publishing.stores.redis import RedisStore
from triptych.worker.run import WholeLog
from triptych.worker.wiring import Dependencies, open_pipeline, partitions_of

WINDOW_S: Final = 2
_SPEC: Final = InputSpec(4, 32, 32, 16_000)
_QUALITY: Final = (cv2.IMWRITE_JPEG_QUALITY, 85)
"""That of `triptych produce`."""
_NULL: Final[Mapping[str, object]] = {"model.name": "null"}
_PARTITIONS: Final = 6
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
    unseen = short_films(streams=size(10, 2), windows=size(90, 2), pictures_per_window=0)
    return Benchmark(
        "road-servers",
        "What does a window of two pictures cost a worker on a real Kafka and Redis, without a model?",
        "window",
        {
            "decoding its media": lambda: measured(lambda: _decode_media(films)),
            "the worker, kafka-python": lambda: _on_servers(films, "kafka-python"),
            "the worker, librdkafka": lambda: _on_servers(films, "librdkafka"),
            "without pictures, kafka-python": lambda: _on_servers(unseen, "kafka-python"),
            "without pictures, librdkafka": lambda: _on_servers(unseen, "librdkafka"),
        },
        limit="decoding its media",
        ours="the worker, librdkafka",
        cpu_goals_us={"the worker, librdkafka": 2_500},
        clock_goals_us={"without pictures, librdkafka": 2_500},
        note="`windows_per_s` is by the clock, with the servers on the same CPUs. 2.5 ms a window are 400 "
        "windows a second. Joining the group and restoring the partitions is not measured.",
    )


def short_films(
    streams: int, windows: int, *, pictures_per_window: int = 2, image: bytes | None = None
) -> list[list[InputRecord]]:
    """Return the records of streams of some windows: pictures of 320x180, two chunks a second, and a cue a window.

    `image` takes the place of all pictures.
    """
    rng = np.random.default_rng(7)
    blocks = [rng.integers(0, 255, (18, 32, 3), np.uint8) for _ in range(_PICTURES)]
    images = [
        cv2.imencode(".jpg", cv2.resize(block, (320, 180), interpolation=cv2.INTER_CUBIC), _QUALITY)[1].tobytes()
        for block in blocks
    ]
    shown = images if image is None else [image]
    return [film(Feed(f"feed-{number}"), windows, shown, pictures_per_window) for number in range(streams)]


def polled(films: Sequence[Sequence[InputRecord]]) -> tuple[list[Record], dict[Modality, int]]:
    """Return the records of films, in turn, as read from one partition of each topic, and the next offsets."""
    positions = dict.fromkeys(READING_ORDER, 0)
    records = []
    for record in (record for turn in zip(*films, strict=True) for record in turn):
        wire, modality = encode(record), record.modality
        arrival_ns = record.start_ns + SECOND
        records.append(
            Record(TOPIC_OF[modality], 0, positions[modality], arrival_ns, wire.key, wire.value, tuple(wire.headers))
        )
        positions[modality] += 1
    return records, positions


def closed_windows(films: Sequence[Sequence[InputRecord]]) -> list[ClosedWindow]:
    """Return the windows of films as the aligner closes them."""
    partition_set = PartitionSet(0, AlignConfig(), dict.fromkeys(READING_ORDER, 0), partitions=1, restored={})
    records, positions = polled(films)
    partition_set.receive(records, positions, at_ns=0)
    windows = []
    while (decision := partition_set.decide()) is not None:
        if isinstance(decision, ClosedWindow):
            windows.append(decision)
    return windows


def film(feed: Feed, windows: int, images: Sequence[bytes], pictures: int) -> list[InputRecord]:
    """Return the records of one stream, with so many pictures a window, and its end."""
    records: list[InputRecord] = []
    feed.tracks = MODALITIES if pictures else ("audio", "subtitles")
    sound, step_s = wav(0.5), WINDOW_S / max(pictures, 1)
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
    with closing(world.transport.admin()) as admin:
        create_topics(admin, world.settings.pipeline, TopicSettings("", _PARTITIONS))
    dependencies = Dependencies(world.transport, world.store, [Metrics(), world.events.append], Health())
    return _worked(dependencies, world.settings, films, world.events)


def _on_servers(films: Sequence[Sequence[InputRecord]], client: str) -> Cost:
    from tools.devservers import DevKafka, DevRedis  # noqa: PLC0415 - only where servers are

    with ExitStack() as stack:
        broker, redis = stack.enter_context(DevKafka()), stack.enter_context(DevRedis())
        overrides = {
            "model.name": "null",
            "kafka.bootstrap_servers": broker.bootstrap_servers,
            "kafka.client": client,
            "redis.url": redis.url,
            "pipeline": f"bench-{uuid.uuid4().hex[:8]}",
        }
        settings = load(overrides=overrides, environ={})
        transport = stack.enter_context(closing(open_transport(settings.kafka)))
        with closing(transport.admin()) as admin:
            create_topics(admin, settings.pipeline, TopicSettings("", _PARTITIONS))
        store = stack.enter_context(closing(RedisStore.connect(settings.redis.url, pipeline=settings.pipeline)))
        events: list[Event] = []
        dependencies = Dependencies(transport, store, [Metrics(), events.append], Health())
        cost = _worked(dependencies, settings, films, events)
        return replace(cost, values={"windows_per_s": cost.units / cost.wall_s})


def _worked(
    dependencies: Dependencies, settings: object, films: Sequence[Sequence[InputRecord]], events: Sequence[Event]
) -> Cost:
    """Run a worker on the films. Its start, until it has restored all partitions, is not measured, nor is sending.

    The client may fetch up to its limit of some megabytes while the films are sent.
    """
    partitions = partitions_of(dependencies.transport)
    with open_pipeline(settings, dependencies, WholeLog.of(settings)) as pipeline:  # type: ignore[arg-type]
        while sum(isinstance(event, PartitionRestored) for event in events) < partitions:
            pipeline.step()
        _send(dependencies.transport, films)

        def work() -> float:
            pipeline.run(threading.Event(), until_end=lambda: True)
            return sum(event.results for event in events if isinstance(event, ResultsPublished))

        cost = measured(work)
    expected = _windows(films)
    if cost.units < expected:
        raise RuntimeError(f"road: expected {expected:.0f} results, got {cost.units:.0f}")
    return cost
