"""The command on real servers: evidence, answers, search, and a process that is killed and started again."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx2
import pytest

from tests.consumers.page.conftest import EventReader, PagePipeline, until
from triptych.settings.kafka import KafkaSettings
from triptych.transport.kafka.transport import KafkaTransport
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics
from triptych.worker.publishing.stores.protocol import StoredResult
from triptych.worker.publishing.stores.redis import RedisStore

if TYPE_CHECKING:
    from tests.consumers.conftest import MakeResult
    from tools.devservers import DevPostgres

START_S = 60.0
HEADERS = {"X-Triptych": "1"}

StartPage = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def real_pipeline(kafka_bootstrap: str, make_result: MakeResult) -> Iterator[PagePipeline]:
    """A pipeline with topics of its own on a real broker."""
    transport = KafkaTransport(KafkaSettings(bootstrap_servers=kafka_bootstrap))
    pipeline = PagePipeline(transport, make_result, name=f"page-{uuid4().hex[:8]}")
    admin = transport.admin()
    create_topics(admin, pipeline.name, TopicSettings("", replication=1))  # as every test on this broker
    admin.close()
    yield pipeline
    transport.close()


@pytest.fixture
def port() -> int:
    """A free port, which stays that of the page over its restart."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        number: int = found.getsockname()[1]
        return number


@pytest.fixture
def start_page(
    real_pipeline: PagePipeline, kafka_bootstrap: str, redis_url: str, port: int, tmp_path: Path
) -> Iterator[StartPage]:
    """Run `triptych page` on that port, with the index at a location."""
    arguments = ["page", "--port", str(port), "--since", "beginning", "--allow", "operate"]
    arguments += ["--pipeline", real_pipeline.name, "--bootstrap-servers", kafka_bootstrap, "--redis-url", redis_url]
    with ExitStack() as stack:

        def start(index: str = str(tmp_path / "index")) -> subprocess.Popen[bytes]:
            log = stack.enter_context((tmp_path / f"page-{time.monotonic_ns()}.log").open("wb"))
            command = [sys.executable, "-m", "triptych", *arguments, "--index", index]
            process = subprocess.Popen(command, stdout=log, stderr=log)
            stack.callback(process.wait, 20)
            stack.callback(process.kill)
            until(lambda: answers(port), START_S)
            return process

        yield start


def answers(port: int) -> bool:
    """Return whether the page has read all older results."""
    try:
        return not httpx2.get(f"http://127.0.0.1:{port}/api/wall").json()["catching_up"]
    except httpx2.TransportError:
        return False


def write_index(kafka_bootstrap: str, pipeline: str, location: str) -> None:
    """Run `triptych index` up to the present end of the topics."""
    arguments = ["index", "--until-end", "--index", location, "--pipeline", pipeline]
    command = [sys.executable, "-m", "triptych", *arguments, "--bootstrap-servers", kafka_bootstrap]
    subprocess.run(command, check=True, timeout=START_S)


def test_a_page_that_is_killed_and_started_again(
    real_pipeline: PagePipeline, start_page: StartPage, redis_url: str, port: int
) -> None:
    """A client misses nothing and gets nothing twice. Evidence, answers and redrives go through the real topics."""
    pipeline, url = real_pipeline, f"http://127.0.0.1:{port}/"
    shown = [pipeline.window(number, feed, fire=0.9) for number in (0, 1) for feed in "abc"]
    store = RedisStore.connect(redis_url, pipeline=pipeline.name)
    store.write([StoredResult(result, result.model_dump_json().encode()) for result in shown])
    store.close()
    process = start_page()
    with httpx2.Client(base_url=url, timeout=60) as client:
        wall = client.get("/api/wall").json()
        assert sorted(tile["feed"] for tile in wall["feeds"]) == ["a", "b", "c"]
        for tile in wall["feeds"]:
            assert client.get(tile["picture"]["url"]).headers["content-type"] == "image/jpeg"
            window = client.get(f"/api/feeds/~{tile['feed']}/windows/{tile['window_id']}").json()
            assert [row["modality"] for row in window["records"]] == ["video", "video", "audio", "text"]
            assert client.get(window["sound_url"]).content.startswith(b"RIFF")
        health = client.get("/api/health").json()
        assert (health["redis"]["used"], health["redis"]["error"], health["feeds_n"]) == (True, "", 3)
        assert {row["topic"]: row["records"] for row in health["topics"]}[f"{pipeline.name}.results"] == 6

        reader = EventReader(url, wall["cursor"])
        pipeline.window(2, "a", fire=0.1)
        until(lambda: [tile["feed"] for tile in reader.of_kind("tile")].count("a") >= 1)
        cursor = reader.cursor
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        reader.close()

        pipeline.window(2, "b", fire=0.9)
        process = start_page()
        back = EventReader(url, cursor)
        until(lambda: len(back.of_kind("tile")) == 1)
        pipeline.window(3, "c", fire=0.1)
        until(lambda: len(back.of_kind("tile")) == 2)
        assert [(tile["feed"], tile["start_ms"]) for tile in back.of_kind("tile")] == [
            ("b", pipeline.make_result(2).start_ns // 10**6),
            ("c", pipeline.make_result(3).start_ns // 10**6),
        ]
        assert {event["feed"] for event in back.of_kind("review")} == {"b", "c"}

        event = client.get("/api/review?feed=b").json()["events"][0]
        assert event["windows"] == 3
        answered = client.post(f"/api/review/{event['id']}", json={"answer": "yes"}, headers=HEADERS)
        assert answered.json()["answer"] == "yes"
        until(lambda: any(event["answer"] == "yes" for event in back.of_kind("review")))
        back.close()

        letter = pipeline.dead_letter("a")
        body = {"letters": [{"partition": letter.partition, "offset": letter.offset}]}
        assert client.post("/api/dead/redrive", json=body, headers=HEADERS).json()["redriven"] == 1
        assert client.post("/api/dead/redrive", json=body, headers=HEADERS).json()["redriven"] == 0
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_without_kafka_the_command_says_what_to_do(port: int) -> None:
    """Before it listens."""
    arguments = ["page", "--port", str(port), "--bootstrap-servers", "127.0.0.1:1"]
    command = [sys.executable, "-m", "triptych", *arguments]
    ended = subprocess.run(command, capture_output=True, timeout=280, check=False)
    assert ended.returncode == 3
    assert b"make kafka" in ended.stderr


@pytest.fixture(params=["folder", "server"])
def index_location(
    request: pytest.FixtureRequest,
    start_postgres: Callable[[], DevPostgres],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Where an index may be written: in a folder, or on a real PostgreSQL."""
    if request.param == "folder":
        return str(tmp_path / "index")
    server, password = start_postgres(), tmp_path / "password"
    password.write_text(server.password, encoding="utf-8")
    monkeypatch.setenv("TRIPTYCH_INDEX_PASSWORD_FILE", str(password))
    return server.url()


def test_the_page_searches_what_the_index_reads_from_kafka(
    real_pipeline: PagePipeline, start_page: StartPage, kafka_bootstrap: str, port: int, index_location: str
) -> None:
    """Both as commands. The page may be the first, and opens what it finds."""
    shown = real_pipeline.window(0, "lobby")
    process = start_page(index_location)
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}/", timeout=60) as client:
        assert client.get("/api/search?text=asleep").status_code == 503
        write_index(kafka_bootstrap, real_pipeline.name, index_location)
        [moment] = client.get("/api/search?text=asleep").json()["moments"]
        assert (moment["result"], moment["is_kept"]) == (shown.id, True)
        assert client.get(moment["picture"]["url"]).headers["content-type"] == "image/jpeg"
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
