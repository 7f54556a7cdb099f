"""A batch that cannot be read, under the policy `stop`: what a whole worker does around it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from tests.worker.world import Feed, World
from triptych.schemas.names import AUDIO_TOPIC, VIDEO_TOPIC, results_topic
from triptych.transport.errors import UnreadableBatchError
from triptych.transport.records import Poll, TopicPartition, Unreadable
from triptych.worker.observability.events import BatchUnreadable, CommitRefused, PartitionRestored, StageCompleted
from triptych.worker.pipeline import Pipeline

MakeFeed = Callable[..., Feed]
CITY, HALL = "city", "hall"  # on different partitions
LIMIT_S = 60.0


@dataclass
class StoppingReader:
    """A reader, or a member of a group, that cannot read one batch, which is one record, and stops there."""

    inner: Any
    tp: TopicPartition
    offset: int
    is_member: bool
    stopped: bool = False
    span: Unreadable = field(init=False)

    def __post_init__(self) -> None:
        self.span = Unreadable(self.tp, self.offset, self.offset + 1, "the checksum is wrong", stopped=True)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the reader has
        return getattr(self.inner, name)

    def poll(self, timeout_s: float) -> Poll:
        """Return what comes before the batch. A member reports the batch once."""
        found: Poll = self.inner.poll(timeout_s)
        kept = tuple(each for each in found.records if each.tp != self.tp or each.offset < self.offset)
        found = replace(found, records=kept) if len(kept) < len(found.records) else found
        if not self.stopped and self._position() > self.offset:
            self.inner.seek(self.tp, self.offset)
            self.inner.pause([self.tp])
            self.stopped = True
            if self.is_member:
                return replace(found, unreadable=(self.span,))
        if self.stopped and not self.is_member and not found.records:
            raise UnreadableBatchError(self.span)
        return found

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Read the batch again, as the Kafka client does."""
        self.inner.seek(tp, offset)
        self.stopped &= tp != self.tp

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Resume all partitions but the stopped one."""
        self.inner.resume([tp for tp in tps if tp != self.tp or not self.stopped])

    def _position(self) -> int:
        try:
            return int(self.inner.position(self.tp))
        except ValueError:
            return -1


@dataclass
class StoppingTransport:
    """The transport of a world, with one batch that cannot be read."""

    inner: Any
    tp: TopicPartition
    offset: int

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the transport has
        return getattr(self.inner, name)

    def group_consumer(self, *args: Any, **options: Any) -> StoppingReader:  # noqa: ANN401 - as the transport's
        """Open a member of a group."""
        return StoppingReader(self.inner.group_consumer(*args, **options), self.tp, self.offset, is_member=True)

    def reader(self, start: dict[TopicPartition, int], **options: Any) -> StoppingReader:  # noqa: ANN401 - as above
        """Open a reader."""
        return StoppingReader(self.inner.reader(start, **options), self.tp, self.offset, is_member=False)


def damage(world: World, topic: str, offset: int, stream: str = CITY) -> TopicPartition:
    """Make one record of a stream's partition unreadable."""
    tp = TopicPartition(topic, world.results_partition(stream))
    world.transport = cast("Any", StoppingTransport(world.transport, tp, offset))
    return tp


def step_until(pipeline: Pipeline, holds: Callable[[], bool]) -> None:
    """Run iterations of the loop until the condition holds."""
    deadline_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline_s, "the condition never held"
        pipeline.step()


@pytest.fixture
def streams(world: World, feed: MakeFeed) -> World:
    """Two streams of six windows, on two partitions."""
    assert world.results_partition(CITY) != world.results_partition(HALL)
    world.send(feed(CITY).play(12))
    world.send(feed(HALL).play(12))
    return world


def windows(world: World, stream: str) -> int:
    """Return the number of results of a stream, none of them twice."""
    ids = [result.id for result in world.results() if result.stream == stream]
    assert len(ids) == len(set(ids))
    return len(ids)


def test_a_run_to_the_end_finishes_the_rest_and_names_the_place(streams: World) -> None:
    """It ends although the partition is not read to its end; with `skip` the next run continues there."""
    readable = streams.transport
    tp = damage(streams, AUDIO_TOPIC, 12)  # the chunk at 6 s

    with pytest.raises(UnreadableBatchError, match=rf"{tp.topic} {tp.partition}: .* offset 12 .*=skip.* 13") as end:
        streams.work()

    assert end.value.exit_code == 8
    # The last frame before 6 s arrived after the last chunk before it, so the window of 4 to 6 s waits for the batch.
    assert (windows(streams, HALL), windows(streams, CITY)) == (6, 2)
    assert streams.seen(BatchUnreadable) == [
        BatchUnreadable(tp.topic, tp.partition, 12, 13, "the checksum is wrong", stopped=True)
    ]
    streams.transport = readable
    streams.work()
    assert (windows(streams, HALL), windows(streams, CITY)) == (6, 6)


def test_a_stopped_partition_does_not_keep_the_worker_busy(streams: World) -> None:
    """It goes on, and asks no end offsets on behalf of what waits for the batch."""
    damage(streams, VIDEO_TOPIC, 24)
    with streams.open() as pipeline:
        step_until(
            pipeline,
            lambda: (windows(streams, HALL), windows(streams, CITY)) == (6, 3) and bool(streams.seen(BatchUnreadable)),
        )
        asked = len([event for event in streams.seen(StageCompleted) if event.stage == "ask"])
        began_s = time.monotonic()
        for _ in range(10):
            pipeline.step()
        took_s = time.monotonic() - began_s
        later = len([event for event in streams.seen(StageCompleted) if event.stage == "ask"])
    assert (windows(streams, HALL), windows(streams, CITY)) == (6, 3)
    assert later - asked <= 2 + took_s, "only what is asked once a second"
    assert not streams.seen(CommitRefused)


def test_a_signal_still_ends_a_worker_in_order(streams: World) -> None:
    """The exit code 8 is for runs that end by themselves."""
    damage(streams, AUDIO_TOPIC, 12)
    stop = threading.Event()
    with streams.open() as pipeline:
        step_until(pipeline, lambda: windows(streams, HALL) == 6 and bool(streams.seen(BatchUnreadable)))
        stop.set()
        assert pipeline.run(stop).open_streams == (CITY,)


def test_a_partition_whose_state_cannot_be_read_stops_alone(streams: World) -> None:
    """It is not restored again and again; a run to the end says so at its end."""
    streams.work()
    streams.events.clear()
    tp = damage(streams, results_topic(streams.settings.pipeline), 2)

    with pytest.raises(UnreadableBatchError, match=f"{tp.topic} {tp.partition}: the batch at offset 2"):
        streams.work()

    assert [event.topic for event in streams.seen(BatchUnreadable)] == [tp.topic]
    assert {event.number for event in streams.seen(PartitionRestored)} == set(range(6)) - {tp.partition}
    assert not streams.health.readiness().ok
