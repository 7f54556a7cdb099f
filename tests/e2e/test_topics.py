"""Topics of a real broker that grow, or are deleted and created again, while a worker runs and between two runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewPartitions

from tests.e2e.programs import Installation, by_id, wait_until
from tests.worker.world import Feed
from triptych.schemas.codec import encode
from triptych.schemas.names import INPUT_TOPICS, TOPIC_OF, VIDEO_TOPIC, dead_topic, results_topic
from triptych.schemas.partition import partition_of
from triptych.schemas.records import InputRecord
from triptych.transport.records import Message

pytestmark = pytest.mark.timeout(300)  # the client notices new partitions within 30 s
Install = Callable[..., Installation]
BEFORE, AFTER = 6, 9
MOVES = next(
    name
    for name in (f"stream-{number}" for number in range(100))
    if partition_of(name.encode(), BEFORE) != partition_of(name.encode(), AFTER) >= BEFORE
)
"""A stream whose partition is a new one after the growth."""


def send(here: Installation, records: Iterable[InputRecord]) -> None:
    """Send records, as a producer that has just started does."""
    with closing(here.transport()) as transport:
        publisher = transport.publisher()
        for record in records:
            wire = encode(record)
            publisher.send(Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers))
        publisher.flush(30)


def grow(here: Installation, topics: Iterable[str]) -> None:
    """Add partitions."""
    with closing(KafkaAdminClient(bootstrap_servers=here.bootstrap_servers)) as client:
        client.create_partitions({topic: NewPartitions(AFTER) for topic in topics})


def results_of(here: Installation, stream: str) -> int:
    """Return how many results of a stream there are, none of them twice."""
    return sum(result.stream == stream for result in by_id(here.in_topic()).values())


def test_a_worker_waits_for_topics_that_grow_one_after_the_other(install: Install) -> None:
    """One input first: it says what is lacking. With the others it goes on, and loses nothing."""
    here = install()
    rest = [*INPUT_TOPICS[1:], results_topic(here.pipeline), dead_topic(here.pipeline)]
    with here.running("work") as worker:
        send(here, Feed("city").play(6))
        wait_until(lambda: results_of(here, "city") == 3, "the first results")
        grow(here, [VIDEO_TOPIC])
        worker.wait_for("topics_unequal")
        (line, *_) = worker.events("topics_unequal")
        assert f"{results_topic(here.pipeline)} has {BEFORE} of {AFTER} partitions" in line["reason"]
        grow(here, rest)
        worker.wait_for("topics_grown")
        send(here, Feed(MOVES).play(6))
        wait_until(lambda: results_of(here, MOVES) == 3, "results of a stream on a new partition")
        done = worker.stop()

    assert done.exit_code == 0
    assert "Traceback" not in done.err
    assert here.records(dead_topic(here.pipeline)) == []


def test_topics_that_are_created_again_are_read_from_their_beginning(install: Install) -> None:
    """A running worker ends with one line and its own exit code; the next uses none of its states and commits."""
    here = install()
    with here.running("work") as worker:
        send(here, Feed("city").play(6))
        wait_until(lambda: results_of(here, "city") == 3, "the first results")
        here.delete_inputs()
        here.make_topics()
        later = Feed("city", session="s2", start_ns=Feed("city").start_ns + 100 * 10**9)
        send(here, later.play(20))
        ended = worker.wait()

    assert ended.exit_code == 9, ended.err
    assert "deleted and created again" in ended.err
    assert "Traceback" not in ended.err
    here.run("work", "--until-end").succeeded()
    new = [result for result in here.in_topic() if result.start_ns >= later.start_ns]
    complete = {result.start_ns for result in new if result.modalities.video.items == 8}
    assert complete == {later.start_ns + 2 * 10**9 * number for number in range(10)}
