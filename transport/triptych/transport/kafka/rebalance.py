"""Record what a rebalance did to the assignment: on the client's thread, for the caller's next poll."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Final

from kafka import TopicPartition as KafkaTopicPartition
from kafka import errors
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.net.selector import KernelEvent

from triptych.transport.errors import TransportClosedError
from triptych.transport.records import Poll, TopicPartition

NO_PARTITIONS: frozenset[TopicPartition] = frozenset()
POLL_INTERVAL_S: Final = 0.005
"""How often a pending revocation is checked: no other thread can wake the client's event loop."""


class RebalanceListener(AsyncConsumerRebalanceListener):  # type: ignore[misc] # the client is untyped
    """Records changes of the assignment; the caller takes them with its next poll.

    The client awaits these methods on the thread that also sends its heartbeats, so nothing here may block. A
    revocation waits in `on_partitions_revoked`: the group continues only when that returns. Meanwhile heartbeats are
    sent, and the caller's thread may commit. The caller must not wait in the client's own poll, which waits for this
    listener.
    """

    def __init__(
        self, hand_over_s: float, membership: Callable[[], tuple[int, str]], request_rejoin: Callable[[], None]
    ) -> None:
        """Start without an assignment.

        Args:
            hand_over_s: how long the caller may take to finish with revoked partitions.
            membership: returns the current generation (below 0: no member) and member id.
            request_rejoin: makes the client continue to join. If it started a join because topics seemed to have
                changed, and they no longer do, it forgets the join and is evicted (kafka-python up to 3.0.12 at least).
        """
        self._hand_over_s = hand_over_s
        self._ask_membership = membership
        self._request_rejoin = request_rejoin
        self._changed = threading.Condition()
        self._reported_assignment = NO_PARTITIONS
        """The assignment as reported to the caller."""
        self._revoked = NO_PARTITIONS
        self._lost = NO_PARTITIONS
        self._assigned = NO_PARTITIONS
        self._previous = NO_PARTITIONS
        """The assignment before a rebalance, whose positions the client remembers."""
        self._to_rewind = NO_PARTITIONS
        self._revoking = NO_PARTITIONS
        self._is_reported = False
        self._is_joining = True
        self._is_closed = False
        self.membership: tuple[int, str] = (-1, "")
        """The generation and member id under which the caller got its assignment."""
        self._joined_as = self.membership
        self.joined_s = float("-inf")
        """When the group last answered a join, by the monotonic clock."""
        self.fenced: errors.FencedInstanceIdError | None = None
        """The group's error that another member has this instance id. The client only logs it, and continues to
        read."""
        self._join_until = float("inf")

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        """The assignment after the changes that the caller took."""
        return self._reported_assignment

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        """Newly assigned partitions that the caller has not taken yet."""
        return self._assigned

    @property
    def to_rewind(self) -> frozenset[TopicPartition]:
        """Newly assigned partitions whose position may differ from the committed offset."""
        return self._to_rewind & self._assigned

    def rewind(self, assigned: frozenset[TopicPartition]) -> None:
        """Record that the caller skipped records of these partitions."""
        self._to_rewind |= assigned

    @property
    def is_current(self) -> bool:
        """Whether the caller knows of everything that was taken away. Any thread may call it."""
        with self._changed:
            return self.fenced is None and not self._lost and self._is_member()

    @property
    def is_joining(self) -> bool:
        """Whether nothing is assigned because a join is in progress."""
        return self._is_joining and time.monotonic() < self._join_until

    def wait_for(self, polling: Future[Any], timeout_s: float, *, continues: bool) -> None:
        """Wait until the client's poll is done, a revocation starts, or the time is up and the poll `continues`.

        A poll continues if a revocation or a join delays it; otherwise it ends by itself.
        """
        deadline = time.monotonic() + timeout_s
        polling.add_done_callback(self._wake)
        with self._changed:
            while not (polling.done() or (self._revoking and not self._is_reported)):
                remaining_s = deadline - time.monotonic()
                if remaining_s <= 0 and (continues or self._is_joining):
                    return
                self._changed.wait(max(remaining_s, POLL_INTERVAL_S))

    async def on_partitions_revoked(self, revoked: Iterable[KafkaTopicPartition]) -> None:
        """Wait until the caller has finished with the revoked partitions, then record that they are revoked."""
        revoked_tps = frozenset(ours(tp) for tp in revoked)
        self._begin_revocation(revoked_tps)
        deadline = time.monotonic() + self._hand_over_s
        is_member, has_waited = True, bool(self._revoking)
        while self._revoking and is_member and time.monotonic() < deadline:
            await KernelEvent("_sleep", POLL_INTERVAL_S)
            is_member = self._is_member()
        with self._changed:
            if self._is_closed and has_waited:
                # The broker learns that we leave only after a join, so no join may start; this makes the poll fail.
                raise TransportClosedError("closed during a revocation")
            self._revoking = NO_PARTITIONS
            self._previous = revoked_tps
            self._is_joining = True
            if is_member:
                self._revoked |= revoked_tps & self._reported_assignment
            else:
                self._lost |= revoked_tps & self._reported_assignment
            self._assigned -= revoked_tps
        self._request_rejoin()

    async def on_partitions_lost(self, lost: Iterable[KafkaTopicPartition]) -> None:
        """Record partitions that another member may own already: the caller must not publish or commit for them."""
        with self._changed:
            lost_tps = frozenset(ours(tp) for tp in lost)
            self._lost |= lost_tps & self._reported_assignment
            self._assigned -= lost_tps
            self._previous = NO_PARTITIONS
            self._is_joining = True
        self._request_rejoin()

    async def on_partitions_assigned(self, assigned: Iterable[KafkaTopicPartition]) -> None:
        """Record newly assigned partitions."""
        with self._changed:
            mine = frozenset(ours(tp) for tp in assigned)
            self._assigned |= mine
            self._to_rewind |= mine & self._previous
            self._is_joining = False
            self._joined_as = self._ask_membership()
            self.joined_s = time.monotonic()

    def watch_heartbeats(self, handle_response: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the handler of heartbeat responses, to notice that this member was fenced."""

        def watched(*args: object) -> Any:  # noqa: ANN401 - the client is untyped
            try:
                return handle_response(*args)
            except errors.FencedInstanceIdError as error:
                self.fenced = error
                raise

        return watched

    def complete_revocation(self) -> None:
        """End a pending revocation."""
        with self._changed:
            self._revoking = NO_PARTITIONS

    def close(self, join_limit_s: float) -> None:
        """Start no further revocation or join. A join in progress may finish within the limit."""
        with self._changed:
            self._is_closed = True
            self._revoking = NO_PARTITIONS
            self._join_until = time.monotonic() + join_limit_s

    def take(self, ready: frozenset[TopicPartition]) -> Poll:
        """Return and reset the changes since the last call. Of the new partitions, return only those in `ready`."""
        with self._changed:
            changes = Poll(
                assigned=self._assigned & ready,
                revoked=self._revoked - self._lost,
                lost=self._lost,
                revoking=NO_PARTITIONS if self._is_reported else self._revoking,
            )
            self._reported_assignment = (self._reported_assignment - changes.revoked - changes.lost) | changes.assigned
            if changes.assigned:
                self.membership = self._joined_as
            self._assigned -= ready
            self._to_rewind -= ready
            self._revoked = self._lost = NO_PARTITIONS
            self._is_reported = bool(self._revoking)
            return changes

    def _is_member(self) -> bool:
        generation, _ = self._ask_membership()
        return generation >= 0

    def _begin_revocation(self, revoked_tps: frozenset[TopicPartition]) -> None:
        with self._changed:
            if self._hand_over_s and not self._is_closed:
                # The caller has no work for partitions that it does not know of yet.
                self._revoking = revoked_tps & self._reported_assignment - self._revoked - self._lost
                self._is_reported = False
                self._changed.notify_all()

    def _wake(self, _: Future[Any]) -> None:
        with self._changed:
            self._changed.notify_all()


def ours(tp: KafkaTopicPartition) -> TopicPartition:
    """Return our name for the client's partition."""
    return TopicPartition(tp.topic, tp.partition)


def theirs(tp: TopicPartition) -> KafkaTopicPartition:
    """Return the client's name for our partition. The client accepts no other type."""
    return KafkaTopicPartition(tp.topic, tp.partition)
