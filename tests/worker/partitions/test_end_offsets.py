"""When end offsets are requested, and how long a failure delays the next request."""

from __future__ import annotations

from collections.abc import Sequence

from tests.worker.partitions.fakes import FakeClock, FakeConsumer, partition_set
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.records import TopicPartition
from triptych.units import NS_PER_MS
from triptych.worker.alignment.aligner import NextWakeup
from triptych.worker.observability.events import Event, RetryScheduled, StageCompleted
from triptych.worker.observability.hooks import Hooks
from triptych.worker.partitions.end_offsets import EndOffsetRefresher
from triptych.worker.partitions.partition import PartitionSet

INTERVAL_NS = 5 * NS_PER_MS
BACKOFF_NS = 200 * NS_PER_MS


def waiting(partition: int, *, at_ns: int | None = None, wall_ns: int | None = None) -> PartitionSet:
    """Return a set that needs end offsets at a monotonic or a wall clock time."""
    found = partition_set(partition)
    found.next_wakeup = lambda: NextWakeup(at_ns, wall_ns)  # type: ignore[method-assign]
    return found


def refresher(
    clock: FakeClock, *, wall: FakeClock | None = None
) -> tuple[EndOffsetRefresher, FakeConsumer, list[Event]]:
    """Return a refresher with the consumer and the events that it uses."""
    consumer, events = FakeConsumer(), list[Event]()
    made = EndOffsetRefresher(consumer, Hooks([events.append]), monotonic_ns=clock, wall_ns=wall or FakeClock())
    return made, consumer, events


def steps(made: EndOffsetRefresher, clock: FakeClock, sets: Sequence[PartitionSet], times_ms: Sequence[int]) -> None:
    """Ask the refresher at several times after the current one."""
    start_ns = clock.now_ns
    for at_ms in times_ms:
        clock.now_ns = start_ns + at_ms * NS_PER_MS
        made.refresh_if_due(sets)


def test_nothing_is_requested_before_it_is_due() -> None:
    """Neither by the monotonic clock nor by the wall clock."""
    clock, wall = FakeClock(100), FakeClock(1_000)
    made, consumer, _ = refresher(clock, wall=wall)
    sets = [waiting(0, at_ns=101), waiting(1, wall_ns=1_002), waiting(2)]

    made.refresh_if_due(sets)
    assert consumer.end_offset_requests == 0
    assert made.wait_ns(sets) == 1

    clock.now_ns, wall.now_ns = 101, 1_001
    made.refresh_if_due(sets)
    assert consumer.end_offset_requests == 1


def test_one_request_serves_every_set_that_is_due() -> None:
    """Each set learns the end offsets and its positions."""
    made, consumer, events = refresher(FakeClock())
    sets = [waiting(0, at_ns=0), waiting(1, wall_ns=0)]
    consumer.positions = {TopicPartition("triptych.video", 1): 4}

    made.refresh_if_due(sets)

    assert consumer.end_offset_requests == 1
    assert sets[1].offset_tracker.positions()["video"] == 4
    assert [type(event) for event in events] == [StageCompleted]


def test_requests_are_at_least_five_milliseconds_apart() -> None:
    """However often the loop turns."""
    clock = FakeClock()
    made, consumer, _ = refresher(clock)
    sets = [waiting(0, at_ns=0)]

    steps(made, clock, sets, [0, 1, 4, 5, 6])

    assert consumer.end_offset_requests == 2
    assert made.wait_ns(sets) == INTERVAL_NS - NS_PER_MS


def test_a_failure_delays_every_request() -> None:
    """Each attempt may block for as long as a request timeout."""
    clock = FakeClock()
    made, consumer, events = refresher(clock)
    sets = [waiting(0, at_ns=0)]
    consumer.error = BrokerUnavailableError("no broker answered")

    made.refresh_if_due(sets)
    made.refresh(sets)
    assert not made.refresh_and_check_end(sets)
    assert consumer.end_offset_requests == 1
    assert events == [RetryScheduled(what="kafka", error="no broker answered", attempt=1, delay_s=0.0)]
    assert made.wait_ns(sets) == BACKOFF_NS

    consumer.error = None
    clock.now_ns += BACKOFF_NS
    assert made.refresh_and_check_end(sets)


def test_the_end_is_reached_when_every_partition_is_read_to_it() -> None:
    """A record that is not read yet means that it is not."""
    clock = FakeClock()
    made, consumer, _ = refresher(clock)
    sets = [partition_set(0), partition_set(1)]
    consumer.ends = {TopicPartition("triptych.audio", 1): 1}
    assert not made.refresh_and_check_end(sets)

    clock.now_ns += INTERVAL_NS
    consumer.positions = {TopicPartition("triptych.audio", 1): 1}

    assert made.refresh_and_check_end(sets)


def test_nothing_is_requested_for_no_partitions() -> None:
    """A worker without an assignment has nothing to wait for."""
    made, consumer, _ = refresher(FakeClock())

    made.refresh([])
    made.refresh_if_due([])

    assert consumer.end_offset_requests == 0
    assert made.wait_ns([]) is None
