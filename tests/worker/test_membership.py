"""A worker with a slow model stays in its group, on a real broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing

import pytest

from tests.worker.world import Feed, World
from tools.devservers import DevKafka, KafkaOptions
from triptych.models.model import InputSpec
from triptych.models.null import NullModel
from triptych.models.prediction import WindowPrediction
from triptych.models.window import PreparedWindow
from triptych.settings.loading import load
from triptych.transport.kafka.transport import KafkaTransport
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics
from triptych.worker.observability.events import PartitionsRevoked

LIMIT_S = 6.0


class _Slow(NullModel):
    """Takes longer for its first batch than the maximum poll interval."""

    def __init__(self, spec: InputSpec) -> None:
        super().__init__(spec)
        self.was_slow = False

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        if not self.was_slow:
            self.was_slow = True
            time.sleep(1.5 * LIMIT_S)
        return super().predict(windows)


def test_a_model_call_longer_than_the_poll_interval_keeps_the_membership(
    start_kafka: Callable[[KafkaOptions], DevKafka], feed: Callable[..., Feed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Polling continues: no partition is revoked or lost, and each window is published once."""
    world = World()
    model = _Slow(world.spec)
    monkeypatch.setattr("triptych.worker.wiring.model_from", lambda _: model)
    settings = {
        "model.name": "null",
        "kafka.bootstrap_servers": start_kafka(KafkaOptions()).bootstrap_servers,
        "kafka.session_timeout_ms": int(LIMIT_S * 1_000),
        "kafka.max_poll_interval_ms": int(LIMIT_S * 1_000),
        "kafka.hand_over_limit_ms": 500,
        "align.idle_timeout_ms": 1_000,
    }
    world.settings = load(overrides=settings, environ={})
    with closing(KafkaTransport(world.settings.kafka)) as transport:
        world.transport = transport
        create_topics(transport.admin(), world.settings.pipeline, TopicSettings("", replication=1))
        world.send(feed("city").play(4))
        with world.open() as pipeline:
            pipeline.run(threading.Event(), until_end=lambda: True)
        results = world.results()

    assert model.was_slow
    assert len({result.id for result in results}) == len(results) == 2
    assert world.seen(PartitionsRevoked) == []
