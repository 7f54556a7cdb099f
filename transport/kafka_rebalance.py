"""What a group did to our assignment since the last poll, noted on the client's thread for the caller's."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from kafka import TopicPartition as KafkaTopicPartition
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener

from triptych.transport.records import Poll, TopicPartition

NOTHING: frozenset[TopicPartition] = frozenset()


class RebalanceNotes(AsyncConsumerRebalanceListener):  # type: ignore[misc] # the client is untyped
    """Note changes of the assignment; the caller takes them with its next poll.

    The client awaits these methods on the thread that also sends its heartbeats, so nothing here may block. The seam
    for a clean hand-over is `on_partitions_revoked`: whoever wants to finish work in flight before the partitions go
    waits there (`await`), and commits with the client's `commit_async`; a commit that blocks raises there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known = NOTHING
        """What the caller was told that it has."""
        self._revoked = NOTHING
        self._lost = NOTHING
        self._assigned = NOTHING

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        """What the caller has after the changes that it took."""
        return self._known

    async def on_partitions_revoked(self, revoked: Iterable[KafkaTopicPartition]) -> None:
        """Note what has to be given up, and may still be committed."""
        with self._lock:
            gone = frozenset(ours(tp) for tp in revoked)
            self._revoked |= gone & self._known
            self._assigned -= gone

    async def on_partitions_lost(self, lost: Iterable[KafkaTopicPartition]) -> None:
        """Note what another member may have by now: publish nothing of it, commit nothing."""
        with self._lock:
            gone = frozenset(ours(tp) for tp in lost)
            self._lost |= gone & self._known
            self._assigned -= gone

    async def on_partitions_assigned(self, assigned: Iterable[KafkaTopicPartition]) -> None:
        """Note what is ours now."""
        with self._lock:
            self._assigned |= frozenset(ours(tp) for tp in assigned)

    def take(self) -> Poll:
        """Return the changes since the last call, and forget them."""
        with self._lock:
            changes = Poll(assigned=self._assigned, revoked=self._revoked - self._lost, lost=self._lost)
            self._known = (self._known - changes.revoked - changes.lost) | changes.assigned
            self._assigned = self._revoked = self._lost = NOTHING
            return changes


def ours(tp: KafkaTopicPartition) -> TopicPartition:
    """Return our name of a partition for the client's."""
    return TopicPartition(tp.topic, tp.partition)


def theirs(tp: TopicPartition) -> KafkaTopicPartition:
    """Return the client's name of a partition for ours; it takes no other type."""
    return KafkaTopicPartition(tp.topic, tp.partition)
