"""The states of partitions and the transitions between them, with a fake consumer and a fake clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.worker.partitions.fakes import FakeClock, FakeConsumer, partition_set, tps
from triptych.schemas.names import VIDEO_TOPIC, Modality
from triptych.service.health import Health
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.records import Poll, Record, TopicPartition
from triptych.worker.observability.events import (
    Event,
    PartitionRestarted,
    PartitionsAssigned,
    PartitionsHandedOver,
    PartitionsRevoked,
)
from triptych.worker.observability.hooks import Hooks
from triptych.worker.partitions.assignment import Assignment, PartitionState, Restorer
from triptych.worker.partitions.backpressure import Backpressure
from triptych.worker.partitions.committer import OffsetCommitter
from triptych.worker.partitions.partition import PartitionSet

PENDING, ACTIVE = {PartitionState.PENDING}, {PartitionState.ACTIVE}
REVOKING, RETIRED = {PartitionState.REVOKING}, {PartitionState.RETIRED}
LIMIT_NS = 1_000


@dataclass
class AssignmentFixture:
    """An assignment with everything that it acts on."""

    consumer: FakeConsumer = field(default_factory=FakeConsumer)
    clock: FakeClock = field(default_factory=FakeClock)
    health: Health = field(default_factory=Health)
    events: list[Event] = field(default_factory=list)
    restored: list[tuple[int, dict[Modality, int]]] = field(default_factory=list)
    unavailable: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        hooks = Hooks([self.events.append])
        self.backpressure = Backpressure(self.consumer, partition_max_bytes=1)
        self.committer = OffsetCommitter(
            self.consumer, hooks, interval_ns=0, has_transactions=False, monotonic_ns=self.clock
        )
        self.assignment = Assignment(
            self.consumer,
            Restorer(self.restore, lambda *_: None),
            committer=self.committer,
            backpressure=self.backpressure,
            revocation_limit_ns=LIMIT_NS,
            hooks=hooks,
            health=self.health,
            monotonic_ns=self.clock,
        )

    def restore(self, partition: int, start: dict[Modality, int]) -> tuple[PartitionSet, list[object]]:
        """Restore a partition, unless its brokers are not available."""
        self.restored.append((partition, dict(start)))
        if partition in self.unavailable:
            raise BrokerUnavailableError("no broker answered")
        return partition_set(partition, start), []

    def assign(self, *partitions: int) -> None:
        """Assign partitions, and poll until each had a chance to become active."""
        self.assignment.apply(Poll(assigned=frozenset().union(*map(tps, partitions))))
        for _ in partitions[1:]:
            self.assignment.apply(Poll())

    def only(self) -> PartitionSet:
        """Return the only active set."""
        (active,) = self.assignment.active
        return active


@pytest.fixture
def given() -> AssignmentFixture:
    """Return an assignment without partitions."""
    return AssignmentFixture()


def record(partition: int, offset: int) -> Record:
    """Return a video record."""
    return Record(VIDEO_TOPIC, partition, offset, 1, b"city", b"x")


def test_an_assigned_partition_becomes_active_once_it_is_restored(given: AssignmentFixture) -> None:
    """It starts at the offset of its first record, and is not paused."""
    poll = Poll(assigned=tps(2), records=(record(2, 7), record(2, 8)))

    (received,) = given.assignment.apply(poll)

    assert given.assignment.states(2) == ACTIVE
    assert given.restored == [(2, {"video": 7, "audio": 0, "subtitles": 0})]
    assert [each.offset for each in received.records] == [7, 8]
    assert not given.consumer.paused
    assert given.health.readiness().ok
    assert given.events == [PartitionsAssigned((2,))]


def test_one_partition_is_restored_per_poll(given: AssignmentFixture) -> None:
    """The others stay pending and paused, and their records are sought back."""
    poll = Poll(assigned=tps(1) | tps(2), records=(record(2, 7),))

    (received,) = given.assignment.apply(poll)

    assert (received.partition_set.partition, received.records) == (1, [])
    assert given.assignment.states(1) == ACTIVE
    assert given.assignment.states(2) == PENDING
    assert given.assignment.is_restoring
    assert given.consumer.paused == tps(2)
    assert given.consumer.seeks == [(TopicPartition(VIDEO_TOPIC, 2), 7)]
    assert not given.health.readiness().ok

    given.assignment.apply(Poll())

    assert given.assignment.states(2) == ACTIVE
    assert not given.consumer.paused


def test_a_partition_that_cannot_be_restored_lets_the_others_go_first(given: AssignmentFixture) -> None:
    """Its brokers may be unavailable for long."""
    given.unavailable = {1}
    given.assign(1, 2)
    assert (given.assignment.states(1), given.assignment.states(2)) == (PENDING, ACTIVE)

    given.unavailable.clear()
    given.assignment.apply(Poll())

    assert given.assignment.states(1) == ACTIVE


@pytest.mark.parametrize("lost", [False, True])
def test_a_revoked_or_lost_partition_is_retired_until_nothing_of_it_is_in_flight(
    given: AssignmentFixture,
    lost: bool,  # noqa: FBT001 - the case
) -> None:
    """Nothing more of it is published."""
    given.assign(2)
    retired = given.only()
    retired.in_flight = 1
    given.assignment.apply(Poll(lost=tps(2)) if lost else Poll(revoked=tps(2)))

    assert given.assignment.states(2) == RETIRED
    assert not retired.may_publish
    assert given.events[-1] == PartitionsRevoked((2,), lost=lost)

    given.assignment.apply(Poll(assigned=tps(2)))
    assert given.assignment.states(2) == PENDING | RETIRED

    retired.in_flight = 0
    given.assignment.apply(Poll())
    assert given.assignment.states(2) == ACTIVE
    assert given.only() is not retired


def test_a_revoking_partition_is_committed_and_given_back_once_nothing_is_in_flight(given: AssignmentFixture) -> None:
    """It makes no more decisions meanwhile."""
    given.assign(2)
    revoking = given.only()
    revoking.in_flight = 1
    revoking.offset_tracker.update_positions({"video": 5})

    given.assignment.start_revocation(Poll(revoking=tps(2)))
    given.assignment.finish_revocation()

    assert given.assignment.states(2) == REVOKING
    assert given.assignment.is_revoking
    assert given.assignment.active == ()
    assert given.consumer.completed_revocations == 0

    revoking.in_flight = 0
    given.assignment.finish_revocation()

    assert given.consumer.completed_revocations == 1
    assert len(given.consumer.commits) == 1
    assert revoking.may_publish
    assert given.events[-1] == PartitionsHandedOver((2,), left=0, took_ms=0.0)

    given.assignment.apply(Poll(revoked=tps(2)))

    assert given.assignment.states(2) == set()
    assert not revoking.may_publish


def test_a_revocation_that_takes_too_long_abandons_what_is_in_flight(given: AssignmentFixture) -> None:
    """The next owner publishes it."""
    given.assign(2)
    revoking = given.only()
    revoking.in_flight = 3
    given.assignment.start_revocation(Poll(revoking=tps(2)))
    given.clock.now_ns += LIMIT_NS

    given.assignment.finish_revocation()

    assert not revoking.may_publish
    assert given.consumer.completed_revocations == 1
    assert given.events[-1] == PartitionsHandedOver((2,), left=3, took_ms=0.001)


def test_a_pending_partition_that_is_revoked_leaves_nothing(given: AssignmentFixture) -> None:
    """It is not restored any more."""
    given.unavailable = {2}
    given.assign(2)
    given.assignment.start_revocation(Poll(revoking=tps(2)))
    assert given.assignment.states(2) == set()

    given.assignment.apply(Poll(revoked=tps(2)))

    assert given.assignment.states(2) == set()


def test_an_abandoned_partition_is_restored_from_the_committed_offsets(given: AssignmentFixture) -> None:
    """It waits for its results in flight, and for the group to confirm that it is still ours."""
    given.assign(2)
    abandoned = given.only()
    abandoned.in_flight = 1
    abandoned.offset_tracker.abandon()
    given.consumer.confirmed = False

    given.assignment.restart_abandoned()

    assert given.assignment.states(2) == PENDING | RETIRED
    assert given.consumer.paused == tps(2)
    assert given.events[-1] == PartitionRestarted(2)

    abandoned.in_flight = 0
    assert given.assignment.apply(Poll(records=(record(2, 9),))) == []
    assert given.assignment.states(2) == PENDING

    given.consumer.confirmed = True
    given.assignment.apply(Poll())

    assert given.assignment.states(2) == ACTIVE
    assert given.consumer.rewound == tps(2)
    assert not given.consumer.paused


def test_sets_that_may_publish_are_not_restarted(given: AssignmentFixture) -> None:
    """They stay active, in the order of their activation."""
    given.assign(1, 2)

    given.assignment.restart_abandoned()

    assert [each.partition for each in given.assignment.active] == [1, 2]
