"""Topics that grow, and topics that are created again, while a worker runs and between two runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import pytest
from structlog.testing import capture_logs

from tests.worker.world import Feed, World
from triptych.schemas.names import (
    AUDIO_TOPIC,
    INPUT_TOPICS,
    SUBTITLES_TOPIC,
    TOPICS_HEADER,
    VIDEO_TOPIC,
    Modality,
    consumer_group,
    dead_topic,
    results_topic,
)
from triptych.schemas.partition import partition_of
from triptych.settings.loading import load
from triptych.transport.errors import TopicMissingError, TopicRecreatedError
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Commit
from triptych.transport.topic_settings import TopicIdentity, TopicSettings
from triptych.worker.observability.events import PartitionRestored
from triptych.worker.partitions.origin import (
    commit_metadata,
    read_commit_metadata,
    recreated_since,
    topics_header,
)
from triptych.worker.partitions.topic_watch import TopicWatch
from triptych.worker.pipeline import Pipeline

MakeFeed = Callable[..., Feed]
MOVES = next(
    name
    for name in (f"stream-{number}" for number in range(100))
    if partition_of(name.encode(), 6) != partition_of(name.encode(), 9) >= 6
)
"""A stream whose partition is another one, which is new, when six partitions become nine."""
LIMIT_S = 60.0


@pytest.fixture
def memory(world: World) -> MemoryTransport:
    """The memory transport of the world, with all topics of the pipeline."""
    transport = cast("MemoryTransport", world.transport)
    names = (*INPUT_TOPICS, results_topic(world.settings.pipeline), dead_topic(world.settings.pipeline))
    transport.admin().create([TopicSettings(name, 6) for name in names])
    return transport


def all_topics(world: World) -> Iterator[str]:
    """Return all topics of the pipeline."""
    yield from (*INPUT_TOPICS, results_topic(world.settings.pipeline), dead_topic(world.settings.pipeline))


def run(pipeline: Pipeline, until: Callable[[], bool]) -> None:
    """Run steps until the condition is true."""
    deadline_s = time.monotonic() + LIMIT_S
    while True:
        pipeline.step()
        if until():
            return
        assert time.monotonic() < deadline_s, "the condition never held"


def stored(world: World, stream: str) -> int:
    """Return how many results of a stream are in the store."""
    return len(world.store.results(stream))


# --- topics that grow -------------------------------------------------------------------------------------------------


def test_a_worker_goes_on_with_partitions_that_are_added(world: World, memory: MemoryTransport, feed: MakeFeed) -> None:
    """Producers that use the new partitions at once lose nothing, and nothing becomes a dead letter."""
    with world.open() as pipeline:
        world.send(feed("city").play(6))
        run(pipeline, lambda: stored(world, "city") == 3)
        for topic in all_topics(world):
            memory.add_partitions(topic, 9)
        world.send(feed(MOVES).play(6))
        run(pipeline, lambda: stored(world, MOVES) == 3)
    assert world.letters() == []


def test_records_at_their_place_before_the_growth_are_not_dead_letters(
    world: World, memory: MemoryTransport, feed: MakeFeed
) -> None:
    """A worker that lags has them before it; also after a restart, as the commits say how many there were."""
    world.send(feed("city").play(2))
    world.work()
    world.send(feed(MOVES).play(6))
    for topic in all_topics(world):
        memory.add_partitions(topic, 9)
    world.work()
    assert stored(world, MOVES) == 3
    assert world.letters() == []


@pytest.mark.parametrize("earlier", ["3,6", ""])
def test_a_pipeline_that_began_after_the_growth_is_told_the_earlier_numbers(
    world: World, memory: MemoryTransport, feed: MakeFeed, earlier: str
) -> None:
    """By a setting, as it has no commits from before. Without it, older records of moved streams are dead letters."""
    world.send(feed(MOVES).play(6))
    for topic in all_topics(world):
        memory.add_partitions(topic, 9)
    world.settings = load(overrides={"model.name": "null", "kafka.earlier_partitions": earlier}, environ={})
    world.work()

    assert stored(world, MOVES) == (3 if earlier else 0)
    assert (world.letters() == []) is bool(earlier)


@pytest.mark.parametrize("grown", [(VIDEO_TOPIC,), (VIDEO_TOPIC, AUDIO_TOPIC, SUBTITLES_TOPIC)], ids=["one", "inputs"])
def test_a_worker_waits_while_topics_have_different_numbers_of_partitions(
    world: World, memory: MemoryTransport, feed: MakeFeed, grown: tuple[str, ...]
) -> None:
    """It says which topic lacks what, reads nothing, and goes on when the rest has grown too."""
    with capture_logs() as logs, world.open() as pipeline:
        run(pipeline, lambda: len(world.seen(PartitionRestored)) == 6)
        for topic in grown:
            memory.add_partitions(topic, 9)
        run(pipeline, lambda: "topics_equal" in world.health.readiness().missing)
        reason = world.health.readiness().missing["topics_equal"]
        world.send(feed("city").play(6))
        for _ in range(30):
            pipeline.step()
        assert stored(world, "city") == 0
        for topic in all_topics(world):
            memory.add_partitions(topic, 9)
        world.send(feed(MOVES).play(6))
        run(pipeline, lambda: stored(world, MOVES) == 3 and stored(world, "city") == 3)
        assert world.health.readiness().ok or "topics_equal" not in world.health.readiness().missing

    lacking = results_topic(world.settings.pipeline)
    assert f"{lacking} has 6 of 9 partitions" in reason
    assert (f"{AUDIO_TOPIC} has 6 of 9 partitions" in reason) == (AUDIO_TOPIC not in grown)
    assert reason in [line["reason"] for line in logs if line["event"] == "topics_unequal"]
    assert [line["partitions"] for line in logs if line["event"] == "topics_grown"] == [9]
    assert world.letters() == []


def test_a_worker_that_starts_while_topics_grow_waits_too(
    world: World, memory: MemoryTransport, feed: MakeFeed
) -> None:
    """It says which topic lacks what. What was sent by the old number of partitions is at its place."""
    world.send(feed(MOVES).play(6))
    memory.add_partitions(VIDEO_TOPIC, 9)
    with world.open() as pipeline:
        run(pipeline, lambda: "topics_equal" in world.health.readiness().missing)
        reason = world.health.readiness().missing["topics_equal"]
        for _ in range(30):
            pipeline.step()
        assert stored(world, MOVES) == 0
        for topic in all_topics(world):
            memory.add_partitions(topic, 9)
        run(pipeline, lambda: stored(world, MOVES) == 3)

    assert f"{AUDIO_TOPIC} has 6 of 9 partitions" in reason
    assert world.letters() == []


# --- topics that are created again ------------------------------------------------------------------------------------


def test_streams_begin_anew_in_topics_that_were_created_again(
    world: World, memory: MemoryTransport, feed: MakeFeed
) -> None:
    """Neither the commits nor the states of the old topics are used, though their positions exist in the new ones."""
    world.send(feed("city").play(6))
    world.work()
    for topic in INPUT_TOPICS:
        memory.recreate(topic)
    later = replace(feed("city", session="s2"), start_ns=feed("city").start_ns + 100 * 10**9)
    world.send(later.play(20))
    with capture_logs() as logs:
        world.work()

    new = [result for result in world.results() if result.start_ns >= later.start_ns]
    assert len(new) == 10
    assert all(result.modalities.video.items == 8 for result in new)
    said = [line for line in logs if line["event"] == "states_of_recreated_topics"]
    assert [(line["streams"], line["topics"]) for line in said] == [(1, sorted(INPUT_TOPICS))]
    assert any(line["event"] == "commits_of_recreated_topics" for line in logs)


def test_a_running_worker_ends_when_a_topic_was_created_again(
    world: World, memory: MemoryTransport, feed: MakeFeed
) -> None:
    """With one line that names the topic, and its own exit code."""
    with world.open() as pipeline:
        world.send(feed("city").play(6))
        run(pipeline, lambda: stored(world, "city") == 3)
        memory.recreate(VIDEO_TOPIC)
        with pytest.raises(TopicRecreatedError, match=f"{VIDEO_TOPIC}: deleted and created again") as end:
            run(pipeline, lambda: False)
    assert end.value.exit_code == 9


def test_commits_and_states_without_an_id_stay_usable(world: World, memory: MemoryTransport, feed: MakeFeed) -> None:
    """Those of earlier versions: nothing is published again."""
    world.send(feed("city").play(6))
    world.work()
    consumer = memory.group_consumer(INPUT_TOPICS, consumer_group(world.settings.pipeline))
    tps = consumer.poll(1).assigned
    commits = {tp: commit for tp, commit in consumer.committed(tps).items() if commit is not None}
    assert any(read_commit_metadata(commit.metadata)[0] for commit in commits.values())
    consumer.commit({tp: Commit(commit.offset) for tp, commit in commits.items()})
    consumer.close()
    first = world.results()
    world.work()
    assert world.results() == first


def test_states_carry_the_ids_of_the_topics(world: World, memory: MemoryTransport, feed: MakeFeed) -> None:
    """In a header of their own, so that the state is as in earlier versions."""
    world.send(feed("city").play(2))
    world.work()
    (record,) = world.read(results_topic(world.settings.pipeline))
    state = dict(record.headers)[TOPICS_HEADER]
    ids = {topic: identity.id for topic, identity in memory.admin().identify(INPUT_TOPICS).items()}
    now: dict[Modality, str] = {"video": ids[VIDEO_TOPIC], "audio": ids[AUDIO_TOPIC], "subtitles": ids[SUBTITLES_TOPIC]}
    assert recreated_since(state, now) == []
    assert recreated_since(state, now | {"audio": "other"}) == ["audio"]


def test_the_metadata_of_a_commit() -> None:
    """They are read back; others, empty ones and damaged ones say nothing."""
    assert read_commit_metadata(commit_metadata("id", (2, 4))) == ("id", (2, 4))
    assert commit_metadata("", (2,)) == ""
    for other in ("", "x", '{"triptych-topic":', '{"triptych-topic":"a"}', '{"triptych-range":1}'):
        assert read_commit_metadata(other) == ("", ())
    assert topics_header({"video": ""}) == ()
    assert recreated_since(b"[]", {"video": "a"}) == recreated_since(b"\xff", {"video": "a"}) == []


# --- the watch --------------------------------------------------------------------------------------------------------


def test_a_missing_topic_is_waited_for() -> None:
    """A topic that is back with its id is the same; one that was missing at the start is not expected."""
    same = {topic: TopicIdentity(topic, 2) for topic in INPUT_TOPICS}
    now = dict(same)
    watch = TopicWatch(lambda: now)
    reasons = []
    for there in ({**same}, {t: same[t] for t in same if t != AUDIO_TOPIC}, same):
        now = there
        watch.refresh()
        reasons.append(watch.waiting_for)
    assert reasons == [None, f"{AUDIO_TOPIC} does not exist", None]
    with pytest.raises(TopicMissingError, match=AUDIO_TOPIC):
        TopicWatch(lambda: {VIDEO_TOPIC: same[VIDEO_TOPIC], SUBTITLES_TOPIC: same[SUBTITLES_TOPIC]})
