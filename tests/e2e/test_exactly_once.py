"""Exactly-once delivery on the results topic, with a worker that is killed between sending and committing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from kafka import KafkaConsumer

from tests.e2e.films import write_film
from tests.e2e.programs import Installation, assert_equal_results
from triptych.schemas.names import results_topic

if TYPE_CHECKING:
    from pathlib import Path

STREAMS = {"hall": 440, "street": 660, "yard": 880}
SECONDS = 10
START = "2026-01-01T00:00:00Z"
SETTINGS = {
    "TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS": "6000",
    "TRIPTYCH_WINDOW_SIZE_MS": "500",
    "TRIPTYCH_BATCH_MAX_WINDOWS": "4",
    "TRIPTYCH_KAFKA_GROUP_INSTANCE_ID": "w",
}
PROGRAM_LIMIT_S = 180


def kill_in_transaction(here: Installation, number: int) -> int:
    """Let a worker die in one of its transactions; return its exit code."""
    command = [sys.executable, "-m", "tests.e2e.dying_worker", str(number), "--until-end"]
    environ = here.environ(TRIPTYCH_DELIVERY="exactly_once")
    return subprocess.run(command, env=environ, capture_output=True, timeout=PROGRAM_LIMIT_S, check=False).returncode


def count_appended(here: Installation) -> int:
    """Count the records of the results topic, including those of aborted transactions."""
    reading = KafkaConsumer(bootstrap_servers=here.bootstrap_servers, auto_offset_reset="earliest", group_id=None)
    with closing(reading) as consumer:
        consumer.subscribe([results_topic(here.pipeline)])
        counted, silent = 0, 0
        while silent < 3:
            found = sum(len(batch) for batch in consumer.poll(timeout_ms=500).values())
            counted += found
            silent = 0 if found or not counted else silent + 1
        return counted


@pytest.mark.timeout(300)
def test_a_worker_killed_before_its_commits_publishes_each_result_once(
    install: Callable[..., Installation], tmp_path: Path
) -> None:
    """Its aborted transactions stay on the topic, but readers of committed records do not see them."""
    here = install(**SETTINGS)
    films = [str(write_film(tmp_path / f"{name}.mkv", seconds=SECONDS, tone_hz=hz)) for name, hz in STREAMS.items()]
    here.run("produce", *films, "--fast", "--start-at", START).succeeded()

    for number in (1, 2, 4):
        assert kill_in_transaction(here, number) == -signal.SIGKILL
    here.run("work", "--delivery", "exactly_once", "--until-end").succeeded()

    undisturbed = here.other_pipeline(f"{here.pipeline}-undisturbed")
    undisturbed.run("work", "--until-end").succeeded()
    expected = undisturbed.in_topic()
    assert len(expected) == len(STREAMS) * SECONDS * 2
    assert_equal_results(here.in_topic(), expected)
    assert_equal_results(here.in_redis(), expected)
    assert_equal_results(here.delivered_results("kafka"), expected)
    assert count_appended(here) > len(expected)
