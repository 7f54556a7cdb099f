"""Tests of a subscription that need a real Redis: restarts, errors, gaps, expired streams."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from redis import Redis
from structlog.testing import capture_logs

from tests.answering_redis import answering
from tests.servers import open_server
from tools.devservers import DevRedis, DevRedisSentinel
from triptych.consumers.subscription import redis_source
from triptych.consumers.subscription.result_source import SourceError, SourceUnavailableError
from triptych.consumers.subscription.subscriber import Subscriber
from triptych.schemas.errors import UsageError
from triptych.schemas.names import redis_results_key, redis_streams_key
from triptych.worker.publishing.stores.errors import StoreUnavailableError

if TYPE_CHECKING:
    from tests.consumers.conftest import MakeResult, RedisBench
    from triptych.consumers.subscription.result_source import Gap
    from triptych.schemas.results import Result

OpenRedisBench = Callable[[str], "RedisBench"]
LIMIT_S = 60


def test_a_subscription_survives_a_restart_of_the_server(
    start_redis: Callable[[], DevRedis], open_redis_bench: OpenRedisBench, make_result: MakeResult
) -> None:
    """It waits while the server is unavailable, and continues without loss or duplicates."""
    server = start_redis()
    bench = open_redis_bench(server.url)
    bench.publish(*(make_result(number) for number in range(3)))
    seen: list[Result] = []
    with bench.subscriber() as subscriber, capture_logs() as logs:
        results = subscriber.results()
        seen += islice(results, 2)
        server.stop()
        follower = threading.Thread(target=lambda: seen.extend(islice(results, 4)))
        follower.start()
        wait_until(lambda: any(entry["event"] == "redis_unavailable" for entry in logs))
        server.start()
        bench.publish(make_result(3), make_result(4), make_result(0, "new"))
        follower.join(LIMIT_S)
        assert not follower.is_alive()
    assert [result.id for result in seen if result.stream == "city"] == [make_result(number).id for number in range(5)]
    assert seen.count(make_result(0, "new")) == 1


def test_a_subscription_can_be_stopped_while_the_server_is_unavailable(
    start_redis: Callable[[], DevRedis],
    open_redis_bench: OpenRedisBench,
    make_result: MakeResult,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The backoff, which is longer than the test waits, does not delay a stop."""
    monkeypatch.setattr(redis_source, "_MIN_BACKOFF_S", 100 * LIMIT_S)
    monkeypatch.setattr(redis_source, "_MAX_BACKOFF_S", 100 * LIMIT_S)
    server = start_redis()
    bench = open_redis_bench(server.url)
    bench.publish(make_result(0))
    with bench.subscriber() as subscriber, capture_logs() as logs:
        results = subscriber.results()
        assert next(results) == make_result(0)
        server.stop()
        follower = threading.Thread(target=lambda: list(results))
        follower.start()
        wait_until(lambda: any(entry["event"] == "redis_unavailable" for entry in logs))
        subscriber.stop()
        follower.join(LIMIT_S)
        assert not follower.is_alive()


def test_an_unavailable_server_at_the_start_is_an_error() -> None:
    """A wrong address is more likely than a server that starts later."""
    with Subscriber.from_redis("redis://127.0.0.1:1/0") as subscriber, pytest.raises(SourceUnavailableError):
        subscriber.results()


def test_rejected_credentials_are_an_error(start_redis: Callable[[], DevRedis]) -> None:
    """The message does not contain the password."""
    server = start_redis()
    with Redis.from_url(server.url) as client:
        client.config_set("requirepass", "right")
    for url in (server.url, server.url.replace("//", "//:wrong-secret@")):
        with Subscriber.from_redis(url) as subscriber, pytest.raises(SourceError) as caught:
            subscriber.results()
        assert "wrong-secret" not in str(caught.value)


def test_an_invalid_url_is_a_usage_error() -> None:
    """The message names the setting."""
    with pytest.raises(UsageError, match=r"redis\.url"):
        Subscriber.from_redis("http://example.test")


def test_a_subscription_that_falls_behind_reports_a_gap(redis_bench: RedisBench, make_result: MakeResult) -> None:
    """Entries trimmed between two reads are detected by the serial numbers."""
    gaps: list[Gap] = []
    redis_bench.publish(make_result(0))
    with redis_bench.subscriber(gaps.append) as subscriber:
        results = subscriber.results()
        assert next(results) == make_result(0)
        redis_bench.publish(*(make_result(number) for number in range(1, 5)))
        redis_bench.delete_before_last("city")
        assert next(results) == make_result(4)
    assert [(gap.place, gap.missed) for gap in gaps] == [("city", 3)]


def test_trimmed_first_results_of_a_new_stream_are_a_gap(redis_bench: RedisBench, make_result: MakeResult) -> None:
    """A stream that appeared after the cursor must be read from its first entry."""
    redis_bench.publish(make_result(0))
    with redis_bench.subscriber() as subscriber:
        results = subscriber.results()
        next(results)
        cursor = results.cursor
    redis_bench.publish(*(make_result(number, "new") for number in range(5)))
    redis_bench.delete_before_last("new")
    with redis_bench.subscriber() as subscriber:
        assert list(subscriber.results(since=cursor, until_end=True)) == [make_result(4, "new")]
        assert subscriber.counts.missed == 4


def test_a_stream_that_expired_and_was_recreated_is_continued(redis_bench: RedisBench, make_result: MakeResult) -> None:
    """Its serial numbers restart, and its entry ids continue with the server's clock."""
    redis_bench.publish(make_result(0), make_result(1))
    with redis_bench.subscriber() as subscriber:
        results = subscriber.results()
        assert list(islice(results, 2)) == [make_result(0), make_result(1)]
        redis_bench.client.delete(*redis_bench.client.keys(f"{redis_bench.pipeline}:*"))
        redis_bench.publish(make_result(2))
        assert next(results) == make_result(2)
        assert subscriber.counts.gaps == 0


def test_many_streams_are_read_to_their_ends(redis_bench: RedisBench, make_result: MakeResult) -> None:
    """More streams than entries per read."""
    redis_bench.publish(*(make_result(number, f"s{stream}") for stream in range(1200) for number in range(2)))
    with redis_bench.subscriber() as subscriber:
        assert len(list(subscriber.results(until_end=True))) == 2400


def test_a_key_of_another_type_is_an_error(redis_bench: RedisBench) -> None:
    """A person has to resolve that."""
    redis_bench.client.zadd(redis_streams_key(redis_bench.pipeline), {"city": 1})
    redis_bench.client.set(redis_results_key(redis_bench.pipeline, "city"), "mine", ex=600)
    with redis_bench.subscriber() as subscriber, pytest.raises(SourceError, match="WRONGTYPE"):
        next(subscriber.results())


def test_a_subscription_follows_a_failover(open_redis_bench: OpenRedisBench, make_result: MakeResult) -> None:
    """The Sentinel promotes the replica; writer and reader follow, without loss or duplicates."""
    with ExitStack() as stack:
        sentinel = open_server(stack, DevRedisSentinel)
        bench = open_redis_bench(sentinel.url)
        bench.publish(make_result(0))
        wait_until(lambda: has_followed(sentinel.server))
        with bench.subscriber() as subscriber:
            results = subscriber.results()
            assert next(results) == make_result(0)

            sentinel.server.process.kill()
            wait_until(lambda: is_published(bench, make_result(1)))
            bench.publish(make_result(0), make_result(1), make_result(2))

            assert list(islice(results, 2)) == [make_result(1), make_result(2)]
            assert subscriber.counts.gaps == 0
        assert "role:master" in sentinel.replica.ask("INFO", "replication")


def has_followed(server: DevRedis) -> bool:
    """Return whether the replica has everything."""
    said = server.ask("INFO", "replication")
    return re.findall(r",offset=(\d+),", said) == re.findall(r"master_repl_offset:(\d+)", said)


def is_published(bench: RedisBench, result: Result) -> bool:
    """Try to publish; return whether that succeeded."""
    try:
        bench.publish(result)
    except StoreUnavailableError:
        return False
    return True


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for a condition, up to a limit."""
    deadline_s = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("answer", "raises"),
    [
        ("BUSY Redis is busy running a script.", SourceUnavailableError),
        ("LOADING Redis is loading the dataset in memory", SourceUnavailableError),
        ("MASTERDOWN Link with MASTER is down", SourceUnavailableError),
        ("TRYAGAIN Multiple keys request during rehashing of slot", SourceUnavailableError),
        ("NOPERM this user has no permissions", SourceError),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", SourceError),
    ],
)
def test_an_answer_that_passes_is_no_reason_to_end(answer: str, raises: type[Exception]) -> None:
    """Only one that stays ends a subscription."""
    with (
        answering(answer) as url,
        Subscriber.from_redis(url) as subscriber,
        pytest.raises(raises, match=answer) as caught,
    ):
        subscriber.results()
    assert type(caught.value) is raises
