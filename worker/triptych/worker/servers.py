"""Connects a worker to Kafka and Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from triptych.schemas.names import consumer_group
from triptych.schemas.tracing.trace_context import TraceSampler
from triptych.service.health import Health
from triptych.service.status import StatusServer
from triptych.service.tracing.exporter import open_exporter
from triptych.settings.tree import Settings
from triptych.transport.membership import check_members
from triptych.transport.open import open_transport
from triptych.transport.topics import check_topics
from triptych.worker.observability.heap import HeapHook
from triptych.worker.observability.hooks import Hook
from triptych.worker.observability.logs import log_hook
from triptych.worker.observability.metrics import Metrics
from triptych.worker.observability.readiness import STARTING, ReadinessHook
from triptych.worker.observability.traces import TraceHook, counted
from triptych.worker.publishing.stores.redis import RedisStore
from triptych.worker.wiring import Dependencies


@contextmanager
def open_dependencies(
    settings: Settings, *, any_port: bool = False, equal_topics: bool = False
) -> Iterator[Dependencies]:
    """Connect to Kafka and Redis, check the topics and the group, and start the status server.

    With `any_port` the status server takes a free port if that of the settings is in use. With `equal_topics` the
    topics must have the same number of partitions now; otherwise the pipeline waits for that.

    Raises:
        TriptychError: a server does not answer, a topic is missing or has other settings, or the group has members of
            the other kind (static or dynamic).
    """
    with ExitStack() as stack:
        metrics, health = Metrics(), Health(starting=STARTING)
        if settings.http.port:
            stack.enter_context(StatusServer.from_settings(settings.http, metrics.registry, health, any_port=any_port))
        transport = open_transport(settings.kafka)
        stack.callback(transport.close)
        check_topics(transport, settings.pipeline, settings.kafka.max_record_bytes, equal=equal_topics)
        check_members(transport, consumer_group(settings.pipeline), settings.kafka.group_instance_id)
        store = RedisStore.from_settings(settings.redis, pipeline=settings.pipeline)
        stack.callback(store.close)
        hooks: list[Hook] = [
            log_hook(sampler=TraceSampler(settings.trace.effective_ratio)),
            metrics,
            ReadinessHook(health),
            HeapHook(),
        ]
        exporter = stack.enter_context(open_exporter(settings.trace, "triptych-worker", on_handled=counted(metrics)))
        if exporter is not None:
            hooks.append(TraceHook(exporter, settings.pipeline))
        yield Dependencies(transport, store, hooks, health)
