"""The deadlines of the streams of one partition, in the order of alignment rule 3."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Final

from triptych.worker.alignment.entry import READING_ORDER
from triptych.worker.alignment.stream import Stream

QUIET_RANK: Final = len(READING_ORDER)
"""The rank of a stream's quiet. Lower ranks are the idleness of the track `READING_ORDER[rank]`."""
REVISE_RANK: Final = QUIET_RANK + 1
"""The rank of a stream's revision deadline."""
FORGET_RANK: Final = REVISE_RANK + 1
"""The rank of the deadline at which a stream is forgotten."""
_NEVER_NS: Final = 1 << 80
_RANKS: Final = tuple(range(FORGET_RANK + 1))

Deadline = tuple[int, str, int]
"""Arrival time, stream and rank: deadlines at the same time run in the order of this tuple."""


class DeadlineQueue:
    """A heap with one entry for each deadline, at its time or earlier.

    Most records postpone a deadline. The heap is not updated then. An entry that is too early is moved when it reaches
    the top.
    """

    def __init__(self, streams: Mapping[str, Stream]) -> None:
        """Start empty. `streams` is a live view of the streams by name."""
        self._streams = streams
        self._heap: list[Deadline] = []
        self.earliest_ns = _NEVER_NS  # no deadline is before it; often `pop_before` need not be called
        self._unscheduled: dict[str, tuple[int, ...]] = {}  # the ranks that have no entry, by stream

    def schedule(self, stream: Stream) -> None:
        """Add the deadlines of a stream that have no entry yet. To be called where its clock is not `is_scheduled`."""
        name = stream.name
        unscheduled = self._unscheduled.get(name, _RANKS)
        added = []
        for rank in unscheduled:
            due_ns = _due_ns(stream, rank)
            if due_ns is not None:
                added.append(rank)
                heapq.heappush(self._heap, (due_ns, name, rank))
                self.earliest_ns = min(self.earliest_ns, due_ns)
        if added or unscheduled is _RANKS:
            self._unscheduled[name] = tuple(rank for rank in unscheduled if rank not in added)
        stream.clock.is_scheduled = True

    def next_ns(self) -> int | None:
        """Return the time of the earliest deadline."""
        while self._heap:
            due_ns, name, rank = self._heap[0]
            actual_ns = _due_ns(self._streams[name], rank)
            if actual_ns == due_ns:
                return due_ns
            if actual_ns is None:
                heapq.heappop(self._heap)
                self._set_unscheduled(name, rank)
            else:
                heapq.heapreplace(self._heap, (actual_ns, name, rank))
        return None

    def pop_before(self, limit_ns: int) -> Deadline | None:
        """Remove and return the earliest deadline before `limit_ns`. A deadline at a record's arrival runs after it.

        The idleness of a track may turn out not to be due: the stream was silent (alignment rule 6). It is discarded,
        and scheduled again with the next record of the stream.
        """
        while (due_ns := self.next_ns()) is not None and due_ns < limit_ns:
            deadline = heapq.heappop(self._heap)
            _, name, rank = deadline
            self._set_unscheduled(name, rank)
            if rank >= QUIET_RANK or self._streams[name].sessions.is_heard_long_enough(READING_ORDER[rank]):
                return deadline
        self.earliest_ns = _NEVER_NS if due_ns is None else due_ns
        return None

    def remove(self, name: str) -> None:
        """Remove all deadlines of a stream."""
        self._unscheduled.pop(name, None)
        self._heap = [deadline for deadline in self._heap if deadline[1] != name]
        heapq.heapify(self._heap)

    def _set_unscheduled(self, name: str, rank: int) -> None:
        self._unscheduled[name] += (rank,)
        self._streams[name].clock.is_scheduled = False


def _due_ns(stream: Stream, rank: int) -> int | None:
    if rank == FORGET_RANK:
        return stream.forget_at_ns()
    if rank == REVISE_RANK:
        return stream.revise_at_ns()
    return stream.sessions.quiet_at_ns() if rank == QUIET_RANK else stream.sessions.idle_at_ns(READING_ORDER[rank])
