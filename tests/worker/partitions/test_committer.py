"""When offsets are committed, and what a failed commit leaves behind."""

from __future__ import annotations

from tests.worker.partitions.fakes import FakeClock, FakeConsumer, partition_set
from triptych.transport.errors import BrokerUnavailableError, CommitRefusedError
from triptych.transport.records import Commit, TopicPartition
from triptych.worker.observability.events import CommitRefused, Event, RetryScheduled, StageCompleted
from triptych.worker.observability.hooks import Hooks
from triptych.worker.partitions.committer import OffsetCommitter
from triptych.worker.partitions.partition import PartitionSet

INTERVAL_NS = 1_000
VIDEO_0 = TopicPartition("triptych.video", 0)


def committer(clock: FakeClock, *, has_transactions: bool = False) -> tuple[OffsetCommitter, FakeConsumer, list[Event]]:
    """Return a committer with the consumer and the events that it uses."""
    consumer, events = FakeConsumer(), list[Event]()
    made = OffsetCommitter(
        consumer,
        Hooks([events.append]),
        interval_ns=INTERVAL_NS,
        has_transactions=has_transactions,
        monotonic_ns=clock,
    )
    return made, consumer, events


def read_to(partition: int, offset: int) -> PartitionSet:
    """Return a set whose video partition is finished up to an offset."""
    found = partition_set(partition)
    found.offset_tracker.update_positions({"video": offset})
    return found


def test_finished_offsets_are_committed_once() -> None:
    """Offsets that have not changed are not committed again."""
    made, consumer, events = committer(FakeClock())
    sets = [read_to(0, 5), partition_set(1)]

    made.commit(sets)
    made.commit(sets)

    assert consumer.commits == [{VIDEO_0: Commit(5)}]
    assert events == [StageCompleted(stage="commit", took_ms=0.0)]


def test_commits_follow_the_interval_unless_they_are_wanted_now() -> None:
    """A commit on demand starts the interval again."""
    clock = FakeClock()
    made, consumer, _ = committer(clock)
    made.commit_if_due([read_to(0, 1)])

    made.commit_if_due([read_to(0, 2)])
    assert len(consumer.commits) == 1
    made.commit_if_due([read_to(0, 2)], now=True)
    clock.now_ns += INTERVAL_NS - 1
    made.commit_if_due([read_to(0, 3)])
    assert len(consumer.commits) == 2
    clock.now_ns += 1
    made.commit_if_due([read_to(0, 3)])

    assert [commit[VIDEO_0].offset for commit in consumer.commits] == [1, 2, 3]


def test_an_unavailable_broker_is_tried_once_for_all_sets() -> None:
    """Every further attempt could block for a request timeout. The offsets are committed later."""
    made, consumer, events = committer(FakeClock())
    sets = [read_to(0, 5), read_to(1, 5)]
    consumer.error = BrokerUnavailableError("no broker answered")

    made.commit(sets)

    assert consumer.commit_requests == 1
    assert events == [RetryScheduled(what="kafka", error="no broker answered", attempt=1, delay_s=0.0)]

    consumer.error = None
    made.commit(sets)
    assert len(consumer.commits) == 2


def test_a_rejected_commit_does_not_stop_the_others() -> None:
    """Each partition may have another owner by now."""
    made, consumer, events = committer(FakeClock())
    consumer.error = CommitRefusedError("rebalance")

    made.commit([read_to(0, 5), read_to(1, 5)])

    assert consumer.commit_requests == 2
    assert events == [CommitRefused(error="rebalance")] * 2


def test_transaction_offsets_are_set_only_with_transactions() -> None:
    """They are the finished offsets of all three partitions."""
    plain, transactional = read_to(0, 5), read_to(0, 5)

    committer(FakeClock())[0].update_transaction_offsets([plain])
    committer(FakeClock(), has_transactions=True)[0].update_transaction_offsets([transactional])

    assert plain.transaction_offsets is None
    assert transactional.transaction_offsets is not None
    assert transactional.transaction_offsets.commits[VIDEO_0] == Commit(5)
    assert len(transactional.transaction_offsets.commits) == 3
