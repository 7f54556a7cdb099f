"""Running a worker as a program, on real servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from triptych.schemas.names import consumer_group
from triptych.service.health import Health
from triptych.service.logs import configure_logs
from triptych.service.signals import reload_on_hangup, stop_on_signal
from triptych.service.status import StatusServer
from triptych.settings.tree import Settings
from triptych.transport.kafka.transport import KafkaTransport
from triptych.transport.membership import check_members
from triptych.transport.topics import check_topics
from triptych.worker.observability.heap import HeapHook
from triptych.worker.observability.logs import log_hook
from triptych.worker.observability.metrics import Metrics
from triptych.worker.observability.readiness import STARTING, ReadinessHook
from triptych.worker.pipeline import RunReport
from triptych.worker.publishing.stores.protocol import StoreLimits
from triptych.worker.publishing.stores.redis import RedisStore
from triptych.worker.wiring import Dependencies, open_pipeline


def work(settings: Settings, *, until_end: bool = False) -> RunReport:
    """Run a worker on Kafka and Redis until a signal comes, or until the end of the topics."""
    if until_end:
        settings = settings.without_load_shedding()
    configure_logs(settings.log)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signal())
        reload_signal = stack.enter_context(reload_on_hangup(stop))
        around = replace(stack.enter_context(open_surroundings(settings)), reload_signal=reload_signal)
        pipeline = stack.enter_context(open_pipeline(settings, around))
        return pipeline.run(stop, until_end=lambda: until_end)


@contextmanager
def open_surroundings(settings: Settings) -> Iterator[Dependencies]:
    """Connect to Kafka and Redis, check that a worker may begin, and answer on the status port."""
    with ExitStack() as stack:
        metrics, health = Metrics(), Health(starting=STARTING)
        if settings.http.port:
            stack.enter_context(StatusServer.from_settings(settings.http, metrics.registry, health))
        transport = KafkaTransport(settings.kafka)
        stack.callback(transport.close)
        check_topics(transport, settings.pipeline, settings.kafka.max_record_bytes)
        check_members(transport, consumer_group(settings.pipeline), settings.kafka.group_instance_id)
        limits = StoreLimits(settings.redis.results_maxlen, settings.redis.latest_ttl_s, settings.redis.key_ttl_s)
        store = RedisStore.connect(settings.redis.full_url(), pipeline=settings.pipeline, limits=limits)
        stack.callback(store.close)
        yield Dependencies(transport, store, [log_hook(), metrics, ReadinessHook(health), HeapHook()], health)
