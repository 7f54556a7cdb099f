"""The programs in `examples/` run as their docstrings say, against real servers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, TopicPartition

from tools.devservers import DevKafka, KafkaOptions
from triptych.schemas.codec import decode
from triptych.schemas.names import SUBTITLES_TOPIC, result_id
from triptych.schemas.partition import partition_of
from triptych.schemas.records import End, SubtitleCue
from triptych.schemas.results import Modalities, ModalityReport, ModelReference, Observations, Result, Words
from triptych.settings.kafka import KafkaSettings
from triptych.transport.kafka.transport import KafkaTransport
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics
from triptych.worker.publishing.stores.protocol import StoredResult
from triptych.worker.publishing.stores.redis import RedisStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
START_NS = 1_767_225_600_000_000_000
WINDOW_NS = 2_000_000_000


def run(name: str, *args: str | Path, stdin: str = "") -> list[str]:
    """Run an example to its end; return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *args], input=stdin, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def result(number: int, words: str, *, revision: int = 0) -> Result:
    """Return the result of one window of the stream `film`."""
    start_ns = START_NS + number * WINDOW_NS
    return Result(
        id=result_id("film", start_ns, start_ns + WINDOW_NS, revision),
        stream="film",
        start_ns=start_ns,
        end_ns=start_ns + WINDOW_NS,
        revision=revision,
        closed_by="progress",
        published_ns=start_ns + WINDOW_NS,
        modalities=Modalities(
            video=ModalityReport(state="absent"),
            audio=ModalityReport(state="absent"),
            subtitles=ModalityReport(state="present", items=1, used=1),
        ),
        model=ModelReference(name="null", version="1", sha256="0" * 64),
        observations=Observations(words=(Words(text=words, start_ns=start_ns, end_ns=start_ns + WINDOW_NS),)),
    )


@pytest.fixture
def pipeline() -> str:
    """Return the name of a pipeline of the test's own."""
    return f"test-{uuid4().hex[:8]}"


@pytest.fixture
def store(redis_url: str, pipeline: str) -> Iterator[RedisStore]:
    """Return the store into which a worker of the pipeline writes."""
    store = RedisStore.connect(redis_url, pipeline=pipeline)
    yield store
    store.close()


def write(store: RedisStore, *results: Result) -> None:
    """Store results as the worker does."""
    store.write([StoredResult(one, one.model_dump_json().encode()) for one in results])


def test_the_subscriber_goes_on_where_it_stopped(
    redis_url: str, pipeline: str, store: RedisStore, tmp_path: Path
) -> None:
    """The second run prints only what is new; the cursor lies in a file."""
    args = ("--redis", redis_url, "--pipeline", pipeline, "--cursor", tmp_path / "cursor", "--until-end")
    write(store, result(0, "good morning"), result(1, "good night"))
    assert run("subscribe_with_cursor.py", *args) == ["00:00:00  -: good morning", "00:00:02  -: good night"]

    write(store, result(2, "once more"))

    assert run("subscribe_with_cursor.py", *args) == ["00:00:04  -: once more"]
    assert run("subscribe_with_cursor.py", *args) == []


def test_the_alert_names_each_matching_window_once(redis_url: str, pipeline: str, store: RedisStore) -> None:
    """Neither other windows nor revisions of the same one."""
    write(store, result(0, "help me"), result(1, "never mind"), result(0, "help me please", revision=1))

    lines = run("alert_on_rule.py", "'help' in words", "--redis", redis_url, "--pipeline", pipeline, "--until-end")

    assert lines == [f"ALERT film {result(0, '').id}"]


def test_the_producer_writes_records_of_the_contract(start_kafka: Callable[[KafkaOptions], DevKafka]) -> None:
    """Cues in order, then the end, all on the partition of their key.

    The input topics have fixed names, so the test has a broker of its own.
    """
    kafka_bootstrap = start_kafka(KafkaOptions()).bootstrap_servers
    stream = f"chat-{uuid4().hex[:8]}"
    transport = KafkaTransport(KafkaSettings(bootstrap_servers=kafka_bootstrap))
    admin = transport.admin()
    create_topics(admin, "triptych", TopicSettings("", partitions=3, replication=1))
    admin.close()
    transport.close()

    run("produce_lines.py", "--bootstrap-servers", kafka_bootstrap, "--stream", stream, stdin="hello\n\nworld\n")

    consumer = KafkaConsumer(bootstrap_servers=kafka_bootstrap, consumer_timeout_ms=5_000)
    numbers = sorted(consumer.partitions_for_topic(SUBTITLES_TOPIC))
    consumer.assign([TopicPartition(SUBTITLES_TOPIC, number) for number in numbers])
    consumer.seek_to_beginning()
    ours = [record for record in consumer if record.key == stream.encode()]
    consumer.close()
    records = [decode(one.key, one.value, one.headers, modality="subtitles") for one in ours]
    assert [type(record) for record in records] == [SubtitleCue, SubtitleCue, End]
    assert [record.text for record in records if isinstance(record, SubtitleCue)] == ["hello", "world"]
    assert {one.partition for one in ours} == {partition_of(stream.encode(), len(numbers))}


def test_the_producer_imports_nothing_of_ours() -> None:
    """It shows that the contract is enough."""
    source = (EXAMPLES / "produce_lines.py").read_text(encoding="utf-8")

    assert re.findall(r"^(?:from|import) triptych", source, flags=re.MULTILINE) == []


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_every_example_is_mentioned_in_the_documentation(name: str) -> None:
    """A program that no page names is not found."""
    pages = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "docs").glob("*.md")]

    assert any(f"examples/{name}" in page for page in pages)
