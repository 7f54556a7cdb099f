"""Restore partitions: also from the topics of an older release, whose worker is continued exactly where it stopped."""

from __future__ import annotations

import itertools
import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.worker.world import SECOND, Feed, World
from triptych.schemas.names import STATE_HEADER, TOPIC_OF, TOPICS_HEADER, VIDEO_TOPIC, consumer_group, results_topic
from triptych.settings.loading import load
from triptych.transport.errors import BrokerUnavailableError, UnreadableBatchError
from triptych.transport.memory.group_consumer import MemoryGroupConsumer
from triptych.transport.memory.reader import MemoryReader
from triptych.transport.memory.transport import MemoryAdmin, MemoryTransport
from triptych.transport.records import Commit, Message, Poll, Record, TopicPartition, Unreadable
from triptych.worker.observability.events import PartitionRestored
from triptych.worker.partitions.restore import Outcome, RestorePlan, Tail, TailReader

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


STREAMS: Final = {"road": 4, "yard": 5, "dome": 2}
"""Streams, and their partitions of six."""


@pytest.fixture
def published(world: World) -> World:
    """Return a world with three results of each stream, and another window that is open."""
    for stream, partition in STREAMS.items():
        assert world.results_partition(stream) == partition
        world.send(Feed(stream).play(7, ended=False))
    world.work()
    assert len(world.results()) == 9
    return world


def ticking(step_s: float) -> Callable[[], float]:
    """Return a clock that advances by `step_s` each time it is read."""
    ticks = itertools.count()
    return lambda: next(ticks) * step_s


def tails(
    world: World,
    partitions: Iterable[int] = STREAMS.values(),
    *,
    tick_s: float = 0.01,
) -> TailReader:
    """Return a reader of the tails of these partitions, whose inputs are unread, with a clock of such ticks."""
    plans = [
        RestorePlan(
            pipeline=world.settings.pipeline,
            partition=partition,
            start=dict.fromkeys(TOPIC_OF, 0),
            has_commit=True,
            stream_ttl_ns=0,
        )
        for partition in partitions
    ]
    return TailReader(world.transport, plans, wall_ns=1 << 62, monotonic_s=ticking(tick_s))


def read(reader: TailReader) -> dict[int, Outcome]:
    """Read all tails to their ends."""
    outcomes: dict[int, Outcome] = {}
    with closing(reader):
        while not reader.is_done:
            outcomes |= reader.advance(0.01)
    return outcomes


def streams_of(outcome: Outcome) -> tuple[str, ...]:
    """Return the streams of a tail."""
    assert isinstance(outcome, Tail)
    return tuple(outcome.snapshots)


def test_the_tails_of_several_partitions_are_read_side_by_side(
    published: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two readers serve all of them, whatever their number; one without results has an empty tail."""
    opened = 0
    reader_of = MemoryTransport.reader

    def counted(transport: MemoryTransport, start: Mapping[TopicPartition, int]) -> MemoryReader:
        nonlocal opened
        opened += 1
        return reader_of(transport, start)

    monkeypatch.setattr(MemoryTransport, "reader", counted)
    outcomes = read(tails(published, range(6)))

    assert opened == 2
    assert {partition: streams_of(outcome) for partition, outcome in outcomes.items()} == {
        partition: tuple(stream for stream, its in STREAMS.items() if its == partition) for partition in range(6)
    }
    assert [len(outcome.results) for outcome in outcomes.values() if isinstance(outcome, Tail)].count(3) == 3


def append(world: World, message: Message) -> None:
    """Publish a message."""
    publisher = world.transport.publisher()
    publisher.send(message)
    publisher.close(1)


def test_a_late_copy_of_an_older_result_takes_no_stream_back(published: World) -> None:
    """A worker that was suspended sends it when it is resumed; another one has published it and gone on meanwhile."""
    topic = results_topic(published.settings.pipeline)
    [before] = [each for each in read(tails(published, [STREAMS["road"]])).values() if isinstance(each, Tail)]
    oldest = next(record for record in published.read(topic) if observable(record)[0] == "road")
    assert oldest.key is not None
    append(published, Message(topic, oldest.key, oldest.value or b"", oldest.headers))

    [after] = [each for each in read(tails(published, [STREAMS["road"]])).values() if isinstance(each, Tail)]
    assert after.snapshots == before.snapshots
    assert len(after.results) == len(before.results) + 1
    published.work()
    assert len(published.results()) == 9 + 1


def test_a_late_copy_of_the_first_of_several_windows_takes_no_stream_back(published: World) -> None:
    """The windows that close in one step have the same offsets in their states."""
    topic = results_topic(published.settings.pipeline)
    newest = [record for record in published.read(topic) if observable(record)[0] == "road"][-1]
    headers = dict(newest.headers)
    state = json.loads(headers[STATE_HEADER])
    state["floor"] -= SECOND
    assert newest.key is not None
    copy = headers | {STATE_HEADER: json.dumps(state).encode()}
    append(published, Message(topic, newest.key, newest.value or b"", tuple(copy.items())))

    [after] = [each for each in read(tails(published, [STREAMS["road"]])).values() if isinstance(each, Tail)]
    assert after.snapshots["road"].next_window_start_ns == state["floor"] + SECOND


def test_a_state_from_before_its_topics_were_made_again_is_no_later_one(published: World) -> None:
    """Its offsets are larger, but of other topics: the last one on the topic holds."""
    topic = results_topic(published.settings.pipeline)
    newest = [record for record in published.read(topic) if observable(record)[0] == "road"][-1]
    headers = dict(newest.headers)
    state = json.loads(headers[STATE_HEADER])
    state["positions"] = dict.fromkeys(state["positions"], 0)
    headers |= {STATE_HEADER: json.dumps(state).encode(), TOPICS_HEADER: b"others"}
    assert newest.key is not None
    append(published, Message(topic, newest.key, newest.value or b"", tuple(headers.items())))

    [after] = [each for each in read(tails(published, [STREAMS["road"]])).values() if isinstance(each, Tail)]
    assert not any(after.snapshots["road"].positions.values())


def test_a_partition_with_an_open_transaction_delays_no_other(
    published: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up after a time without progress, to be tried anew. The others are done at once."""
    appended_offsets = MemoryAdmin.appended_offsets

    def with_open_transaction(admin: MemoryAdmin, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: end + (tp.partition == 4) for tp, end in appended_offsets(admin, tps).items()}

    monkeypatch.setattr(MemoryAdmin, "appended_offsets", with_open_transaction)
    reader = tails(published, tick_s=0.5)

    first: dict[int, Outcome] = {}
    while len(first) < 2:
        first |= reader.advance(0)
    assert {partition: streams_of(outcome) for partition, outcome in first.items()} == {5: ("yard",), 2: ("dome",)}
    (failure,) = read(reader).values()
    assert isinstance(failure, BrokerUnavailableError)
    assert "a transaction of a former worker is open there" in str(failure)


def test_an_input_that_cannot_be_read_stops_its_partition_alone(
    published: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its broker may have gone after it has told the end offset."""
    poll = MemoryReader.poll

    def without_one(reader: MemoryReader, timeout_s: float) -> Poll:
        found = poll(reader, timeout_s)
        gone = [record for record in found.records if record.tp == TopicPartition(VIDEO_TOPIC, 2)]
        for record in gone[:1]:
            reader.seek(record.tp, record.offset)
        return Poll(tuple(record for record in found.records if record not in gone))

    monkeypatch.setattr(MemoryReader, "poll", without_one)
    outcomes = read(tails(published, tick_s=0.5))

    assert isinstance(outcomes.pop(2), BrokerUnavailableError)
    assert {partition: streams_of(outcome) for partition, outcome in outcomes.items()} == {4: ("road",), 5: ("yard",)}


def test_unreadable_results_of_one_partition_stop_no_other(published: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the policy `stop`, the reader raises as long as it has nothing else."""
    tp = TopicPartition(results_topic(published.settings.pipeline), 5)
    span = Unreadable(tp, 0, 1, "broken", stopped=True)
    poll = MemoryReader.poll

    def stopping(reader: MemoryReader, timeout_s: float) -> Poll:
        found = poll(reader, timeout_s).records
        records = [record for record in found if record.tp != tp]
        if len(records) < len(found):
            reader.seek(tp, span.offset)
        if not records:
            raise UnreadableBatchError(span)
        return Poll(tuple(records))

    monkeypatch.setattr(MemoryReader, "poll", stopping)
    outcomes = read(tails(published))

    failure = outcomes.pop(5)
    assert isinstance(failure, UnreadableBatchError)
    assert failure.spans == (span,)
    assert {partition: streams_of(outcome) for partition, outcome in outcomes.items()} == {4: ("road",), 2: ("dome",)}


def test_a_partition_that_is_dropped_has_no_outcome(published: World) -> None:
    """It was taken away meanwhile."""
    reader = tails(published)
    reader.drop(4)

    assert read(reader).keys() == {5, 2}


def test_the_commits_are_read_before_the_ends_of_the_results(published: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A former owner that is not fenced yet could commit between the two: then its results would be missed."""
    asked: list[str] = []
    committed, appended_offsets = MemoryGroupConsumer.committed, MemoryAdmin.appended_offsets

    def commits(consumer: MemoryGroupConsumer, tps: Iterable[TopicPartition]) -> dict[TopicPartition, Commit | None]:
        asked.append("commits")
        return committed(consumer, tps)

    def ends(admin: MemoryAdmin, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        asked.append("ends of results")
        return appended_offsets(admin, tps)

    with published.open() as pipeline:
        monkeypatch.setattr(MemoryGroupConsumer, "committed", commits)
        monkeypatch.setattr(MemoryAdmin, "appended_offsets", ends)
        while not pipeline._assignment.active:  # noqa: SLF001 - not visible otherwise
            pipeline.step()

    assert asked == ["commits", "ends of results"]
