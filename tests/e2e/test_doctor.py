"""`triptych doctor` on real servers: a feed that is healthy, and every place where one may stop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import redis

from tests.e2e.programs import Installation, wait_until
from triptych.schemas.names import VIDEO_TOPIC
from triptych.transport.records import Message

Install = Callable[..., Installation]
Clip = Callable[[str], str]


def examined(here: Installation, *args: str, **variables: str) -> tuple[int, dict[str, Any]]:
    """Run the doctor, and return its exit code and its checks by step."""
    done = here.run("doctor", *args, "--json", **variables)
    assert done.exit_code in {0, 1}, done.err
    found = json.loads(done.out)
    assert found["ok"] == (done.exit_code == 0)
    stop = found["stops_at"]
    return done.exit_code, {"stop": stop and stop["step"], **{check["step"]: check for check in found["checks"]}}


@contextmanager
def working(here: Installation) -> Iterator[None]:
    """Run a worker that has joined its group."""
    with here.running("work") as worker:
        worker.wait_for("partitions_assigned")
        yield
        worker.stop().succeeded()


@pytest.mark.timeout(300)
def test_a_feed_is_followed_to_where_it_stops(install: Install, clip: Clip) -> None:
    """No producer, no worker, lag, a healthy feed, dead letters, an empty Redis: one after the other."""
    here = install(TRIPTYCH_WORKER_COMMIT_INTERVAL_MS="50")
    with working(here):
        code, found = examined(here, "film")
        assert (code, found["stop"]) == (1, "producer")
        assert "--stream film" in found["producer"]["remedy"]
        assert found["worker"]["status"] == "ok"

    here.run("produce", clip("librivox_city_15s.mkv"), "--stream", "film").succeeded()
    code, found = examined(here, "film")
    assert (code, found["stop"]) == (1, "worker")
    assert f"triptych work --pipeline {here.pipeline}" in found["worker"]["remedy"]
    assert found["lag"]["status"] == "ok"
    _, late = examined(here, "film", "--patience", "0.1", TRIPTYCH_ALIGN_IDLE_TIMEOUT_MS="100")
    assert (late["lag"]["status"], late["lag"]["remedy"]) == ("wrong", "start a worker")
    assert "records of its partitions are not committed" in late["lag"]["found"]
    assert "film" in examined(here, "fillm")[1]["producer"]["found"]

    with working(here):
        wait_until(lambda: examined(here, "film")[0] == 0, "a healthy feed")
        _, found = examined(here, "film")
        assert {found[step]["status"] for step in found if step != "stop"} == {"ok"}
        assert found["producer"]["found"].startswith("ended")
        plain = here.run("doctor").succeeded().out
        assert "ok       redis of film: " in plain
        assert plain.endswith("Nothing is wrong.\n")

        with closing(here.transport()) as transport:
            transport.publisher().send(Message(VIDEO_TOPIC, b"film", b"junk")).result(20)
        wait_until(lambda: examined(here, "film")[0] == 1, "the dead letter")
        code, found = examined(here, "film")
        assert (code, found["stop"]) == (1, "dead letters")
        assert f"dead list --stream film --pipeline {here.pipeline}" in found["dead letters"]["remedy"]

        with redis.Redis.from_url(here.redis_url) as client:
            client.delete(*client.scan_iter(match=f"{here.pipeline}:*"))
        code, found = examined(here, "film")
        assert found["redis"]["status"] == "wrong"
        assert "redis.url" in found["redis"]["remedy"]


def test_servers_that_are_not_there_are_named(install: Install) -> None:
    """With what to start; the other server is examined all the same."""
    here = install()
    code, found = examined(
        here, TRIPTYCH_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", TRIPTYCH_REDIS_URL="redis://127.0.0.1:1/0"
    )
    assert (code, found["stop"]) == (1, "kafka")
    assert "make kafka" in found["kafka"]["remedy"]
    assert "make redis" in found["redis"]["remedy"]
    code, found = examined(here, TRIPTYCH_REDIS_URL="redis://127.0.0.1:1/0")
    assert (code, found["kafka"]["status"], found["redis"]["status"]) == (1, "ok", "wrong")
    code, found = examined(here, "--pipeline", "unmade")
    assert (code, found["stop"]) == (1, "topics")
    assert "triptych topics create --pipeline unmade" in found["topics"]["remedy"]
