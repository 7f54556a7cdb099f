"""Topics of a real broker that grow, or are deleted and created again, while a worker runs and between two runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewPartitions

from tests.e2e.programs import Installation, by_id, status_response, wait_until
from tests.worker.world import Feed
from tools.devservers.ports import free_ports
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
EARLY = next(
    name
    for name in (f"stream-{number}" for number in range(100))
    if partition_of(name.encode(), BEFORE) != partition_of(name.encode(), AFTER) < BEFORE
)
"""A stream whose partition after the growth is another one, which is there before."""


def send_by(here: Installation, records: Iterable[InputRecord], partitions: int) -> None:
    """Send records, as a producer that knows another number of partitions does."""
    with closing(here.transport()) as transport:
        publisher = transport.publisher()
        for record in records:
            wire = encode(record)
            at = partition_of(wire.key, partitions)
            publisher.send(Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers, at))
        publisher.flush(30)


def grow(here: Installation, topics: Iterable[str]) -> None:
    """Add partitions."""
    with closing(KafkaAdminClient(bootstrap_servers=here.bootstrap_servers)) as client:
        client.create_partitions({topic: NewPartitions(AFTER) for topic in topics})


def pictures(here: Installation) -> list[int]:
    """Return the number of pictures in the newest result of each window, in order."""
    newest: dict[int, tuple[int, int]] = {}
    for result in here.in_topic():
        found = (result.revision, result.modalities.video.items)
        newest[result.start_ns] = max(found, newest.get(result.start_ns, found))
    return [items for _, (_, items) in sorted(newest.items())]


def results_of(here: Installation, stream: str) -> int:
    """Return how many results of a stream there are, none of them twice."""
    return sum(result.stream == stream for result in by_id(here.in_topic()).values())


def test_a_worker_waits_for_topics_that_grow_one_after_the_other(install: Install) -> None:
    """One input first: it says what is lacking. With the others it goes on, and loses nothing."""
    here = install()
    rest = [*INPUT_TOPICS[1:], results_topic(here.pipeline), dead_topic(here.pipeline)]
    with here.running("work") as worker:
        here.send(Feed("city").play(6))
        wait_until(lambda: results_of(here, "city") == 3, "the first results")
        grow(here, [VIDEO_TOPIC])
        worker.wait_for("topics_unequal")
        (line, *_) = worker.events("topics_unequal")
        assert f"{results_topic(here.pipeline)} has {BEFORE} of {AFTER} partitions" in line["reason"]
        grow(here, rest)
        worker.wait_for("topics_grown")
        here.send(Feed(MOVES).play(6))
        wait_until(lambda: results_of(here, MOVES) == 3, "results of a stream on a new partition")
        done = worker.stop()

    assert done.exit_code == 0
    assert "Traceback" not in done.err
    assert here.records(dead_topic(here.pipeline)) == []


def test_a_worker_that_starts_while_topics_grow_waits_too(install: Install) -> None:
    """Not ready, with the reason; with the other topics it goes on. A run over a time range refuses."""
    here = install()
    (port,) = free_ports(1)
    here.send(Feed(MOVES).play(6))
    grow(here, [VIDEO_TOPIC])
    refused = here.run("work", "--from", "-1h", "--pipeline", here.pipeline)
    assert refused.exit_code == 2
    assert f"{results_topic(here.pipeline)}: expected {AFTER} partitions" in refused.err
    with here.running("work", TRIPTYCH_HTTP_PORT=str(port)) as worker:
        worker.wait_for("topics_unequal")
        wait_until(lambda: "topics_equal" in status_response(port, "/readyz")[1], "the reason")
        assert here.count_results() == 0
        grow(here, [*INPUT_TOPICS[1:], results_topic(here.pipeline), dead_topic(here.pipeline)])
        wait_until(lambda: results_of(here, MOVES) == 3, "results of the stream")
        done = worker.stop().succeeded()

    assert "Traceback" not in done.err
    assert here.records(dead_topic(here.pipeline)) == []


def test_what_fell_between_is_put_back(install: Install) -> None:
    """A producer learns of the growth of one topic before the worker's broker: dead letters, which a redrive puts back.

    Another pipeline finds these records where they are: that place is the right one since the growth.
    """
    here = install()
    film = Feed(EARLY).play(6)
    between = [
        record for record in film if record.modality == "video" and record.start_ns < film[0].start_ns + 2 * 10**9
    ]
    rest = [record for record in film if record not in between]
    with here.running("work", TRIPTYCH_ALIGN_LATE="revise") as worker:
        worker.wait_for("partitions_assigned")
        send_by(here, between, AFTER)
        wait_until(lambda: len(here.records(dead_topic(here.pipeline))) == 8, "the dead letters")
        grow(here, [*INPUT_TOPICS, results_topic(here.pipeline), dead_topic(here.pipeline)])
        worker.wait_for("topics_grown")
        here.send(rest)
        wait_until(lambda: pictures(here) == [0, 8, 8], "results of the rest")
        assert here.run("dead", "redrive", "--reason", "wrong_partition").succeeded().out == "8 redriven\n"
        wait_until(lambda: pictures(here) == [8, 8, 8], "a revision of the first window")
        done = worker.stop().succeeded()

    assert "Traceback" not in done.err
    assert here.run("dead", "redrive").succeeded().out == "0 redriven\n"
    again = replace(here, pipeline=f"{here.pipeline}-again")
    again.run("work", "--from", "-1h", "--pipeline", again.pipeline, "--create-topics").succeeded()
    assert pictures(again) == [8, 8, 8]


def test_topics_that_are_created_again_are_read_from_their_beginning(install: Install) -> None:
    """A running worker ends with one line and its own exit code; the next uses none of its states and commits."""
    here = install()
    with here.running("work") as worker:
        here.send(Feed("city").play(6))
        wait_until(lambda: results_of(here, "city") == 3, "the first results")
        here.delete_inputs()
        here.make_topics()
        later = Feed("city", session="s2", start_ns=Feed("city").start_ns + 100 * 10**9)
        here.send(later.play(20))
        ended = worker.wait()

    assert ended.exit_code == 9, ended.err
    assert "deleted and created again" in ended.err
    assert "Traceback" not in ended.err
    here.run("work", "--until-end").succeeded()
    new = [result for result in here.in_topic() if result.start_ns >= later.start_ns]
    complete = {result.start_ns for result in new if result.modalities.video.items == 8}
    assert complete == {later.start_ns + 2 * 10**9 * number for number in range(10)}
