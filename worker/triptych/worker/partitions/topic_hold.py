"""Stops the reading of a worker while its input topics disagree, and lets it go on after they agree again."""

from __future__ import annotations

from typing import Final

from triptych.service.health import Health
from triptych.transport.protocols import GroupConsumer
from triptych.transport.records import Poll
from triptych.worker.partitions.assignment import Assignment
from triptych.worker.partitions.backpressure import Backpressure
from triptych.worker.partitions.topic_watch import TopicWatch

_READINESS: Final = "topics_equal"


class TopicHold:
    """Reads no records while an input topic is missing or the topics have different numbers of partitions.

    A stream has the same partition on every topic, so its records cannot be aligned until all topics have it. What
    `TopicWatch` knows decides; this class pauses the consumer and seeks back to the first record that was not received.
    Only the worker's main thread uses it.
    """

    def __init__(
        self,
        consumer: GroupConsumer,
        topics: TopicWatch,
        *,
        assignment: Assignment,
        backpressure: Backpressure,
        health: Health,
    ) -> None:
        """Start without a hold.

        Args:
            consumer: the group's consumer.
            topics: what is known of the topics.
            assignment: the active partitions.
            backpressure: resumes the partitions after a hold.
            health: is ready while there is no reason for a hold.
        """
        self._consumer = consumer
        self._topics = topics
        self._assignment = assignment
        self._backpressure = backpressure
        self._health = health
        self._is_active = False

    @property
    def is_active(self) -> bool:
        """Whether the reading is stopped."""
        return self._is_active

    def apply(self, poll: Poll) -> None:
        """Notice topics that have grown, are missing, or were created again.

        Raises:
            TopicRecreatedError: an input topic was deleted and created again.
        """
        if poll.assigned or any(jump.resumed < jump.wanted for jump in poll.out_of_range):
            self._topics.try_refresh()
        self._topics.notice(poll.records)
        self._topics.apply()
        for each in self._assignment.active:
            each.counts = self._topics.counts
        waiting_for = self._topics.waiting_for
        self._health.set_ready(_READINESS, waiting_for is None, waiting_for or "")

    def allows_reading(self) -> bool:
        """Begin or end a hold. Return whether the records of the last poll may be received."""
        if self._topics.waiting_for is not None:
            self._begin()
        elif self._is_active:
            self._is_active = False
            self._backpressure.assume_paused(frozenset(tp for s in self._assignment.active for tp in s.tps.values()))
        return not self._is_active

    def begin_if_missing(self) -> bool:
        """Ask the broker for the topics. Begin a hold if one is missing or has too few partitions.

        Returns:
            Whether there is a hold now. It is False if the broker does not answer.

        Raises:
            TopicRecreatedError: an input topic was deleted and created again.
        """
        if not self._topics.try_refresh() or self._topics.waiting_for is None:
            return False
        self._begin()
        return True

    def _begin(self) -> None:
        """Pause everything. Records that were read but not received are read again later."""
        assignment = self._consumer.assignment()
        for each in self._assignment.active:
            for modality, offset in each.offset_tracker.positions().items():
                tp = each.tps[modality]
                if tp in assignment and self._consumer.position(tp) != offset:
                    self._consumer.seek(tp, offset)
        self._consumer.pause(assignment)
        self._is_active = True
