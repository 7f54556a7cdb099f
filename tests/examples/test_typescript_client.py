"""The client in `examples/typescript` reads what our own code publishes, from a real Kafka and a real Redis."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.servers import require_program
from tools.build_page import REPOSITORY
from tools.build_typescript_client import build_typescript_client
from triptych.schemas.codec import encode_result
from triptych.schemas.names import result_id, results_topic
from triptych.schemas.results import Modalities, ModalityReport, ModelReference, Observations, Result, Words
from triptych.service.redis_client import RedisAddress
from triptych.settings.kafka import KafkaSettings
from triptych.transport.kafka.transport import KafkaTransport
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings
from triptych.worker.publishing.stores.protocol import StoredResult
from triptych.worker.publishing.stores.redis import RedisStore

if TYPE_CHECKING:
    from collections.abc import Iterator

START_NS = 1_767_225_600_000_000_123
WINDOW_NS = 2_000_000_000
LIMIT_S = 40
CLIENT = Path("examples/typescript")


@pytest.fixture(scope="module")
def program() -> Path:
    """Compile the client; types that do not fit fail here."""
    require_program(shutil.which("node"), "node")
    require_program(shutil.which("npm"), "npm")
    return build_typescript_client(lint=True)


def made(number: int, stream: str = "city", revision: int = 0) -> Result:
    """Return the result of a window."""
    start_ns = START_NS + number * WINDOW_NS
    end_ns = start_ns + WINDOW_NS
    report = ModalityReport(state="absent")
    words = (Words(text=f"window {number}, <b>世界</b>", start_ns=start_ns, end_ns=end_ns),)
    return Result(
        id=result_id(stream, start_ns, end_ns, revision),
        stream=stream,
        start_ns=start_ns,
        end_ns=end_ns,
        revision=revision,
        closed_by="progress",
        published_ns=end_ns,
        modalities=Modalities(video=report, audio=report, subtitles=report),
        model=ModelReference(name="null", version="1", sha256="0" * 64),
        observations=Observations(words=words),
    )


def printed(result: Result, added_later: str | None = None) -> dict[str, Any]:
    """Return what the client prints about a result. The start is exact, although JavaScript would round it."""
    words = [cue.text for cue in result.observations.words]
    return {"id": result.id, "start_ns": str(result.start_ns), "words": words, "added_later": added_later}


class Reading:
    """A running client, and the lines that it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: Queue[str] = Queue()
        assert process.stdout is not None
        Thread(
            target=lambda lines: [self._lines.put(line) for line in lines], args=(process.stdout,), daemon=True
        ).start()

    def take(self, count: int) -> list[dict[str, Any]]:
        """Return the next lines."""
        try:
            return [json.loads(self._lines.get(timeout=LIMIT_S)) for _ in range(count)]
        except Empty:
            self.process.kill()
            pytest.fail(f"expected {count} lines; stderr: {self.process.communicate()[1]}")

    def end(self) -> str:
        """Stop the client cleanly. It has printed nothing else; return its errors."""
        self.process.terminate()
        assert self.process.wait(LIMIT_S) == 0
        assert self._lines.empty()
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def reading(program: Path, *args: str | Path) -> Iterator[Reading]:
    """Run the client."""
    command = ["node", str(program), *map(str, args)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Reading(process)
        finally:
            process.kill()


def test_the_types_are_those_of_the_schema() -> None:
    """`npm run types` in `page/` writes both files, and `npm run check` compares them with the schema."""
    own = (REPOSITORY / CLIENT / "src/generated/result.ts").read_text(encoding="utf-8")

    assert own == (REPOSITORY / "page/src/generated/result.ts").read_text(encoding="utf-8")
    schema = json.loads((REPOSITORY / "schemas/triptych/schemas/result.schema.json").read_text(encoding="utf-8"))
    for field in schema["properties"]:
        assert f"\n  {field}: " in own or f"\n  {field}?: " in own


def test_a_result_whose_handling_failed_comes_again(program: Path) -> None:
    """The client's own tests, which need no server."""
    done = subprocess.run(
        ["npm", "test", "--silent"], cwd=program.parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "# pass 2\n" in done.stdout


def test_results_are_read_from_kafka(program: Path, kafka_bootstrap: str) -> None:
    """Once, with fields that it does not know; the group continues where it ended. What is no result is skipped."""
    pipeline = f"test-{uuid4().hex[:8]}"
    topic = results_topic(pipeline)
    transport = KafkaTransport(KafkaSettings(bootstrap_servers=kafka_bootstrap))
    admin = transport.admin()
    admin.create([TopicSettings(topic, partitions=1, replication=1)])
    admin.close()
    publisher = transport.publisher()

    def publish(result: Result, **more: str) -> None:
        key, value, headers = encode_result(result, pipeline=pipeline)
        value = json.dumps(json.loads(value) | more).encode()
        publisher.send(Message(topic, key, value, headers)).result(20)

    revised = made(0, revision=1)
    publish(made(0))
    publish(made(0))  # twice, as after a crash
    publisher.send(Message(topic, b"city", b"{", (("ce_specversion", b"1.0"), ("ce_type", b"triptych.result")))).result(
        20
    )
    publish(revised, added_later="new")
    publish(made(0))
    publish(made(1, "quay"))
    with reading(program, "kafka", kafka_bootstrap, pipeline, pipeline) as client:
        assert client.take(3) == [printed(made(0)), printed(revised, "new"), printed(made(1, "quay"))]
        assert "value: expected JSON" in client.end()
    publish(made(2))
    with reading(program, "kafka", kafka_bootstrap, pipeline, pipeline) as client:
        assert client.take(1) == [printed(made(2))]
        client.end()
    publisher.close(10)
    transport.close()


def test_results_are_read_from_redis(program: Path, redis_url: str, tmp_path: Path) -> None:
    """From streams that appear while it runs; it continues at its cursor, and says what was trimmed meanwhile."""
    pipeline = f"test-{uuid4().hex[:8]}"
    store = RedisStore.connect(redis_url, pipeline=pipeline)

    def publish(*results: Result) -> None:
        store.write([StoredResult(result, result.model_dump_json().encode()) for result in results])

    publish(made(0), made(1), made(0, revision=1))
    with reading(program, "redis", redis_url, pipeline, tmp_path / "cursor") as client:
        assert client.take(3) == [printed(made(0)), printed(made(1)), printed(made(0, revision=1))]
        publish(made(0, "quay"))
        assert client.take(1) == [printed(made(0, "quay"))]
        wait_for_cursor(tmp_path / "cursor", "quay")
        assert client.end() == ""
    publish(made(2), made(3))
    redis: Any = RedisAddress(redis_url).open()
    redis.xtrim(f"{pipeline}:results:{{city}}", maxlen=1, approximate=False)
    redis.close()
    with reading(program, "redis", redis_url, pipeline, tmp_path / "cursor") as client:
        assert client.take(1) == [printed(made(3))]
        assert client.end() == "city: 1 results missed\n"
    store.close()


def wait_for_cursor(file: Path, stream: str) -> None:
    """Wait until the cursor names a stream."""
    until_s = time.monotonic() + LIMIT_S
    while stream not in file.read_text(encoding="utf-8"):
        assert time.monotonic() < until_s, "it did not happen in time"
        time.sleep(0.01)
