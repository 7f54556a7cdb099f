"""Outages of Kafka and Redis: everything that was sent is processed and published, each window once."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.e2e.films import write_film
from tests.e2e.programs import Installation, assert_equal_results, wait_until
from tests.servers import require_librdkafka
from tools.devservers import KafkaOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tools.devservers import DevKafka, DevRedis

START = "2026-01-01T00:00:00Z"
AWAY_S = 3.0
SESSION_TIMEOUT_S = 450.0
"""Whoever waits for it misses the time limits."""
SETTINGS = {"TRIPTYCH_WINDOW_SIZE_MS": "500"}
WINDOWS = 12 * 2


def test_a_worker_waits_for_redis(
    install: Callable[..., Installation], start_redis: Callable[[], DevRedis], tmp_path: Path
) -> None:
    """Results are on the topic; Redis gets them when it starts."""
    redis_server = start_redis()
    redis_server.stop()
    here = replace(install(**SETTINGS), redis_url=redis_server.url)
    film = write_film(tmp_path / "hall.mkv", seconds=12, tone_hz=440)
    here.run("produce", str(film), "--start-at", START).succeeded()

    with here.running("work", "--until-end") as worker:
        worker.wait_for("retry_scheduled")
        redis_server.start()
        worker.wait().succeeded()

    assert len(here.in_topic()) == WINDOWS
    assert_equal_results(here.in_redis(), here.in_topic())


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_nothing_is_lost_during_outages_of_redis_and_kafka(
    install: Callable[..., Installation],
    start_redis: Callable[[], DevRedis],
    start_kafka: Callable[[KafkaOptions], DevKafka],
    tmp_path: Path,
    client: str,
) -> None:
    """Redis freezes and is restarted; Kafka freezes and is killed. Producer and worker continue by themselves."""
    if client == "librdkafka":
        require_librdkafka()
    redis_server, kafka = start_redis(), start_kafka(KafkaOptions())
    chosen = install(**SETTINGS, TRIPTYCH_KAFKA_CLIENT=client)
    here = replace(chosen, redis_url=redis_server.url, bootstrap_servers=kafka.bootstrap_servers)
    here.make_topics()
    film = write_film(tmp_path / "hall.mkv", seconds=12, tone_hz=440)
    with here.running("work") as worker:
        worker.wait_for("partitions_assigned")
        with here.running("produce", str(film), "--realtime", "--loop", "0", "--start-at", START) as producer:
            _more_results(here)
            redis_server.process.freeze()
            time.sleep(AWAY_S)
            redis_server.process.thaw()
            _more_results(here)
            redis_server.restart()
            _more_results(here)
            kafka.freeze()
            time.sleep(AWAY_S)
            kafka.thaw()
            _more_results(here)
            kafka.kill()
            kafka.start()
            _more_results(here)
            producer.stop().succeeded()
        worker.stop().succeeded()
    here.run("work", "--until-end").succeeded()

    undisturbed = here.other_pipeline(f"{here.pipeline}-undisturbed")
    undisturbed.run("work", "--until-end").succeeded()
    assert_equal_results(here.in_topic(), undisturbed.in_topic())
    assert_equal_results(here.in_redis(), undisturbed.in_topic())
    assert all(result.modalities.video.gaps == result.modalities.audio.gaps == 0 for result in here.in_topic())


@pytest.mark.timeout(300)
def test_a_static_member_that_was_killed_does_not_wait_for_the_session_timeout(
    install: Callable[..., Installation], start_kafka: Callable[[KafkaOptions], DevKafka], tmp_path: Path
) -> None:
    """It has its partitions again at once, also if the broker was killed between. Another worker waits for minutes."""
    timeout = {"TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS": str(round(SESSION_TIMEOUT_S * 1_000))}
    kafka = start_kafka(KafkaOptions())
    here = replace(
        install(**SETTINGS, **timeout, TRIPTYCH_KAFKA_GROUP_INSTANCE_ID="worker-1"),
        bootstrap_servers=kafka.bootstrap_servers,
    )
    here.make_topics()
    film = write_film(tmp_path / "hall.mkv", seconds=12, tone_hz=440)
    with here.running("produce", str(film), "--realtime", "--loop", "0"):
        for broker_is_killed in (False, False, True):
            if broker_is_killed:
                kafka.kill()
                kafka.start()
            before = len(here.in_redis())
            with here.running("work") as worker:  # killed at the end of the block
                worker.wait_for("partitions_assigned")
                wait_until(lambda before=before: len(here.in_redis()) > before, "another result")


def _more_results(here: Installation) -> None:
    """Wait until the worker has published again."""
    before = here.count_results()
    wait_until(lambda: here.count_results() > before, "another result")
