"""The states of partitions and the transitions between them, with a fake consumer and a fake clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.worker.partitions.fakes import FakeClock, FakeConsumer, partition_set, tps
from triptych.schemas.names import VIDEO_TOPIC, Modality
from triptych.service.health import Health
from triptych.transport.errors import BrokerUnavailableError, UnreadableBatchError
from triptych.transport.records import Poll, Record, TopicPartition, Unreadable
from triptych.worker.observability.events import (
    Event,
    PartitionRestarted,
    PartitionsAssigned,
    PartitionsHandedOver,
    PartitionsRevoked,
    RetryScheduled,
)
from triptych.worker.observability.hooks import Hooks
from triptych.worker.partitions.assignment import Assignment, PartitionState, Restoring
from triptych.worker.partitions.backpressure import Backpressure
from triptych.worker.partitions.committer import OffsetCommitter
from triptych.worker.partitions.partition import PartitionSet
from triptych.worker.partitions.restorer import Restored, RestoreOutcome

PENDING, ACTIVE = {PartitionState.PENDING}, {PartitionState.ACTIVE}
REVOKING, RETIRED = {PartitionState.REVOKING}, {PartitionState.RETIRED}
LIMIT_NS = 1_000


@dataclass
class FakeRestorer:
    """Restores what was begun at the next call, except the partitions that the test holds up."""

    begun: list[dict[int, dict[Modality, int]]] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    unavailable: set[int] = field(default_factory=set)
    """Partitions without a broker: nothing is begun together with one of them."""
    slow: set[int] = field(default_factory=set)
    failing: dict[int, RestoreOutcome] = field(default_factory=dict)
    """Outcomes of partitions that are begun, but cannot be restored."""
    lost: bool = False
    """Whether the connection is lost while partitions are restored."""
    _starts: dict[int, dict[Modality, int]] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Whether partitions are being restored."""
        return bool(self._starts)

    def begin(self, starts: Mapping[int, Mapping[Modality, int]]) -> None:
        """Begin, unless the broker of a partition is not available."""
        assert not self.is_busy
        self.begun.append({partition: dict(start) for partition, start in starts.items()})
        if self.unavailable & starts.keys():
            raise BrokerUnavailableError("no broker answered")
        self._starts = dict(self.begun[-1])

    def advance(self) -> dict[int, RestoreOutcome]:
        """Return the partitions that are done."""
        if self.lost and self._starts:
            self._starts = {}
            raise BrokerUnavailableError("no broker answered")
        done = [partition for partition in self._starts if partition not in self.slow]
        return {partition: self._outcome(partition, self._starts.pop(partition)) for partition in done}

    def drop(self, partition: int) -> None:
        """Restore a partition no more."""
        self.dropped.append(partition)
        del self._starts[partition]

    def _outcome(self, partition: int, start: dict[Modality, int]) -> RestoreOutcome:
        return self.failing.get(partition) or Restored(partition_set(partition, start), [])


@dataclass
class AssignmentFixture:
    """An assignment with everything that it acts on."""

    consumer: FakeConsumer = field(default_factory=FakeConsumer)
    clock: FakeClock = field(default_factory=FakeClock)
    health: Health = field(default_factory=Health)
    events: list[Event] = field(default_factory=list)
    restorer: FakeRestorer = field(default_factory=FakeRestorer)

    def __post_init__(self) -> None:
        hooks = Hooks([self.events.append])
        self.backpressure = Backpressure(self.consumer, partition_max_bytes=1)
        self.committer = OffsetCommitter(
            self.consumer, hooks, interval_ns=0, has_transactions=False, monotonic_ns=self.clock
        )
        self.assignment = Assignment(
            self.consumer,
            Restoring(self.restorer, lambda *_: None),
            committer=self.committer,
            backpressure=self.backpressure,
            revocation_limit_ns=LIMIT_NS,
            hooks=hooks,
            health=self.health,
            monotonic_ns=self.clock,
        )

    def assign(self, *partitions: int) -> None:
        """Assign partitions together."""
        self.assignment.apply(Poll(assigned=frozenset().union(*map(tps, partitions))))

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
    assert given.restorer.begun == [{2: {"video": 7, "audio": 0, "subtitles": 0}}]
    assert [each.offset for each in received.records] == [7, 8]
    assert not given.consumer.paused
    assert given.health.readiness().ok
    assert given.events == [PartitionsAssigned((2,))]


def test_partitions_are_restored_side_by_side(given: AssignmentFixture) -> None:
    """One that takes longer stays pending and paused, and its records are sought back."""
    given.restorer.slow = {2}
    poll = Poll(assigned=tps(1) | tps(2) | tps(3), records=(record(2, 7), record(3, 4)))

    received = given.assignment.apply(poll)

    assert [each.partition for each in given.assignment.active] == [1, 3]
    assert {each.partition_set.partition: each.records for each in received} == {1: [], 3: [record(3, 4)]}
    assert len(given.restorer.begun) == 1
    assert given.assignment.states(2) == PENDING
    assert given.assignment.is_restoring
    assert given.consumer.paused == tps(2)
    assert given.consumer.seeks == [(TopicPartition(VIDEO_TOPIC, 2), 7)]
    assert not given.health.readiness().ok

    given.restorer.slow = set()
    given.assignment.apply(Poll())

    assert given.assignment.states(2) == ACTIVE
    assert not given.consumer.paused
    assert given.health.readiness().ok


def test_records_that_arrive_while_a_partition_is_restored_are_read_again(given: AssignmentFixture) -> None:
    """They may have been on their way when it was paused. It begins where it was restored."""
    given.restorer.slow = {2}
    given.assign(2)
    given.assignment.apply(Poll(records=(record(2, 0), record(2, 1))))
    assert given.consumer.seeks == [(TopicPartition(VIDEO_TOPIC, 2), 0)]

    given.restorer.slow = set()
    assert given.assignment.apply(Poll(records=(record(2, 0),))) == []

    assert given.assignment.states(2) == ACTIVE
    assert dict(given.consumer.seeks[1:]) == dict.fromkeys(tps(2), 0)


def test_no_more_than_sixteen_partitions_are_restored_at_once(given: AssignmentFixture) -> None:
    """The results of all that are restored at once are in memory."""
    given.consumer.assigned = frozenset().union(*map(tps, range(40)))
    given.assign(*range(40))
    given.assignment.apply(Poll())
    given.assignment.apply(Poll())

    assert [len(begun) for begun in given.restorer.begun] == [16, 16, 8]
    assert sorted(each.partition for each in given.assignment.active) == list(range(40))
    assert not given.consumer.paused


def test_partitions_that_are_assigned_later_wait_for_those_being_restored(given: AssignmentFixture) -> None:
    """Then they are restored, too."""
    given.restorer.slow = {1}
    given.assign(1)
    given.assign(2)
    assert (given.assignment.states(1), given.assignment.states(2)) == (PENDING, PENDING)

    given.restorer.slow = set()
    given.assignment.apply(Poll())
    given.assignment.apply(Poll())

    assert (given.assignment.states(1), given.assignment.states(2)) == (ACTIVE, ACTIVE)


def test_a_partition_without_a_broker_does_not_stop_the_others(given: AssignmentFixture) -> None:
    """They are restored one, two, four at a time, and it is tried last. It follows once its broker is available."""
    given.restorer.unavailable = {1}
    given.assign(*range(6))
    for _ in range(8):
        given.assignment.apply(Poll())

    assert {each.partition for each in given.assignment.active} == {0, 2, 3, 4, 5}
    assert given.assignment.states(1) == PENDING
    assert not given.health.readiness().ok

    given.restorer.unavailable.clear()
    given.assignment.apply(Poll())

    assert given.assignment.states(1) == ACTIVE


def test_after_a_lost_connection_everything_that_was_begun_is_begun_again(given: AssignmentFixture) -> None:
    """One partition first, then more of them."""
    given.restorer.lost = True
    given.assign(1, 2, 3)
    assert not given.assignment.active
    assert len([event for event in given.events if isinstance(event, RetryScheduled)]) == 1

    given.restorer.lost = False
    given.assignment.apply(Poll())
    given.assignment.apply(Poll())

    assert [list(starts) for starts in given.restorer.begun] == [[1, 2, 3], [1], [2, 3]]
    assert {each.partition for each in given.assignment.active} == {1, 2, 3}


def test_one_partition_that_cannot_be_restored_now_is_begun_again(given: AssignmentFixture) -> None:
    """The others of its batch are active meanwhile."""
    given.restorer.failing = {2: BrokerUnavailableError("a transaction is open")}
    given.assign(1, 2)
    assert (given.assignment.states(1), given.assignment.states(2)) == (ACTIVE, PENDING)

    given.restorer.failing = {}
    given.assignment.apply(Poll())

    assert given.assignment.states(2) == ACTIVE


def test_an_unreadable_batch_of_results_stops_its_partition_alone(given: AssignmentFixture) -> None:
    """It is not tried again."""
    span = Unreadable(TopicPartition("triptych.results", 2), 5, 6, "broken", stopped=True)
    given.restorer.failing = {2: UnreadableBatchError(span)}
    given.assign(1, 2)
    given.assignment.apply(Poll())

    assert (given.assignment.states(1), given.assignment.states(2)) == (ACTIVE, PENDING)
    assert given.assignment.stopped == (span,)
    assert not given.assignment.is_restoring
    assert len(given.restorer.begun) == 1


@pytest.mark.parametrize("change", ["revoking", "revoked", "lost"])
def test_a_partition_that_is_taken_away_while_it_is_restored_is_dropped(given: AssignmentFixture, change: str) -> None:
    """If it is assigned again, its state is read anew: another worker may have published meanwhile."""
    given.restorer.slow = {1, 2}
    given.assign(1, 2)
    taken = Poll(**{change: tps(2)})
    if change == "revoking":
        given.assignment.start_revocation(taken)
    given.assignment.apply(taken)
    assert given.restorer.dropped == [2]
    assert given.assignment.states(2) == set()

    given.restorer.slow = set()
    given.assign(2)
    given.assignment.apply(Poll())

    assert (given.assignment.states(1), given.assignment.states(2)) == (ACTIVE, ACTIVE)
    assert [list(starts) for starts in given.restorer.begun] == [[1, 2], [2]]


def test_a_partition_that_is_assigned_again_in_the_poll_that_takes_it_away_is_restored_anew(
    given: AssignmentFixture,
) -> None:
    """What was read before is of no use."""
    given.restorer.slow = {2}
    given.assign(2)
    given.restorer.slow = set()
    given.assignment.apply(Poll(revoked=tps(2), assigned=tps(2), records=(record(2, 9),)))

    assert given.restorer.dropped == [2]
    assert [starts[2]["video"] for starts in given.restorer.begun] == [0, 9]
    assert given.assignment.states(2) == ACTIVE


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
    given.restorer.unavailable = {2}
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
