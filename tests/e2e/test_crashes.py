"""A worker that is killed repeatedly publishes the same results as an undisturbed one, each window once.

The streams are live: they play as long as workers are killed. Afterwards another pipeline, with an undisturbed worker,
processes the same records.

    E2E_SEED=7 E2E_KILLS=5 E2E_MODEL=base pytest tests/e2e/test_crashes.py
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.e2e.films import write_film
from tests.e2e.programs import Installation, Program, assert_equal_results, status_response, wait_until
from tests.servers import require_librdkafka
from tools.devservers.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEED = int(os.environ.get("E2E_SEED", "20260101"))
KILLS = int(os.environ.get("E2E_KILLS", "10"))
LIBRDKAFKA_KILLS = 5
"""The road behind the client is the same, so a few kills show that it loses nothing at a restart."""
MODEL = os.environ.get("E2E_MODEL", "null")
STREAMS = {"hall": 440, "street": 660, "yard": 880}
START = "2026-01-01T00:00:00Z"
SETTINGS = {
    "TRIPTYCH_MODEL_NAME": MODEL,
    "TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS": "6000",
    "TRIPTYCH_WINDOW_SIZE_MS": "500" if MODEL == "null" else "2000",
    "TRIPTYCH_WORKER_COMMIT_INTERVAL_MS": "200",  # usually a killed worker has committed something
}
EARLY_SHARE = 0.2
"""The share of kills that hit a worker while it starts, joins the group or restores."""
READY = 200
STARTING_S = 4.0
READING_LIMIT_S = 180.0 if MODEL == "null" else 600.0
WORKING_S = 2.5

_log = logging.getLogger(__name__)


def _kill_at_random(
    worker: Program, port: int, dice: random.Random, *, has_published: Callable[[], bool] | None
) -> str:
    """Kill a worker, usually while it processes records, or once it `has_published`; return when."""
    if has_published is not None:
        wait_until(lambda: has_published() or not worker.is_running, "the worker to publish")
    elif dice.random() < EARLY_SHARE:
        time.sleep(dice.uniform(0, STARTING_S))
    else:
        wait_until(lambda: _is_ready(port) or not worker.is_running, "the worker to be ready")
        time.sleep(dice.uniform(0, WORKING_S))
    assert worker.is_running, f"the worker ended by itself:\n{worker.err}"
    when = "working" if _is_ready(port) else "starting"
    worker.kill()
    return when


def _is_ready(port: int) -> bool:
    return status_response(port, "/readyz")[0] == READY


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(
    ("client", "kill_count"), [("kafka-python", KILLS), ("librdkafka", min(KILLS, LIBRDKAFKA_KILLS))]
)
@pytest.mark.parametrize("seed", [SEED])
def test_a_worker_killed_many_times_has_the_results_of_an_undisturbed_one(
    install: Callable[..., Installation], tmp_path: Path, seed: int, client: str, kill_count: int
) -> None:
    """The same ids in the topic and in Redis, no duplicates, equal content."""
    if client == "librdkafka":
        require_librdkafka()
    here = install(**SETTINGS, TRIPTYCH_KAFKA_CLIENT=client)
    films = [str(write_film(tmp_path / f"{name}.mkv", seconds=30, tone_hz=hz)) for name, hz in STREAMS.items()]
    dice = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    kills: Counter[str] = Counter()
    published = 0
    with here.running("produce", *films, "--realtime", "--loop", "0", "--start-at", START) as producer:
        for left in reversed(range(kill_count)):
            before = here.count_results()
            (port,) = free_ports(1)
            # A worker may be killed before it has published anything, but not more than half of them.
            must_publish = published + left < kill_count / 2
            has_published = (lambda before=before: here.count_results() > before) if must_publish else None
            with here.running("work", TRIPTYCH_HTTP_PORT=str(port)) as worker:
                kills[_kill_at_random(worker, port, dice, has_published=has_published)] += 1
            published += here.count_results() > before
        producer.stop().succeeded()
    last = here.run("work", "--until-end", limit_s=READING_LIMIT_S).succeeded()

    undisturbed = here.other_pipeline(f"{here.pipeline}-undisturbed")
    undisturbed.run("work", "--until-end", limit_s=READING_LIMIT_S).succeeded()
    expected = undisturbed.in_topic()
    _log.info("%s; %d killed workers had published; %d windows; %s", kills, published, len(expected), last.err)
    assert {result.stream for result in expected} == set(STREAMS)
    assert_equal_results(here.in_topic(), expected)
    assert_equal_results(here.in_redis(), expected)
    assert kills["working"] >= kill_count / 2, f"too few kills hit a worker at work: {kills}"
    assert published >= kill_count / 2, f"only {published} of {kill_count} killed workers had published anything"
