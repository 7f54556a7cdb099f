"""Looking at a pipeline in memory, with records and results as producers and workers write them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from tests.worker.world import Feed, World
from triptych.consumers.doctor.judgement import judge
from triptych.consumers.doctor.look import Surveyor
from triptych.consumers.doctor.observations import PipelineSeen
from triptych.consumers.subscription.result_source import SourceUnavailableError
from triptych.schemas.names import INPUT_TOPICS, SUBTITLES_TOPIC, VIDEO_TOPIC, dead_topic
from triptych.schemas.partition import partition_of
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics, pipeline_topics

SECOND = 1_000_000_000


@dataclass
class Kept:
    """A store of results, by the publication time of the newest of each stream."""

    newest: dict[str, int] = field(default_factory=dict)

    def streams(self) -> tuple[str, ...]:
        """Return the streams."""
        return tuple(self.newest)

    def newest_ns(self, stream: str) -> int | None:
        """Return the time of the newest result."""
        return self.newest.get(stream)


class Away:
    """A store that does not answer."""

    def streams(self) -> tuple[str, ...]:
        """Fail."""
        raise SourceUnavailableError("Redis does not answer: refused")

    def newest_ns(self, stream: str) -> int | None:
        """Fail."""
        raise SourceUnavailableError(f"Redis does not answer about {stream}")


@pytest.fixture
def world() -> Iterator[World]:
    """An installation in memory with its topics."""
    found = World()
    create_topics(found.transport.admin(), "triptych", TopicSettings("", max_record_bytes=1_000_000))
    return found


def look(world: World, kept: Kept | Away, wanted: str | None = None, *, later_s: int = 0) -> PipelineSeen:
    """Look at the pipeline, some time later."""
    import time

    surveyor = Surveyor(
        "triptych",
        1_000_000,
        10 * SECOND,
        clock_ns=lambda: time.time_ns() + later_s * SECOND,
        pause=lambda _: None,
    )
    return surveyor.look(world.transport, kept, wanted)


def kept_of(world: World) -> Kept:
    """Return the newest results of the topic, as Redis would keep them."""
    return Kept({result.stream: result.published_ns for result in world.results()})


def wrong(seen: PipelineSeen) -> list[str]:
    """Return the steps that are wrong."""
    return [check.step for check in judge(seen) if check.status == "wrong"]


def test_a_stream_is_followed_from_its_records_to_its_result(world: World) -> None:
    """Nothing is missing but a running worker, which has left."""
    world.send(Feed("film").play(6))
    world.send(Feed("other", session="s2").play(2))
    world.work()

    seen = look(world, kept_of(world), "film")

    (film,) = seen.streams
    assert [track.modality for track in film.tracks] == ["video", "audio", "subtitles"]
    assert film.ended
    assert 0 < film.unread < 8  # the last records, until the stream is forgotten
    assert film.result_ns is not None
    assert film.waiting_since_ns is None
    assert film.kept_ns is not None
    assert wrong(seen) == ["worker"]
    assert wrong(look(world, kept_of(world), "film", later_s=500)) == ["worker"]
    with world.open():
        assert wrong(look(world, kept_of(world), "film")) == []


def test_lag_is_the_age_of_the_oldest_record_that_is_not_committed(world: World) -> None:
    """Without a worker, that is the first record."""
    world.send(Feed("film").play(6))

    seen = look(world, Kept(), "film", later_s=500)

    (film,) = seen.streams
    assert film.unread == len(Feed("film").play(6))
    assert film.oldest_unread_ns == film.first_ns
    assert wrong(seen) == ["worker", "lag", "results"]


def test_a_worker_that_does_not_advance_is_recognised(world: World) -> None:
    """It is a member, and its commits stay where they are."""
    world.send(Feed("film").play(6))
    with closing(world.transport.group_consumer(INPUT_TOPICS, "triptych")):
        seen = look(world, Kept(), "film", later_s=500)
    assert (seen.workers, seen.is_advancing) == (1, False)
    assert wrong(seen) == ["lag", "results"]


def test_dead_letters_are_counted_for_their_stream(world: World) -> None:
    """With their reasons; those of another stream are not."""
    world.send(Feed("film").play(2))
    world.send_raw(Message(VIDEO_TOPIC, b"film", b"junk"))
    world.send_raw(Message(SUBTITLES_TOPIC, b"film", b"junk"))
    world.send_raw(Message(VIDEO_TOPIC, b"other", b"junk"))
    world.work()

    (film,) = look(world, kept_of(world), "film").streams

    assert len(world.read(dead_topic("triptych"))) == 3
    assert film.letters.count == 2
    assert film.letters.reasons == tuple({letter.code for letter in world.letters()})
    assert "dead letters" in wrong(look(world, kept_of(world), "film"))


def test_a_stream_that_nobody_sends_is_named_with_those_that_exist(world: World) -> None:
    """On whichever partition these are."""
    for name in ("a", "b", "c"):
        world.send(Feed(name, session=name).play(2))

    seen = look(world, Kept({"old": 1}), "film")

    assert seen.known == ("a", "b", "c", "old")
    assert wrong(seen) == ["producer", "worker"]


def test_a_stream_that_ended_before_the_topics_grew_is_found(world: World) -> None:
    """On the partition on which it was."""
    count = world.transport.admin().partition_count(VIDEO_TOPIC) or 0
    name = next(name for name in map(str, range(99)) if partition_of(name.encode(), count + 3) >= count)
    world.send(Feed(name).play(2))
    world.work()
    world.transport.admin().grow(dict.fromkeys(pipeline_topics("triptych"), count + 3))

    seen = look(world, kept_of(world), name)

    (stream,) = seen.streams
    assert {track.modality for track in stream.tracks} == {"video", "audio", "subtitles"}
    assert stream.result_ns is not None
    assert "producer" not in wrong(seen)


def test_a_stream_behind_many_records_of_another_is_found(world: World) -> None:
    """More of the partition is read than at first."""
    partition = world.results_partition("film")
    neighbour = next(name for name in map(str, range(100)) if world.results_partition(name) == partition)
    world.send([Feed("film").frame(0)])
    feed = Feed(neighbour, session="s2")
    world.send([feed.frame(number / 4) for number in range(300)])

    (film,) = look(world, Kept(), "film").streams

    assert [track.modality for track in film.tracks] == ["video"]


def test_all_streams_of_the_last_day_are_followed(world: World) -> None:
    """Older ones are left out, and still known."""
    for name in ("a", "b"):
        world.send(Feed(name, session=name).play(2))
    assert [seen.stream for seen in look(world, Kept()).streams] == ["a", "b"]
    later = look(world, Kept(), later_s=2 * 86_400)
    assert (later.streams, later.known) == ((), ("a", "b"))
    assert wrong(later) == ["producer", "worker"]


def test_redis_that_does_not_answer_and_redis_that_is_empty_differ(world: World) -> None:
    """Kafka is looked at in both cases."""
    world.send(Feed("film").play(4))
    world.work()
    assert wrong(look(world, Away(), "film")) == ["worker", "redis"]
    assert look(world, Away(), "film").redis_error == "Redis does not answer: refused"
    assert wrong(look(world, Kept(), "film")) == ["worker", "redis"]


def test_missing_topics_are_what_is_wrong() -> None:
    """Nothing behind them is looked at."""
    world = World()
    world.transport = MemoryTransport()
    assert wrong(look(world, Kept())) == ["topics"]


def test_records_after_a_long_pause_are_no_lag_of_the_records_before_it(world: World) -> None:
    """The last records before it are not committed; a bad one after it counts as a dead letter only."""
    world.send(Feed("film").play(4))
    world.work()
    world.send_raw(Message(VIDEO_TOPIC, b"film", b"junk"))
    assert wrong(look(world, kept_of(world), "film", later_s=500)) == ["worker"]
    world.send(Feed("film", session="s2", start_ns=Feed("film").start_ns + 60 * SECOND).play(1, ended=False))
    (film,) = look(world, kept_of(world), "film").streams
    assert film.waiting_since_ns is not None
    assert film.oldest_unread_ns is not None
    assert film.waiting_since_ns > film.oldest_unread_ns
