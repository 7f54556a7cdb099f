"""What the demo runs on: a transport and a store, in memory or on servers, and the clips that it plays."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from triptych.consumers.subscription.redis_source import RedisSource
    from triptych.consumers.subscription.subscriber import Subscriber
    from triptych.producers.status.outcome import SourceOutcome
    from triptych.settings.tree import Settings
    from triptych.transport.protocols import Transport
    from triptych.worker.publishing.stores.protocol import ResultStore


@dataclass(frozen=True, slots=True)
class DemoParts:
    """The transport of the records, the store of the results, a subscriber to them, and Redis if it is the store."""

    transport: Transport
    store: ResultStore
    subscriber: Subscriber
    index: RedisSource | None = None


def parts_in_memory(stack: ExitStack, settings: Settings) -> DemoParts:
    """Return parts without servers."""
    from triptych.consumers.subscription.subscriber import Subscriber
    from triptych.transport.memory.transport import MemoryTransport
    from triptych.worker.publishing.stores.memory import MemoryStore

    transport = MemoryTransport(max_record_bytes=settings.kafka.max_record_bytes)
    _make_topics(transport, settings)
    subscriber = stack.enter_context(Subscriber.from_transport(transport, pipeline=settings.pipeline))
    return DemoParts(transport, MemoryStore(), subscriber)


def parts_on_servers(stack: ExitStack, settings: Settings) -> DemoParts:
    """Return parts on the servers of the settings.

    Raises:
        UsageError: no Redis answers.
        TransportError: no Kafka answers.
    """
    from triptych.consumers.subscription.redis_source import RedisSource
    from triptych.consumers.subscription.subscriber import Subscriber
    from triptych.transport.open import open_transport
    from triptych.transport.topics import check_topics
    from triptych.worker.publishing.stores.errors import StoreUnavailableError
    from triptych.worker.publishing.stores.redis import RedisStore

    store = RedisStore.from_settings(settings.redis, pipeline=settings.pipeline)
    stack.callback(store.close)
    try:
        store.ping()
    except StoreUnavailableError as error:
        raise UsageError(
            f"demo --kafka: expected Kafka and Redis, found no Redis: {error} Start it, name another one with "
            "--redis-url, or leave out --kafka: then no server is needed."
        ) from error
    transport = open_transport(settings.kafka)
    stack.callback(transport.close)
    _make_topics(transport, settings)
    check_topics(transport, settings.pipeline, settings.kafka.max_record_bytes)
    subscriber = stack.enter_context(Subscriber.from_redis(settings.redis.full_url(), pipeline=settings.pipeline))
    index = stack.enter_context(closing(RedisSource(settings.redis.full_url(), pipeline=settings.pipeline)))
    return DemoParts(transport, store, subscriber, index)


def _make_topics(transport: Transport, settings: Settings) -> None:
    from triptych.transport.topic_settings import TopicSettings
    from triptych.transport.topics import create_topics

    admin = transport.admin()
    create_topics(admin, settings.pipeline, TopicSettings("", max_record_bytes=settings.kafka.max_record_bytes))
    admin.close()


def play_clips(
    transport: Transport, clips: Sequence[Path], stop: threading.Event, *, realtime: bool, loops: int = 1
) -> tuple[SourceOutcome, ...]:
    """Play clips as streams, each `loops` times (0: until the stop). Blocks."""
    from triptych.producers.run import produce_all
    from triptych.producers.sources.playback_plan import PlaybackPlan
    from triptych.producers.sources.source import FileSource
    from triptych.producers.sources.stream_id import stream_ids

    plans = [
        PlaybackPlan(source=FileSource(clip), stream=stream, realtime=realtime, loops=loops)
        for clip, stream in zip(clips, stream_ids([clip.name for clip in clips]), strict=True)
    ]
    return produce_all(plans, transport, stop=stop)
