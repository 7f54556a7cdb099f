"""What a group did to our assignment since the last poll, noted on the client's thread for the caller's."""

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

NOTHING: frozenset[TopicPartition] = frozenset()
LOOK_AGAIN_S: Final = 0.005
"""How often a hand-over is looked at: the client's loop has nothing that another thread may wake it by."""


class RebalanceNotes(AsyncConsumerRebalanceListener):  # type: ignore[misc] # the client is untyped
    """Note changes of the assignment; the caller takes them with its next poll.

    The client awaits these methods on the thread that also sends its heartbeats, so nothing here may block. A hand-over
    waits in `on_partitions_revoked`: the group goes on only when that returns. Meanwhile heartbeats go on and the
    caller's thread may commit; what it must not do is wait in the client's own poll, which waits for us.
    """

    def __init__(
        self, hand_over_s: float, membership: Callable[[], tuple[int, str]], insist: Callable[[], None]
    ) -> None:
        """Begin with nothing.

        Args:
            hand_over_s: how long the caller may take to finish with what has to be given up.
            membership: tells the generation of the group that we belong to, below 0 for none, and as whom.
            insist: makes the client go on joining. It forgets a join that it began because topics seemed to have
                changed when they do so no more, and is thrown out (kafka-python up to 3.0.12 at least).
        """
        self._hand_over_s = hand_over_s
        self._ask_membership = membership
        self._insist = insist
        self._changed = threading.Condition()
        self._known = NOTHING
        """What the caller was told that it has."""
        self._revoked = NOTHING
        self._lost = NOTHING
        self._assigned = NOTHING
        self._before = NOTHING
        """What the client had before a rebalance, and remembers the positions of."""
        self._to_rewind = NOTHING
        self._revoking = NOTHING
        self._is_told = False
        self._is_joining = True
        self._is_closed = False
        self.membership: tuple[int, str] = (-1, "")
        """In which generation, and as whom, we were given what the caller has."""
        self._joined_as = self.membership
        self.joined_s = float("-inf")
        """When the group last said what we get."""
        self.fenced: errors.FencedInstanceIdError | None = None
        """The group's word that another one is this static member now; the client only logs it, and goes on reading."""
        self._join_until = float("inf")

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        """What the caller has after the changes that it took."""
        return self._known

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        """What is new, and not taken yet."""
        return self._assigned

    @property
    def to_rewind(self) -> frozenset[TopicPartition]:
        """What is new and may stand elsewhere than the group committed."""
        return self._to_rewind & self._assigned

    def rewind(self, assigned: frozenset[TopicPartition]) -> None:
        """Note that records of these were passed over."""
        self._to_rewind |= assigned

    @property
    def is_undisturbed(self) -> bool:
        """Whether nothing was taken from us that the caller does not know of yet. Any thread may ask."""
        with self._changed:
            return self.fenced is None and not self._lost and self._is_member()

    @property
    def is_joining(self) -> bool:
        """Whether we have nothing because the group has not said yet what we get."""
        return self._is_joining and time.monotonic() < self._join_until

    def wait_for(self, polling: Future[Any], timeout_s: float, *, goes_on: bool) -> None:
        """Return when the client's poll is done, or a hand-over begins, or the time is up and the poll `goes_on`.

        It does where a hand-over or a join holds it up; any other ends by itself.
        """
        deadline = time.monotonic() + timeout_s
        polling.add_done_callback(self._wake)
        with self._changed:
            while not (polling.done() or (self._revoking and not self._is_told)):
                remaining_s = deadline - time.monotonic()
                if remaining_s <= 0 and (goes_on or self._is_joining):
                    return
                self._changed.wait(max(remaining_s, LOOK_AGAIN_S))

    async def on_partitions_revoked(self, revoked: Iterable[KafkaTopicPartition]) -> None:
        """Wait until the caller has finished with what has to be given up, then note that it is gone."""
        gone = frozenset(ours(tp) for tp in revoked)
        self._begin_hand_over(gone)
        deadline = time.monotonic() + self._hand_over_s
        is_member, has_waited = True, bool(self._revoking)
        while self._revoking and is_member and time.monotonic() < deadline:
            await KernelEvent("_sleep", LOOK_AGAIN_S)
            is_member = self._is_member()
        with self._changed:
            if self._is_closed and has_waited:
                # The broker hears of our leaving only after a join, so none must begin; the client lets its poll fail.
                raise TransportClosedError("closed while partitions were handed over")
            self._revoking = NOTHING
            self._before = gone
            self._is_joining = True
            if is_member:
                self._revoked |= gone & self._known
            else:
                self._lost |= gone & self._known
            self._assigned -= gone
        self._insist()

    async def on_partitions_lost(self, lost: Iterable[KafkaTopicPartition]) -> None:
        """Note what another member may have by now: publish nothing of it, commit nothing."""
        with self._changed:
            gone = frozenset(ours(tp) for tp in lost)
            self._lost |= gone & self._known
            self._assigned -= gone
            self._before = NOTHING
            self._is_joining = True
        self._insist()

    async def on_partitions_assigned(self, assigned: Iterable[KafkaTopicPartition]) -> None:
        """Note what is ours now."""
        with self._changed:
            mine = frozenset(ours(tp) for tp in assigned)
            self._assigned |= mine
            self._to_rewind |= mine & self._before
            self._is_joining = False
            self._joined_as = self._ask_membership()
            self.joined_s = time.monotonic()

    def hearing(self, handle_response: Callable[..., Any]) -> Callable[..., Any]:
        """Listen to what heartbeats are answered."""

        def heard(*args: object) -> Any:  # noqa: ANN401 - the client is untyped
            try:
                return handle_response(*args)
            except errors.FencedInstanceIdError as error:
                self.fenced = error
                raise

        return heard

    def complete_revocation(self) -> None:
        """End a hand-over."""
        with self._changed:
            self._revoking = NOTHING

    def close(self, join_limit_s: float) -> None:
        """Begin no hand-over and no join any more; one that has begun may end within the limit."""
        with self._changed:
            self._is_closed = True
            self._revoking = NOTHING
            self._join_until = time.monotonic() + join_limit_s

    def take(self, ready: frozenset[TopicPartition]) -> Poll:
        """Return the changes since the last call, and forget them; of what is new, only what is `ready`."""
        with self._changed:
            changes = Poll(
                assigned=self._assigned & ready,
                revoked=self._revoked - self._lost,
                lost=self._lost,
                revoking=NOTHING if self._is_told else self._revoking,
            )
            self._known = (self._known - changes.revoked - changes.lost) | changes.assigned
            if changes.assigned:
                self.membership = self._joined_as
            self._assigned -= ready
            self._to_rewind -= ready
            self._revoked = self._lost = NOTHING
            self._is_told = bool(self._revoking)
            return changes

    def _is_member(self) -> bool:
        generation, _ = self._ask_membership()
        return generation >= 0

    def _begin_hand_over(self, gone: frozenset[TopicPartition]) -> None:
        with self._changed:
            if self._hand_over_s and not self._is_closed:
                # What the caller does not know of yet needs no finishing.
                self._revoking = gone & self._known - self._revoked - self._lost
                self._is_told = False
                self._changed.notify_all()

    def _wake(self, _: Future[Any]) -> None:
        with self._changed:
            self._changed.notify_all()


def ours(tp: KafkaTopicPartition) -> TopicPartition:
    """Return our name of a partition for the client's."""
    return TopicPartition(tp.topic, tp.partition)


def theirs(tp: TopicPartition) -> KafkaTopicPartition:
    """Return the client's name of a partition for ours; it takes no other type."""
    return KafkaTopicPartition(tp.topic, tp.partition)
