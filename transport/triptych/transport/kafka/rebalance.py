"""Record what a rebalance did to the assignment: on the client's thread, for the caller's next poll."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Final

from kafka import TopicPartition as KafkaTopicPartition
from kafka import errors
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.net.selector import KernelEvent

from triptych.transport.assignment_changes import NO_PARTITIONS, AssignmentChanges
from triptych.transport.errors import TransportClosedError
from triptych.transport.records import Poll, TopicPartition

POLL_INTERVAL_S: Final = 0.005
"""How often a pending revocation is checked: no other thread can wake the client's event loop."""


class RebalanceListener(AssignmentChanges, AsyncConsumerRebalanceListener):  # type: ignore[misc] # the client is untyped
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
        super().__init__(hand_over_s, membership)
        self._request_rejoin = request_rejoin
        self._is_joining = True
        self.fenced: errors.FencedInstanceIdError | None = None
        """The group's error that another member has this instance id. The client only logs it, and continues to
        read."""
        self._join_until = float("inf")
        self._previous = NO_PARTITIONS
        """The assignment before a rebalance, whose positions the client remembers."""
        self._to_rewind = NO_PARTITIONS

    @property
    def to_rewind(self) -> frozenset[TopicPartition]:
        """Newly assigned partitions whose position may differ from the committed offset."""
        return self._to_rewind & self._assigned

    @property
    def is_current(self) -> bool:
        """Whether the caller knows of everything that was taken away. Any thread may call it."""
        with self._changed:
            return self.fenced is None and not self._lost and self._is_member()

    @property
    def is_joining(self) -> bool:
        """Whether nothing is assigned because a join is in progress."""
        return self._is_joining and time.monotonic() < self._join_until

    def rewind(self, assigned: frozenset[TopicPartition]) -> None:
        """Record that the caller skipped records of these partitions."""
        self._to_rewind |= assigned

    def take(self, ready: frozenset[TopicPartition]) -> Poll:
        """Return and reset the changes since the last call. Of the new partitions, return only those in `ready`."""
        with self._changed:
            self._to_rewind -= ready
            return super().take(ready)

    def wait_for(self, polling: Future[Any], timeout_s: float, *, continues: bool) -> None:
        """Wait until the client's poll is done, a revocation starts, or the time is up and the poll `continues`.

        A poll continues if a revocation or a join delays it; otherwise it ends by itself.
        """
        deadline = time.monotonic() + timeout_s
        polling.add_done_callback(self.wake)
        with self._changed:
            while not (polling.done() or (self._revoking and not self._is_reported)):
                remaining_s = deadline - time.monotonic()
                if remaining_s <= 0 and (continues or self._is_joining):
                    return
                self._changed.wait(max(remaining_s, POLL_INTERVAL_S))

    async def on_partitions_revoked(self, revoked: Iterable[KafkaTopicPartition]) -> None:
        """Wait until the caller has finished with the revoked partitions, then record that they are revoked."""
        revoked_tps = frozenset(ours(tp) for tp in revoked)
        self.begin_revocation(revoked_tps)
        deadline = time.monotonic() + self._hand_over_s
        is_member, has_waited = True, self.is_revoking
        while self.is_revoking and is_member and time.monotonic() < deadline:
            await KernelEvent("_sleep", POLL_INTERVAL_S)
            is_member = self._is_member()
        with self._changed:
            if self._is_closed and has_waited:
                # The broker learns that we leave only after a join, so no join may start; this makes the poll fail.
                raise TransportClosedError("closed during a revocation")
            self._is_joining = True
            self._previous = revoked_tps
            self.end_revocation(revoked_tps, is_member=is_member)
        self._request_rejoin()

    async def on_partitions_lost(self, lost: Iterable[KafkaTopicPartition]) -> None:
        """Record partitions that another member may own already: the caller must not publish or commit for them."""
        with self._changed:
            self._previous = NO_PARTITIONS
            self.record_lost(map(ours, lost))
        self._is_joining = True
        self._request_rejoin()

    async def on_partitions_assigned(self, assigned: Iterable[KafkaTopicPartition]) -> None:
        """Record newly assigned partitions."""
        assigned_tps = frozenset(map(ours, assigned))
        with self._changed:
            self._to_rewind |= assigned_tps & self._previous
            self.record_assigned(assigned_tps, time.monotonic())
        self._is_joining = False

    def watch_heartbeats(self, handle_response: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the handler of heartbeat responses, to notice that this member was fenced."""

        def watched(*args: object) -> Any:  # noqa: ANN401 - the client is untyped
            try:
                return handle_response(*args)
            except errors.FencedInstanceIdError as error:
                self.fenced = error
                raise

        return watched

    def close(self, join_limit_s: float) -> None:
        """Start no further revocation or join. A join in progress may finish within the limit."""
        with self._changed:
            self._join_until = time.monotonic() + join_limit_s
        self.stop()

    def _is_member(self) -> bool:
        generation, _ = self._ask_membership()
        return generation >= 0


def ours(tp: KafkaTopicPartition) -> TopicPartition:
    """Return our name for the client's partition."""
    return TopicPartition(tp.topic, tp.partition)


def theirs(tp: TopicPartition) -> KafkaTopicPartition:
    """Return the client's name for our partition. The client accepts no other type."""
    return KafkaTopicPartition(tp.topic, tp.partition)
