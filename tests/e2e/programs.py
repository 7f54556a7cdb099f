"""Run `triptych` as users do: as processes with their own environment, whose output is kept.

An installation is a set of topics and a pipeline's name on real servers. The names of input topics are fixed, so a new
installation recreates them. Several pipelines can read the inputs of one installation.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import urlopen

import redis
from kafka import KafkaAdminClient

from tests.kafka_topics import delete_topics
from triptych.schemas.codec import decode_result, encode, parse_result
from triptych.schemas.names import INPUT_TOPICS, TOPIC_OF, redis_results_key, results_topic
from triptych.schemas.perception.vectors import decode_vector
from triptych.schemas.records import InputRecord
from triptych.schemas.results import Result
from triptych.settings.kafka import KafkaSettings
from triptych.transport.kafka.transport import KafkaTransport
from triptych.transport.records import Message, Record, TopicPartition
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics

POLL_S = 0.02
EXIT_LIMIT_S = 10.0
MODEL = os.environ.get("E2E_MODEL", "null")
"""The workers' model. `E2E_MODEL=base` runs the tests with the real model."""
PROGRAM_LIMIT_S = 180.0 if MODEL == "null" else 600.0
SEND_LIMIT_S = 60.0
"""The time limit of a program. Generous, because the tests check what happens, also on busy machines."""
INHERITED_VARIABLES = ("TRIPTYCH_CACHE",)
"""Triptych variables that the programs inherit from the test process; others would change the test."""
_FLOAT16_ERROR = 10
"""The numbers of vectors are divided by this: float16 is ten times coarser than the tolerance."""
IGNORED_FIELDS = frozenset({"published_ns", "arrival_ms", "stage_ms"})
"""Fields that differ between two runs over the same film."""

_numbers = count(1)


def wait_until(condition: Callable[[], bool], what: str, *, limit_s: float = PROGRAM_LIMIT_S) -> None:
    """Wait until the condition is true; fail after the limit."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s:g} s for {what}"
        time.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class Finished:
    """The output and exit code of a program."""

    args: tuple[str, ...]
    exit_code: int
    out: str
    err: str

    def succeeded(self) -> Self:
        """Check that the exit code is 0."""
        assert self.exit_code == 0, f"{self.args} exited with {self.exit_code}:\n{self.out}\n{self.err}"
        return self

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the logged events with a name."""
        return _events(self.err, name)


class Program:
    """A running program."""

    def __init__(
        self, args: Sequence[str], environ: Mapping[str, str], folder: Path, *, module: str = "triptych"
    ) -> None:
        """Start it, with its output in files in the folder."""
        self._args = tuple(args)
        name = f"{next(_numbers)}-{args[0]}"
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            command = [sys.executable, "-m", module, *args]
            self.process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    @property
    def err(self) -> str:
        """The stderr output so far."""
        return self._err.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events with a name that were logged so far."""
        return _events(self.err, name)

    def wait_for(self, event: str, *, limit_s: float = PROGRAM_LIMIT_S) -> None:
        """Wait until it has logged this event; fail if it ends without."""
        wait_until(lambda: bool(self.events(event)) or not self.is_running, f"{event} of {self._args}", limit_s=limit_s)
        assert self.events(event), f"{self._args} ended without {event}:\n{self.err}"

    def wait(self, *, limit_s: float = PROGRAM_LIMIT_S) -> Finished:
        """Wait until it has ended."""
        try:
            exit_code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self._args} did not end within {limit_s:g} s:\n{self.err}") from None
        return Finished(self._args, exit_code, self._out.read_text(errors="replace"), self.err)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.terminate()

    def stop(self, *, limit_s: float = PROGRAM_LIMIT_S) -> Finished:
        """Send SIGTERM, and wait until it has ended."""
        self.terminate()
        return self.wait(limit_s=limit_s)

    def freeze(self) -> None:
        """Suspend it (SIGSTOP): its connections stay open and nothing answers."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume it (SIGCONT)."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it (SIGKILL), as in a crash."""
        self.process.kill()
        self.process.wait()


def _events(text: str, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
    return [line for line in lines if line.get("event") == name]


def status_response(port: int, path: str) -> tuple[int, str]:
    """Return status and text of a response of a worker's status server; status 0 if nothing listens."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as refused:
        return refused.code, refused.read().decode()
    except OSError:
        return 0, ""


@dataclass(frozen=True, slots=True)
class Installation:
    """An environment for programs: a broker with topics, a Redis, a pipeline, and their settings."""

    bootstrap_servers: str
    redis_url: str
    pipeline: str
    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    replication: int = 1

    # --- programs -----------------------------------------------------------------------------------------------------

    def environ(self, **variables: str) -> dict[str, str]:
        """Return the environment variables of its programs."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("TRIPTYCH_") or name in INHERITED_VARIABLES  # no other settings of ours
        }
        own = {
            "TRIPTYCH_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "TRIPTYCH_REDIS_URL": self.redis_url,
            "TRIPTYCH_PIPELINE": self.pipeline,
            "TRIPTYCH_HTTP_PORT": "0",
            "TRIPTYCH_MODEL_NAME": MODEL,
        }
        return {**kept, **own, **self.settings, **variables}

    def send(self, records: Iterable[InputRecord], *, partition: int | None = None, one_by_one: bool = False) -> None:
        """Send records as a producer does, and wait for their acknowledgements.

        Args:
            records: what to send.
            partition: where to send them, instead of the partition of their stream.
            one_by_one: whether each is a batch of its own, acknowledged before the next: so they arrive in this order.
        """
        with closing(self.transport()) as transport:
            publisher = transport.publisher()
            deliveries = []
            for record in records:
                wire = encode(record)
                message = Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers, partition)
                deliveries.append(publisher.send(message))
                if one_by_one:
                    deliveries[-1].result(SEND_LIMIT_S)
            for delivery in deliveries:
                delivery.result(SEND_LIMIT_S)

    def run(self, *args: str, limit_s: float = PROGRAM_LIMIT_S, **variables: str) -> Finished:
        """Run a program to its end."""
        return Program(args, self.environ(**variables), self.folder).wait(limit_s=limit_s)

    @contextmanager
    def running(self, *args: str, **variables: str) -> Iterator[Program]:
        """Run a program during the block; kill it if it still runs at the end."""
        program = Program(args, self.environ(**variables), self.folder)
        try:
            yield program
        finally:
            program.kill()

    def other_pipeline(self, pipeline: str) -> Installation:
        """Return another pipeline over the same inputs, with its own topics."""
        other = replace(self, pipeline=pipeline)
        other.make_topics()
        return other

    # --- topics -------------------------------------------------------------------------------------------------------

    def transport(self) -> KafkaTransport:
        """Return a new transport."""
        return KafkaTransport(KafkaSettings(bootstrap_servers=self.bootstrap_servers))

    def delete_inputs(self) -> None:
        """Delete the input topics, if they exist."""
        delete_topics(self.bootstrap_servers, INPUT_TOPICS)

    def make_topics(self) -> None:
        """Create the missing topics."""
        with closing(self.transport()) as transport:
            wanted = TopicSettings("", replication=self.replication, max_record_bytes=8 << 20)
            create_topics(transport.admin(), self.pipeline, wanted)

    def records(self, topic: str) -> list[Record]:
        """Read a topic from its beginning to its end."""
        return list(self.each_record(topic))

    def each_record(self, topic: str) -> Iterator[Record]:
        """Read a topic from its beginning to its end. Only what the caller keeps stays in memory."""
        with closing(self.transport()) as transport:
            admin = transport.admin()
            tps = [TopicPartition(topic, number) for number in range(admin.partition_count(topic) or 0)]
            reader = transport.reader(dict.fromkeys(tps, 0))
            ends = reader.end_offsets(tps)
            deadline = time.monotonic() + PROGRAM_LIMIT_S
            while any(reader.position(tp) < end for tp, end in ends.items()):
                assert time.monotonic() < deadline, f"{topic} could not be read to its end"
                yield from reader.poll(0.2).records

    def assignments(self, group: str) -> dict[str, set[TopicPartition]]:
        """Return the assignment of a consumer group, as reported by the broker."""
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap_servers)) as client:
            members = client.describe_groups([group])[group]["members"]
        return {
            member["member_id"]: {
                TopicPartition(topic["topic"], number)
                for topic in (member["member_assignment"] or {}).get("assigned_partitions", ())
                for number in topic["partitions"]
            }
            for member in members
        }

    def count_results(self) -> int:
        """Count the results that were ever published."""
        topic = results_topic(self.pipeline)
        with closing(self.transport()) as transport:
            tps = [TopicPartition(topic, number) for number in range(transport.admin().partition_count(topic) or 0)]
            return sum(transport.reader(dict.fromkeys(tps, 0)).end_offsets(tps).values())

    # --- results ------------------------------------------------------------------------------------------------------

    def in_topic(self) -> list[Result]:
        """Return every result on the topic, including duplicates."""
        return [decode_result(r.key, r.value, r.headers) for r in self.records(results_topic(self.pipeline))]

    def in_redis(self) -> list[Result]:
        """Return every result in the Redis streams, including duplicates."""
        with redis.Redis.from_url(self.redis_url) as client:
            keys = sorted(client.scan_iter(match=redis_results_key(self.pipeline, "*"), count=1000))
            return [parse_result(fields[b"result"]) for key in keys for _, fields in client.xrange(key)]

    def delivered_results(self, source: str) -> list[Result]:
        """Return the results that a subscriber gets, from `redis` or `kafka`."""
        done = self.run("watch", "--json", "--until-end", "--from", source).succeeded()
        return [parse_result(line) for line in done.out.splitlines()]


def by_id(results: Sequence[Result]) -> dict[str, Result]:
    """Return results by id, and check that there are no duplicates."""
    ids = [result.id for result in results]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    assert not twice, f"published more than once: {twice}"
    return dict(zip(ids, results, strict=True))


def assert_equal_results(found: Sequence[Result], expected: Sequence[Result], *, same_records: bool = True) -> None:
    """Check that two runs have the same results: ids without duplicates, and equal content.

    Without `same_records` the inputs were produced twice, and offsets may differ: while a producer waits for the
    broker, a `progress` record replaces the one before it.
    """
    ours, theirs = by_id(found), by_id(expected)
    missing, further = sorted(theirs.keys() - ours.keys()), sorted(ours.keys() - theirs.keys())
    assert not missing, f"missing: {missing}"
    assert not further, f"not expected: {further}"
    for name, result in ours.items():
        compared = [_compared_fields(each, same_records=same_records) for each in (result, theirs[name])]
        differing = differences(*compared)
        assert not differing, f"{name} differs: {differing}"


def differences(found: object, expected: object, path: str = "", *, tolerance: float = 1e-4) -> list[str]:
    """List where two JSON documents differ by more than the tolerance."""
    if isinstance(found, dict) and isinstance(expected, dict) and found.keys() == expected.keys():
        pairs = [(f"{path}.{name}", found[name], expected[name]) for name in found]
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = [(f"{path}[{at}]", *pair) for at, pair in enumerate(zip(found, expected, strict=True))]
    elif isinstance(found, float) and isinstance(expected, float) and abs(found - expected) <= tolerance:
        return []
    else:
        return [] if found == expected else [f"{path}: {found!r} instead of {expected!r}"]
    return [line for where, one, other in pairs for line in differences(one, other, where, tolerance=tolerance)]


def _compared_fields(result: Result, *, same_records: bool) -> dict[str, Any]:
    """Return the fields to compare. Vectors become numbers: as text, a rounding of float16 would be a difference."""
    fields = result.model_dump(mode="json", exclude=set(IGNORED_FIELDS))
    if not same_records:
        for report in fields["modalities"].values():
            del report["offsets"]
    for vectors in filter(None, (fields.get("vectors"), fields.get("sound_vectors"))):
        for name, text in vectors.items():
            if name != "space" and isinstance(text, str):
                vectors[name] = [number / _FLOAT16_ERROR for number in decode_vector(text)]
    return fields
