"""Rebuild Redis from the results topic of a real broker: key by key as before, beside a running worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from tests.e2e.programs import Installation, by_id, wait_until
from tests.worker.world import Feed
from triptych.schemas.names import redis_latest_key
from triptych.schemas.results import Result

pytestmark = pytest.mark.timeout(300)  # it starts four programs, one after the other


def contents(here: Installation) -> dict[bytes, Any]:
    """Return what each key of the pipeline holds. Entries of streams count without their ids, which are times."""
    found: dict[bytes, Any] = {}
    with Redis.from_url(here.redis_url) as client:
        for key in client.scan_iter(match=f"{here.pipeline}:*"):
            match client.type(key):
                case b"stream":
                    found[key] = [fields for _, fields in client.xrange(key)]
                case b"zset" if key.endswith(b":streams"):
                    found[key] = sorted(client.zrange(key, 0, -1))
                case b"zset":
                    found[key] = client.zrange(key, 0, -1, withscores=True)
                case b"hash":
                    found[key] = client.hgetall(key)
                case _:
                    found[key] = client.get(key)
    return found


def delete_all(here: Installation) -> None:
    """Delete the keys of the pipeline, as FLUSHALL does for all."""
    with Redis.from_url(here.redis_url) as client:
        for key in list(client.scan_iter(match=f"{here.pipeline}:*")):
            client.delete(key)


def later(seconds: int) -> Feed:
    """Return the stream `city` in a later session."""
    return Feed("city", session=f"s{seconds}", start_ns=Feed("city").start_ns + seconds * 10**9)


def test_redis_is_rebuilt_as_it_was(install: Callable[..., Installation]) -> None:
    """Without a worker: equal. Beside one that publishes: complete, nothing twice, and the newest window is latest."""
    here = install()
    here.send(Feed("city").play(20))
    here.send(Feed("door").play(6))
    here.run("work", "--until-end").succeeded()
    before = contents(here)
    assert len(before) == 9  # four keys of each stream, and the set of streams
    delete_all(here)
    done = here.run("rebuild", "redis").succeeded()
    assert done.out == "13 results read; 13 of 2 streams were not in Redis, and are now\n"
    assert contents(here) == before

    with here.running("work") as worker:
        here.send(later(20).play(10, ended=False))
        wait_until(lambda: len(here.in_redis()) == 18, "results of a worker that has written its tail again")
        delete_all(here)
        here.send(later(30).play(10))
        wait_until(lambda: len(here.in_redis()) == 5, "results after the loss")
        again = here.run("rebuild", "redis").succeeded()
        wait_until(lambda: len(here.in_redis()) == 23, "everything")
        worker.stop().succeeded()

    assert "; 18 of 2 streams were not in Redis" in again.out
    assert by_id(here.in_redis()).keys() == by_id(here.in_topic()).keys()
    newest = max((each for each in here.in_topic() if each.stream == "city"), key=lambda each: each.end_ns)
    with Redis.from_url(here.redis_url) as client:
        latest = client.get(redis_latest_key(here.pipeline, "city"))
        assert isinstance(latest, bytes)
    assert Result.model_validate_json(latest).id == newest.id
