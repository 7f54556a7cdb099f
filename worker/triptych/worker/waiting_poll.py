"""The waiting of the worker's main loop: for records, for the stages, or for the time at which something is due."""

from __future__ import annotations

import time
from typing import Final

from triptych.transport.protocols import GroupConsumer
from triptych.transport.records import Poll
from triptych.units import NS_PER_MS, NS_PER_S
from triptych.worker.inference.stages import Stages
from triptych.worker.partitions.assignment import Assignment
from triptych.worker.partitions.end_offsets import EndOffsetRefresher
from triptych.worker.partitions.topic_hold import TopicHold

_MAX_POLL_NS: Final = 100 * NS_PER_MS
_RESTORING_POLL_NS: Final = 5 * NS_PER_MS
_GATHER_NS: Final = 5 * NS_PER_MS
"""How long records may gather before the loop takes them: as long as between two queries of end offsets, which they
wait for in any case. Without it the loop makes a step for each record of a live stream."""
MAX_STAGES_WAIT_S: Final = 0.05
"""How long the loop waits for the stages at most before it polls again."""


class WaitingPoll:
    """Polls once a step. Only the worker's main thread uses it.

    A record ends the wait, and so does a published window where the loop has no room or nothing else to do. Windows
    need nothing else of the loop: each stage hands over to the next one.
    """

    def __init__(
        self,
        consumer: GroupConsumer,
        stages: Stages,
        *,
        assignment: Assignment,
        end_offsets: EndOffsetRefresher,
        hold: TopicHold,
    ) -> None:
        """Poll `consumer`. The other parts tell what to wait for."""
        self._consumer = consumer
        self._stages = stages
        self._assignment = assignment
        self._end_offsets = end_offsets
        self._hold = hold
        self.is_ending = False
        """Whether the run ends once everything is read and published."""
        self._gathers_until_ns = 0
        """Until when records gather; 0 if the last poll returned none."""

    def poll(self) -> Poll:
        """Wait for what the next step needs, and poll."""
        is_finishing = self.is_ending or self._assignment.is_revoking
        if not self._stages.has_room:
            self._stages.wait_for_room(MAX_STAGES_WAIT_S)
            timeout_s = 0.0
        elif self._has_gathered():
            timeout_s = 0.0
        elif is_finishing and self._stages.in_flight and not self._assignment.is_restoring:
            self._stages.wait_until_published(min(MAX_STAGES_WAIT_S, self._timeout_s()))
            timeout_s = 0.0
        else:
            timeout_s = self._timeout_s()
        poll = self._consumer.poll(timeout_s)
        self._gathers_until_ns = time.monotonic_ns() + _GATHER_NS if poll.records else 0
        return poll

    def _has_gathered(self) -> bool:
        """Let records gather for a moment if the last poll returned some; return whether it did."""
        wait_ns = self._gathers_until_ns - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / NS_PER_S)
        return self._gathers_until_ns > 0

    def _timeout_s(self) -> float:
        """Return how long a poll may block: until something else is due."""
        waits_ns = [_MAX_POLL_NS]
        if not self._hold.is_active and (due_ns := self._end_offsets.wait_ns(self._assignment.active)) is not None:
            waits_ns.append(due_ns)
        if self._assignment.is_restoring:
            waits_ns.append(_RESTORING_POLL_NS)
        return max(0, min(waits_ns)) / NS_PER_S
