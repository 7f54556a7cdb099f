"""Restore from the topics of an older release: the worker continues exactly where that one stopped."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.worker.world import World
from triptych.schemas.names import STATE_HEADER, TOPIC_OF, consumer_group, results_topic
from triptych.settings.loading import load
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Commit, Message, Record, TopicPartition
from triptych.worker.observability.events import PartitionRestored

RECORDED: Final = Path(__file__).parents[2] / "data" / "recorded" / "adcaff1"
PLAIN: Final = {
    "model.name": "null",
    "batch.max_delay_ms": 0,
    "align.late": "drop",
    "align.pause_ms": 10_000,
    "worker.quality": False,
}
"""As in the older release: late items were dropped by default, each silence counted in full towards idleness, and the
technical quality was not measured."""
VARYING: Final = ("published_ns", "arrival_ms", "stage_ms", "revisable_until_ns")
"""What differs from run to run, and what the older release did not write."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The input topics, the results of an uninterrupted run, and what a worker that stopped halfway had left."""

    settings: dict[str, Any]
    inputs: list[tuple[int, Message]]  # with arrival times
    results: list[tuple[int, Message]]
    published: int  # the number of results that were on the results topic
    committed: dict[TopicPartition, Commit]


def recording(case: str) -> Recording:
    """Read a recording from its files."""
    log = json.loads((RECORDED / "log.json").read_bytes())
    run = json.loads((RECORDED / f"{case}.json").read_bytes())
    topic = results_topic("triptych")
    inputs = [
        (arrival_ns, Message(name, key.encode(), b64decode(log["media"][value]), _headers(headers), partition))
        for name, partition, arrival_ns, key, value, headers in log["records"]
    ]
    results = [
        (arrival_ns, Message(topic, key.encode(), value.encode(), _headers(headers), partition))
        for partition, arrival_ns, key, value, headers in run["results"]
    ]
    committed = {
        TopicPartition(name, partition): Commit(offset)
        for name, offsets in run["committed"].items()
        for partition, offset in enumerate(offsets)
        if offset
    }
    return Recording(run["settings"], inputs, results, run["published"], committed)


def _headers(pairs: list[list[str]]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value.encode()) for name, value in pairs)


def preloaded(recorded: Recording, *, published: int) -> World:
    """Return an installation with the recorded inputs, commits and the first `published` results."""
    clock_ns = 0
    world = World()
    world.transport = MemoryTransport(clock_ns=lambda: clock_ns)
    world.settings = load(overrides={**PLAIN, **recorded.settings}, environ={})
    publisher = world.transport.publisher()
    for arrival_ns, message in [*recorded.inputs, *recorded.results[:published]]:
        clock_ns = arrival_ns
        publisher.send(message).result(timeout=5)
    publisher.close(5)
    consumer = world.transport.group_consumer(list(TOPIC_OF.values()), consumer_group(world.settings.pipeline))
    while not consumer.assignment():
        consumer.poll(0.1)
    consumer.commit(recorded.committed)
    consumer.close()
    return world


def observable(result: Record | Message) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the stream, the content and the state of a result, without what differs from run to run or is newer."""
    document = json.loads(result.value)
    content = {name: value for name, value in document.items() if name not in VARYING}
    state = json.loads(dict(result.headers)[STATE_HEADER])
    state.pop("heard", None)  # the older worker had none
    return document["stream"], content, state


@pytest.mark.parametrize("case", ["drop", "revise"])
def test_a_worker_continues_exactly_where_one_of_an_older_release_stopped(case: str) -> None:
    """The results that follow equal those of the older worker's uninterrupted run: ids, contents and state headers.

    The older worker may have published more results after its last commit, so any number of them can be on the topic.
    """
    recorded = recording(case)
    expected = [observable(message) for _, message in recorded.results]
    for published in range(recorded.published, len(expected) + 1):
        world = preloaded(recorded, published=published)

        world.work()

        results = [observable(record) for record in world.read(results_topic(world.settings.pipeline))]
        for stream in {stream for stream, *_ in expected}:
            assert [result for result in results if result[0] == stream] == [e for e in expected if e[0] == stream]
        assert sum(event.streams for event in world.seen(PartitionRestored)) == 3
