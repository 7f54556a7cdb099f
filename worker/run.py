"""Running a worker as a program: its servers, its signals, its end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from triptych.logs import configure_logs
from triptych.settings import Settings
from triptych.transport.kafka import KafkaTransport
from triptych.transport.topics import check_topics
from triptych.worker.observability.health import Health
from triptych.worker.observability.http import StatusServer
from triptych.worker.observability.logs import log_hook
from triptych.worker.observability.metrics import Metrics
from triptych.worker.observability.readiness import ReadinessHook
from triptych.worker.pipeline import Report
from triptych.worker.sinks.protocol import StoreLimits
from triptych.worker.sinks.redis import RedisStore
from triptych.worker.wiring import Surroundings, open_pipeline


def work(settings: Settings, *, until_end: bool = False) -> Report:
    """Run a worker on Kafka and Redis until a signal comes, or until the end of the topics."""
    configure_logs(settings.log)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        metrics, health = Metrics(), Health()
        if settings.http.port:
            stack.enter_context(StatusServer(settings.http.host, settings.http.port, metrics.registry, health))
        transport = KafkaTransport(settings.kafka)
        stack.callback(transport.close)
        check_topics(transport, settings.pipeline, settings.kafka.max_record_bytes)
        limits = StoreLimits(settings.redis.results_maxlen, settings.redis.latest_ttl_s, settings.redis.key_ttl_s)
        store = RedisStore.connect(settings.redis.url, pipeline=settings.pipeline, limits=limits)
        stack.callback(store.close)
        around = Surroundings(transport, store, [log_hook(), metrics, ReadinessHook(health)], health)
        pipeline = stack.enter_context(open_pipeline(settings, around))
        return pipeline.run(stop, until_end=lambda: until_end)


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that the first SIGTERM or SIGINT sets; a second one exits at once. Old handlers are put back."""
    stop = threading.Event()

    def on_signal(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    former = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
