"""Windows per second from a backlog of small windows: `python -m benchmarks.small_windows [seconds] [streams …]`.

It starts its own broker and Redis. The model is `null`, so the rate is that of alignment, preparation and above all of
publication: how long batches wait for the acknowledgements of earlier ones.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

from tests.worker.world import SECOND, Feed, jpeg, wav
from tools.devservers import DevKafka, DevRedis
from triptych.schemas.codec import encode
from triptych.schemas.names import MODALITIES, TOPIC_OF
from triptych.schemas.records import InputRecord
from triptych.service.health import Health
from triptych.settings.loading import load
from triptych.settings.tree import Settings
from triptych.transport.open import open_transport
from triptych.transport.protocols import Transport
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics
from triptych.worker.observability.events import Event, ResultsPublished, StageCompleted
from triptych.worker.publishing.stores.redis import RedisStore
from triptych.worker.run import WholeLog
from triptych.worker.wiring import Dependencies, open_pipeline

WINDOW_MS: Final = 100
STREAMS: Final = (1, 4)
PARTITIONS: Final = 6
_CLOSE_LIMIT_S: Final = 60.0


def main(args: Sequence[str]) -> None:
    """Print one line for each number of streams."""
    seconds, *numbers = (int(arg) for arg in args or ("20",))
    for streams in numbers or STREAMS:
        with DevKafka() as broker, DevRedis() as redis:
            settings = load(
                overrides={
                    "model.name": "null",
                    "window.size_ms": WINDOW_MS,
                    "window.hop_ms": WINDOW_MS,
                    "kafka.bootstrap_servers": broker.bootstrap_servers,
                    "redis.url": redis.url,
                    "pipeline": f"bench-{uuid.uuid4().hex[:8]}",
                },
                environ={},
            )
            with closing(open_transport(settings.kafka)) as transport:
                with closing(transport.admin()) as admin:
                    create_topics(admin, settings.pipeline, TopicSettings("", PARTITIONS))
                _send(transport, streams, seconds)
                _work(transport, settings, f"{streams} streams")


def _records(stream: str, seconds: int) -> Iterator[InputRecord]:
    """Yield a frame and a chunk for each window."""
    feed = Feed(stream, tracks=("video", "audio"))
    image, audio, step_s = jpeg(), wav(WINDOW_MS / 1_000), WINDOW_MS / 1_000
    for number in range(round(seconds / step_s)):
        next_ns = feed.start_ns + round((number + 1) * step_s * SECOND)
        yield feed.frame(number * step_s, image).model_copy(update={"next_ns": next_ns})
        yield feed.chunk(number * step_s, audio).model_copy(update={"next_ns": next_ns, "end_ns": next_ns})
    for modality in MODALITIES[:2]:
        yield feed.end(modality, seconds)


def _send(transport: Transport, streams: int, seconds: int) -> None:
    publisher = transport.publisher()
    for number in range(streams):
        for record in _records(f"feed-{number}", seconds):
            wire = encode(record)
            publisher.send(Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers))
    publisher.close(_CLOSE_LIMIT_S)


def _work(transport: Transport, settings: Settings, label: str) -> None:
    seen: list[tuple[float, Event]] = []
    store = RedisStore.connect(settings.redis.url, pipeline=settings.pipeline)
    hooks = [lambda event: seen.append((time.monotonic(), event))]
    dependencies = Dependencies(transport, store, hooks, Health())
    with open_pipeline(settings, dependencies, WholeLog.of(settings)) as pipeline:
        cpu_s = time.process_time()
        pipeline.run(threading.Event(), until_end=lambda: True)
        cpu_s = time.process_time() - cpu_s
    published = [(at_s, event) for at_s, event in seen if isinstance(event, ResultsPublished)]
    results = sum(event.results for _, event in published)
    took_s = published[-1][0] - published[0][0]
    stage_ms: dict[str, list[float]] = {}
    for _, event in seen:
        if isinstance(event, StageCompleted):
            stage_ms.setdefault(event.stage, []).append(event.took_ms)
    means = ", ".join(f"{stage} {sum(took) / len(took):.1f} ms x {len(took)}" for stage, took in stage_ms.items())
    sys.stdout.write(
        f"{label}: {results} windows in {took_s:.1f} s, {results / took_s:.0f} windows/s, "
        f"{len(published)} batches, {cpu_s / took_s:.2f} cores; {means}\n"
    )
    store.close()


if __name__ == "__main__":
    main(sys.argv[1:])
