"""The Redis store on real servers: keys, errors, restarts and cluster slots."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from tests.servers import open_server
from tests.worker.publishing.stores.conftest import LIMITS
from tools.devservers import DevRedis, DevRedisCluster
from tools.devservers.ports import free_ports
from triptych.schemas.names import (
    redis_index_key,
    redis_latest_key,
    redis_marks_key,
    redis_results_key,
    redis_streams_key,
)
from triptych.worker.publishing.stores.errors import StoreRefusedError, StoreUnavailableError
from triptych.worker.publishing.stores.protocol import StoredResult, StoreLimits
from triptych.worker.publishing.stores.redis import RedisStore

if TYPE_CHECKING:
    from tests.worker.publishing.stores.conftest import MakeStored, RedisBench

KEYS_OF_A_STREAM = (redis_index_key, redis_results_key, redis_latest_key, redis_marks_key)
READY_LIMIT_S = 60


def test_an_entry_holds_readable_json_and_a_serial_number(redis_bench: RedisBench, make_stored: MakeStored) -> None:
    """`XRANGE` shows the field `result`, and a counter."""
    redis_bench.store.write([make_stored(0), make_stored(0), make_stored(1)])
    entries = redis_bench.client.xrange(redis_results_key(redis_bench.pipeline, "city"))
    assert [fields[b"serial"] for _, fields in entries] == [b"1", b"2"]
    assert json.loads(entries[0][1][b"result"])["stream"] == "city"


def test_every_key_expires(redis_bench: RedisBench, make_stored: MakeStored) -> None:
    """Including the set of streams."""
    redis_bench.store.write([make_stored(0)])
    keys = redis_bench.client.keys(f"{redis_bench.pipeline}:*")
    assert len(keys) == len(KEYS_OF_A_STREAM) + 1
    assert all(0 < redis_bench.client.pttl(key) <= 1_000 * LIMITS.key_ttl_s for key in keys)


def test_the_index_is_bounded_and_holds_whole_milliseconds(redis_bench: RedisBench, make_stored: MakeStored) -> None:
    """Nanoseconds do not fit a score. The marks of evicted ids are exact."""
    redis_bench.store.write([make_stored(number) for number in range(301)])
    index = redis_index_key(redis_bench.pipeline, "city")
    assert redis_bench.client.zcard(index) == 300
    newest = make_stored(300)
    assert redis_bench.client.zscore(index, newest.result.id) == newest.result.published_ns // 1_000_000
    marks = redis_bench.client.hgetall(redis_marks_key(redis_bench.pipeline, "city"))
    assert int(marks[b"forgotten_end_ms"]) == make_stored(0).end_ms
    assert int(marks[b"forgotten_published_ms"]) == make_stored(0).published_ms


def test_scripts_are_loaded_again_after_the_server_lost_them(redis_bench: RedisBench, make_stored: MakeStored) -> None:
    """Each batch loads them."""
    redis_bench.store.write([make_stored(0)])
    redis_bench.client.script_flush()
    assert redis_bench.store.write([make_stored(0), make_stored(1)]) == (False, True)


@pytest.mark.parametrize("stream", ["city", "a.b_c-D", "x" * 128])
def test_all_keys_of_a_script_lie_on_one_slot(stream: str) -> None:
    """The stream is the hash tag. In a cluster a script may use one slot only."""
    assert len({key_slot(key("triptych", stream).encode()) for key in KEYS_OF_A_STREAM}) == 1
    assert key_slot(stream.encode()) == key_slot(redis_index_key("triptych", stream).encode())


def test_results_survive_a_restart_of_the_server(start_redis: Callable[[], DevRedis], make_stored: MakeStored) -> None:
    """Writes fail while the server is down. Afterwards the same batch is stored, each result once."""
    server = start_redis()
    store = RedisStore.connect(server.url, pipeline="p")
    store.write([make_stored(0)])
    server.stop()
    with pytest.raises(StoreUnavailableError):
        store.write([make_stored(0), make_stored(1)])
    server.start()
    assert store.write([make_stored(0), make_stored(1)]) == (False, True)
    store.close()


def test_a_full_server_stores_nothing_of_a_result_and_accepts_it_later(
    start_redis: Callable[[], DevRedis], make_stored: MakeStored
) -> None:
    """It is worth a retry. A rejected result leaves no trace that would make it a duplicate."""
    server = start_redis()
    store = RedisStore.connect(server.url, pipeline="p")
    with Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "1mb")
        with pytest.raises(StoreUnavailableError, match="memory"):
            store.write([make_stored(0)])
        assert client.keys("*") == []
        client.config_set("maxmemory", "0")
    assert store.write([make_stored(0)]) == (True,)
    store.close()


def test_a_wrong_password_is_not_retried(start_redis: Callable[[], DevRedis], make_stored: MakeStored) -> None:
    """The error stops the worker, and does not contain the password."""
    server = start_redis()
    with Redis.from_url(server.url) as client:
        client.config_set("requirepass", "right")
    for url in (server.url, server.url.replace("//", "//:wrong-secret@")):
        store = RedisStore.connect(url, pipeline="p")
        with pytest.raises(StoreRefusedError) as caught:
            store.write([make_stored(0)])
        assert "wrong-secret" not in str(caught.value)
        store.close()


def test_a_wrong_sentinel_password_is_not_retried(secured_sentinel_url: str, make_stored: MakeStored) -> None:
    """Sentinels have their own password. redis-py itself reports only that it found no master."""
    for url in (
        secured_sentinel_url.replace("sentinel-secret", "wrong-secret"),
        re.sub("&?sentinel_[a-z]+=[^&]+", "", secured_sentinel_url),
    ):
        store = RedisStore.connect(url, pipeline="p")
        with pytest.raises(
            StoreRefusedError, match=r"the Sentinels refused the user or password; see redis\.sentinel_user"
        ) as caught:
            store.write([make_stored(0)])
        assert "secret" not in str(caught.value)
        store.close()


def test_a_key_of_another_type_is_not_retried(redis_bench: RedisBench, make_stored: MakeStored) -> None:
    """Somebody has to look at foreign data under our key."""
    redis_bench.client.set(redis_results_key(redis_bench.pipeline, "city"), "mine", ex=600)
    with pytest.raises(StoreRefusedError, match="WRONGTYPE"):
        redis_bench.store.write([make_stored(0)])


@pytest.mark.parametrize(
    "url",
    ["http://example.test", "redis://h/0?sentinel_password=hunter2", "redis+cluster://h?sentinel_password=hunter2"],
)
def test_an_invalid_url_is_an_error(url: str) -> None:
    """The error names the setting, and contains no password."""
    with pytest.raises(StoreRefusedError, match=r"redis\.url") as caught:
        RedisStore.connect(url, pipeline="p")
    assert "hunter2" not in str(caught.value)


@pytest.fixture
def cluster_node(tmp_path: Path, redis_url: str) -> Iterator[Redis]:
    """A cluster of one node that owns every slot. It rejects a script whose keys lie on two slots."""
    assert redis_url  # the machine has redis-server
    port = free_ports(1)[0]
    program = shutil.which("redis-server")
    assert program
    flags = f"--port {port} --bind 127.0.0.1 --cluster-enabled yes --cluster-port {free_ports(1)[0]} --save".split()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([program, *flags, "", "--dir", str(tmp_path)], stdout=log, stderr=log)
    try:
        with Redis(port=port) as client:
            _wait_until(lambda: _listens(port))
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16_383)
            _wait_until(lambda: "ok" in str(client.execute_command("CLUSTER INFO")["cluster_state"]))
            yield client
    finally:
        process.terminate()
        process.wait(READY_LIMIT_S)


def test_a_cluster_stores_results(cluster_node: Redis, make_stored: MakeStored) -> None:
    """The scripts pass the slot check of a real cluster."""
    limits = StoreLimits(max_results=10, latest_ttl_s=10, key_ttl_s=10)
    store = RedisStore(lambda: cluster_node, pipeline="p", limits=limits)
    assert store.write([make_stored(0, stream=name) for name in "abc"]) == (True,) * 3
    assert store.write([make_stored(0, stream=name) for name in "abc"]) == (False,) * 3
    assert cluster_node.zcard(redis_streams_key("p")) == 3
    with pytest.raises(RedisError, match="same slot"):
        cluster_node.delete(redis_results_key("p", "a"), redis_results_key("p", "b"))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_LIMIT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


ACCESS = "on >pw ~p:* +@connection +@read +@write +evalsha +script|load +time +cluster|slots +command"
"""The permissions that docs/security.md lists for a worker in a cluster."""


def test_a_cluster_with_users_recovers_from_an_outage(make_stored: MakeStored) -> None:
    """A wrong password fails at once. A server that is down is retried, and has lost the scripts afterwards."""
    with ExitStack() as stack:
        cluster = open_server(stack, DevRedisCluster)
        for node in cluster.nodes:
            with Redis.from_url(node.url) as client:
                client.execute_command("ACL", "SETUSER", "worker", *ACCESS.split())
        hosts = cluster.url.removeprefix("redis+cluster://")
        refused = RedisStore.connect(f"redis+cluster://worker:wrong@{hosts}", pipeline="p")
        with pytest.raises(StoreRefusedError, match="user or password"):
            refused.ping()
        by_user = RedisStore.connect(f"redis+cluster://worker:pw@{hosts}", pipeline="p")
        stack.callback(by_user.close)
        assert by_user.write([make_stored(0, stream=name) for name in "abc"]) == (True,) * 3
        store = RedisStore.connect(cluster.url, pipeline="p")
        stack.callback(store.close)
        assert store.write([make_stored(0, stream=name) for name in "abc"]) == (False,) * 3

        cluster.nodes[0].stop()
        with pytest.raises(StoreUnavailableError):
            store.write([make_stored(1, stream=name) for name in "abcdefghi"])
        cluster.nodes[0].start()

        _wait_until(lambda: _is_written(store, [make_stored(1, stream=name) for name in "abcdefghi"]))
        assert store.write([make_stored(1, stream=name) for name in "abcdefghi"]) == (False,) * 9


def _is_written(store: RedisStore, batch: list[StoredResult]) -> bool:
    try:
        store.write(batch)
    except StoreUnavailableError:
        return False
    return True
