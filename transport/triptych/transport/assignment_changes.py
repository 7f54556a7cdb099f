"""What rebalances did to a member's assignment: recorded on the client's thread, taken with the caller's next poll.

It does no I/O and does not depend on a client. Each adapter calls `begin_revocation` and `end_revocation` around its
wait for the caller, `record_lost` and `record_assigned`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Final

from triptych.transport.records import Poll, TopicPartition

NO_PARTITIONS: Final[frozenset[TopicPartition]] = frozenset()
WAIT_SLICE_S: Final = 0.005
"""How often a poll is looked at whose time is up."""


class AssignmentChanges:
    """The changes of one member's assignment that the caller has not taken yet. Shared by two threads."""

    def __init__(self, hand_over_s: float, membership: Callable[[], tuple[int, str]]) -> None:
        """Start without an assignment.

        Args:
            hand_over_s: how long the caller may take to finish with revoked partitions.
            membership: returns the current generation (below 0: no member) and member id.
        """
        self._hand_over_s = hand_over_s
        self._ask_membership = membership
        self._changed = threading.Condition()
        self._reported_assignment = NO_PARTITIONS
        """The assignment as reported to the caller."""
        self._revoked = NO_PARTITIONS
        self._lost = NO_PARTITIONS
        self._assigned = NO_PARTITIONS
        self._revoking = NO_PARTITIONS
        self._is_reported = False
        self._is_closed = False
        self.membership: tuple[int, str] = (-1, "")
        """The generation and member id under which the caller got its assignment."""
        self._joined_as = self.membership
        self.joined_s = float("-inf")
        """When the group last answered a join, by the monotonic clock."""

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        """The assignment after the changes that the caller took."""
        return self._reported_assignment

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        """Newly assigned partitions that the caller has not taken yet."""
        return self._assigned

    @property
    def is_revoking(self) -> bool:
        """Whether a revocation waits for the caller."""
        return bool(self._revoking)

    @property
    def is_stopped(self) -> bool:
        """Whether the member is being closed."""
        return self._is_closed

    @property
    def is_told_of_losses(self) -> bool:
        """Whether the caller knows of all partitions that were lost. Any thread may call it."""
        with self._changed:
            return not self._lost

    def complete_revocation(self) -> None:
        """End a pending revocation."""
        with self._changed:
            self._revoking = NO_PARTITIONS

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
            self._revoked = self._lost = NO_PARTITIONS
            self._is_reported = bool(self._revoking)
            return changes

    def begin_revocation(self, revoked: frozenset[TopicPartition]) -> None:
        """Record partitions that the group is revoking. Until `end_revocation` they are ours."""
        with self._changed:
            if self._hand_over_s and not self._is_closed:
                # The caller has no work for partitions that it does not know of yet.
                self._revoking = revoked & self._reported_assignment - self._revoked - self._lost
                self._is_reported = False
                self._changed.notify_all()

    def end_revocation(self, revoked: frozenset[TopicPartition], *, is_member: bool) -> None:
        """Record that partitions are revoked, or lost if the group has removed this member meanwhile."""
        with self._changed:
            self._revoking = NO_PARTITIONS
            if is_member:
                self._revoked |= revoked & self._reported_assignment
            else:
                self._lost |= revoked & self._reported_assignment
            self._assigned -= revoked

    def record_lost(self, lost: Iterable[TopicPartition]) -> None:
        """Record partitions that another member may own already: the caller must not publish or commit for them."""
        with self._changed:
            tps = frozenset(lost)
            self._lost |= tps & self._reported_assignment
            self._assigned -= tps

    def record_assigned(self, assigned: Iterable[TopicPartition], joined_s: float) -> None:
        """Record newly assigned partitions, and when the group answered the join, by the monotonic clock."""
        with self._changed:
            self._assigned |= frozenset(assigned)
            self._joined_as = self._ask_membership()
            self.joined_s = joined_s

    def wait_until_polled(self, polling: Future[Any], timeout_s: float) -> None:
        """Wait until the client's poll is done or a revocation starts; up to the timeout while a revocation waits."""
        deadline_s = time.monotonic() + timeout_s
        polling.add_done_callback(self.wake)
        with self._changed:
            while not (polling.done() or (self._revoking and not self._is_reported)):
                remaining_s = deadline_s - time.monotonic()
                if remaining_s <= 0 and self._revoking:
                    return
                self._changed.wait(max(remaining_s, WAIT_SLICE_S))

    def wake(self, _: Future[Any]) -> None:
        """Make a waiting caller look at the poll."""
        with self._changed:
            self._changed.notify_all()

    def stop(self) -> None:
        """Start no further revocation, and end a pending one."""
        with self._changed:
            self._is_closed = True
            self._revoking = NO_PARTITIONS
