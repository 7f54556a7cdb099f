"""What the Redis store does with each answer that is not a success: wait, read the password again, or stop."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from tests.answering_redis import answering
from tests.producers.live.relay import Relay
from tests.servers import open_server
from tools.devservers import DevRedisCluster
from tools.devservers.ports import free_ports
from triptych.schemas.names import (
    redis_index_key,
    redis_latest_key,
    redis_marks_key,
    redis_results_key,
    redis_streams_key,
)
from triptych.settings.redis import RedisSettings
from triptych.worker.publishing.stores.errors import StoreRefusedError, StoreUnavailableError
from triptych.worker.publishing.stores.redis import RedisStore

if TYPE_CHECKING:
    from tests.worker.publishing.stores.conftest import MakeStored
    from tools.devservers import DevRedis

StartRedis = Callable[..., "DevRedis"]
LIMIT_S = 60.0
ENDLESS_SCRIPT = "while true do end"


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a condition."""
    until_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.02)


@contextmanager
def busy(client: Redis, server: DevRedis) -> Iterator[None]:
    """Run a script that does not end. Redis answers BUSY to everything else."""
    client.config_set("lua-time-limit", 10)

    def run() -> None:
        with Redis.from_url(server.url) as another, suppress(RedisError):
            another.eval(ENDLESS_SCRIPT, 0)

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: "BUSY" in server.ask("PING"))
    yield
    server.ask("SCRIPT", "KILL")
    thread.join(LIMIT_S)


@contextmanager
def without_replicas(client: Redis, _: DevRedis) -> Iterator[None]:
    """Demand a replica that does not exist: NOREPLICAS."""
    client.config_set("min-replicas-to-write", 1)
    yield
    client.config_set("min-replicas-to-write", 0)


@contextmanager
def read_only(client: Redis, _: DevRedis) -> Iterator[None]:
    """Demote the server to a replica: READONLY."""
    client.replicaof("127.0.0.1", "1")
    yield
    client.replicaof("NO", "ONE")


@contextmanager
def without_master(client: Redis, server: DevRedis) -> Iterator[None]:
    """Demote it, and let it serve nothing without its master: MASTERDOWN."""
    client.config_set("replica-serve-stale-data", "no")
    with read_only(client, server):
        yield


@contextmanager
def unable_to_save(client: Redis, _: DevRedis) -> Iterator[None]:
    """Let a snapshot fail: MISCONF."""
    client.set("something", 1)
    in_the_way = Path(str(client.config_get("dir")["dir"]), str(client.config_get("dbfilename")["dbfilename"]), "here")
    in_the_way.mkdir(parents=True)
    client.config_set("save", "3600 1")
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
    yield
    shutil.rmtree(in_the_way.parent)
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok")


@contextmanager
def full_of_clients(client: Redis, _: DevRedis) -> Iterator[None]:
    """Leave room for no further client."""
    client.execute_command("CLIENT KILL TYPE normal SKIPME yes")  # type: ignore[no-untyped-call]
    client.config_set("maxclients", 1)
    yield
    client.config_set("maxclients", 100)


SITUATIONS = {
    "BUSY": busy,
    "NOREPLICAS": without_replicas,
    "READONLY": read_only,
    "MASTERDOWN": without_master,
    "MISCONF": unable_to_save,
    "max number of clients": full_of_clients,
}


@pytest.mark.parametrize("answer", SITUATIONS)
@pytest.mark.parametrize("is_new", [True, False])
def test_a_state_that_passes_is_waited_for(
    start_redis: StartRedis, make_stored: MakeStored, answer: str, *, is_new: bool
) -> None:
    """With the server's word for it, at the first write and later. Afterwards the same batch is stored, once."""
    server = start_redis()
    store = RedisStore.connect(server.url, pipeline="p")
    with Redis.from_url(server.url) as client:
        if not is_new:
            assert store.write([make_stored(0)]) == (True,)
        with SITUATIONS[answer](client, server):
            for write in (lambda: store.write([make_stored(0), make_stored(1)]), store.ping):
                with pytest.raises(StoreUnavailableError, match=f"Redis did not store the results: .*{answer}"):
                    write()
        wait_until(lambda: _accepts(store))
        assert store.write([make_stored(0), make_stored(1)]) == (is_new, True)
    store.close()


def _accepts(store: RedisStore) -> bool:
    try:
        store.ping()
    except StoreUnavailableError:
        return False
    return True


@pytest.mark.parametrize(
    "answer",
    [
        "LOADING Redis is loading the dataset in memory",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "CLUSTERDOWN The cluster is down",
        "NOTYET an answer of a later version",
        "ERR max number of clients + cluster connections reached",
    ],
)
def test_other_answers_that_pass_are_waited_for(make_stored: MakeStored, answer: str) -> None:
    """A server that answers nothing else, from the first command on."""
    with answering(answer) as url:
        store = RedisStore.connect(url, pipeline="p")
        with pytest.raises(StoreUnavailableError, match=answer.rsplit(maxsplit=1)[-1]):
            store.write([make_stored(0)])


def _is_loading(server: DevRedis) -> bool:
    try:
        return "LOADING" in server.ask("PING")
    except RuntimeError:  # it does not listen yet
        return False


def test_a_server_that_loads_its_data_is_waited_for(start_redis: StartRedis, make_stored: MakeStored) -> None:
    """LOADING, after a restart with many keys, which are loaded slowly until the test has seen enough."""
    server = start_redis(
        {
            "appendonly": "no",
            "save": "3600 1",
            "key-load-delay": "100000",
            "loading-process-events-interval-bytes": "1024",
        }
    )
    store = RedisStore.connect(server.url, pipeline="p")
    assert store.write([make_stored(0)]) == (True,)
    with Redis.from_url(server.url) as client:
        client.mset({f"key{number}": "x" * 10_000 for number in range(300)})
    server.stop()
    server.process.start(lambda: _is_loading(server), limit_s=LIMIT_S)
    with pytest.raises(StoreUnavailableError, match="LOADING Redis is loading the dataset in memory"):
        store.write([make_stored(0), make_stored(1)])
    server.ask("CONFIG", "SET", "key-load-delay", "0")
    wait_until(lambda: _accepts(store))
    assert store.write([make_stored(0), make_stored(1)]) == (False, True)
    store.close()


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_cluster_without_its_slots_is_waited_for(
    start_redis: StartRedis, make_stored: MakeStored, scheme: str, *, is_new: bool
) -> None:
    """CLUSTERDOWN: the slots are not assigned yet, or not any more."""
    (bus,) = free_ports(1)
    server = start_redis({"cluster-enabled": "yes", "cluster-port": str(bus)})
    store = RedisStore.connect(server.url.replace("redis://", f"{scheme}://").removesuffix("/0"), pipeline="p")
    if not is_new:
        server.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        wait_until(lambda: _accepts(store))
        assert store.write([make_stored(0)]) == (True,)
        server.ask("CLUSTER", "DELSLOTSRANGE", "0", "16383")
    with pytest.raises(StoreUnavailableError, match="CLUSTERDOWN"):
        store.write([make_stored(0), make_stored(1)])
    server.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    wait_until(lambda: _accepts(store))
    assert store.write([make_stored(0), make_stored(1)]) == (is_new, True)
    store.close()


def test_a_slot_that_is_being_moved_is_waited_for(make_stored: MakeStored) -> None:
    """One of its keys is on the new server already, so scripts find all of them on neither: ASK, then TRYAGAIN."""
    with ExitStack() as stack:
        cluster = open_server(stack, DevRedisCluster)
        store = RedisStore.connect(cluster.url, pipeline="p")
        assert store.write([make_stored(0)]) == (True,)
        slot = str(key_slot(redis_results_key("p", "city").encode()))
        old = next(node for node in cluster.nodes if node.ask("CLUSTER", "COUNTKEYSINSLOT", slot).strip() != "0")
        new = next(node for node in cluster.nodes if node is not old)
        ids = {node: node.ask("CLUSTER", "MYID").strip() for node in (old, new)}
        new.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[old])
        old.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[new])
        first, *others = old.ask("CLUSTER", "GETKEYSINSLOT", slot, "10").split()
        old.ask("MIGRATE", "127.0.0.1", str(new.port), first, "0", "5000")
        with pytest.raises(StoreUnavailableError, match="redirect to one another, as while a slot is moved"):
            store.write([make_stored(0), make_stored(1)])
        for key in others:
            old.ask("MIGRATE", "127.0.0.1", str(new.port), key, "0", "5000")
        assert store.write([make_stored(0), make_stored(1)]) == (False, True)
        for node in (new, old):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[new])
        assert store.write([make_stored(1), make_stored(2)]) == (False, True)
        store.close()


@pytest.mark.parametrize("answer", ["NOPERM this user has no permissions", "ERR unknown command 'EVALSHA'"])
def test_answers_that_do_not_pass_stop_the_worker(make_stored: MakeStored, answer: str) -> None:
    """Waiting cannot help."""
    with answering(answer) as url:
        store = RedisStore.connect(url, pipeline="p")
        with pytest.raises(StoreRefusedError, match=answer.rsplit(maxsplit=1)[-1]):
            store.write([make_stored(0)])


def test_a_missing_permission_stops_the_worker(start_redis: StartRedis, make_stored: MakeStored) -> None:
    """On a real server, also if it is taken away while the worker runs."""
    server = start_redis()
    server.ask("ACL", "SETUSER", "worker", "on", ">pw", "~p:*", "+@all")
    store = RedisStore.connect(server.url.replace("//", "//worker:pw@"), pipeline="p")
    store.write([make_stored(0)])
    server.ask("ACL", "SETUSER", "worker", "-evalsha")
    with pytest.raises(StoreRefusedError, match="NOPERM"):
        store.write([make_stored(1)])
    store.close()


@pytest.mark.parametrize(
    ("key", "holds"),
    [
        (redis_results_key("p", "city"), "stream"),
        (redis_index_key("p", "city"), "zset"),
        (redis_marks_key("p", "city"), "hash"),
        (redis_streams_key("p"), "zset"),
    ],
)
def test_a_key_of_another_type_is_named(start_redis: StartRedis, make_stored: MakeStored, key: str, holds: str) -> None:
    """Of all keys of all streams in the batch, only that one."""
    server = start_redis()
    store = RedisStore.connect(server.url, pipeline="p")
    with Redis.from_url(server.url) as client:
        client.set(key, "mine")
    with pytest.raises(StoreRefusedError, match="WRONGTYPE") as caught:
        store.write([make_stored(0, stream="a"), make_stored(0)])
    assert f"the key {key} holds a string, expected a {holds}" in str(caught.value)
    assert redis_latest_key("p", "a") not in str(caught.value)
    store.close()


def test_after_readonly_a_load_balancer_is_asked_again(start_redis: StartRedis, make_stored: MakeStored) -> None:
    """A pooled connection to the demoted primary would stay read-only for ever, while PING is answered."""
    old, new = start_redis(), start_redis()
    with Relay(old.port) as balancer:
        store = RedisStore.connect(f"redis://127.0.0.1:{balancer.port}/0", pipeline="p")
        assert store.write([make_stored(0)]) == (True,)
        old.ask("REPLICAOF", "127.0.0.1", str(new.port))
        balancer._server_port = new.port  # noqa: SLF001 - connections that are open stay where they are
        with pytest.raises(StoreUnavailableError, match="READONLY"):
            store.write([make_stored(1)])
        assert store.write([make_stored(1)]) == (True,)
        store.close()


def password_settings(server: DevRedis, file: Path, password: str) -> RedisSettings:
    """Protect the server, and return settings with the password in a file."""
    server.ask("CONFIG", "SET", "requirepass", password)
    file.write_text(password, encoding="utf-8")
    return RedisSettings(url=server.url, password_file=file)


def rotate(server: DevRedis, old: str, new: str) -> None:
    """Change the password, and end the sessions of the old one."""
    url: Any = server.url.replace("//", f"//:{old}@")
    with Redis.from_url(url) as client:
        client.config_set("requirepass", new)
        client.execute_command("CLIENT KILL TYPE normal SKIPME yes")


def test_a_rotated_password_is_read_again(start_redis: StartRedis, make_stored: MakeStored, tmp_path: Path) -> None:
    """While the file still has the old one, or is gone, the store is unavailable; it never stops the worker."""
    server, file = start_redis(), tmp_path / "password"
    store = RedisStore.connect(password_settings(server, file, "first-secret").full_url, pipeline="p")
    assert store.write([make_stored(0)]) == (True,)
    rotate(server, "first-secret", "second-secret")
    with pytest.raises(StoreUnavailableError, match=r"redis\.password_file, which is read again") as caught:
        store.write([make_stored(1)])
    assert "secret" not in str(caught.value)
    file.unlink()
    with pytest.raises(StoreUnavailableError, match=r"redis\.password_file: expected a readable file"):
        store.write([make_stored(1)])
    file.write_text("second-secret", encoding="utf-8")
    assert store.write([make_stored(1)]) == (True,)
    rotate(server, "second-secret", "third-secret")
    file.write_text("third-secret", encoding="utf-8")
    assert store.write([make_stored(2)]) == (True,)  # at once: the file came before the next write
    store.close()


def test_a_wrong_password_at_start_stops_the_worker(
    start_redis: StartRedis, make_stored: MakeStored, tmp_path: Path
) -> None:
    """Nothing has ever been written: somebody has to look at it."""
    server, file = start_redis(), tmp_path / "password"
    settings = password_settings(server, file, "right-secret")
    file.write_text("wrong-secret", encoding="utf-8")
    store = RedisStore.connect(settings.full_url, pipeline="p")
    with pytest.raises(StoreRefusedError, match=r"user or password of redis\.url") as caught:
        store.write([make_stored(0)])
    assert "secret" not in str(caught.value)
    store.close()
