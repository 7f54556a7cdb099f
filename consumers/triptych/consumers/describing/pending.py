"""The results of the assigned partitions that are not finished, and the offsets that may be committed. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from triptych.schemas.results import Result
from triptych.transport.records import Record, TopicPartition


@dataclass(frozen=True, slots=True)
class PendingResult:
    """A result that was read and is not finished. `assignment` numbers the assignments of its partition."""

    record: Record
    result: Result
    assignment: int


@dataclass(slots=True)
class _PendingPartition:
    """The unfinished offsets of a partition, in order, and the offset after the last record read."""

    next_offset: int
    assignment: int
    unfinished: dict[int, None] = field(default_factory=dict)
    committed: int | None = None

    @property
    def committable(self) -> int:
        return next(iter(self.unfinished), self.next_offset)


class PendingResults:
    """Queues by stream. Of each stream, one result at a time is taken; the next one waits until it is finished."""

    def __init__(self) -> None:
        self._partitions: dict[TopicPartition, _PendingPartition] = {}
        self._queues: dict[tuple[TopicPartition, str], deque[PendingResult]] = {}
        self._busy: set[tuple[TopicPartition, str]] = set()
        self._assignments = count()

    def begin(self, tp: TopicPartition, offset: int) -> None:
        """Begin a partition at an offset, which is committed."""
        self._partitions[tp] = _PendingPartition(offset, next(self._assignments), committed=offset)

    def drop(self, tp: TopicPartition) -> None:
        """Forget a partition that another program has now."""
        self._partitions.pop(tp, None)
        for key in [key for key in self._queues if key[0] == tp]:
            del self._queues[key]
        self._busy = {key for key in self._busy if key[0] != tp}

    def is_next(self, record: Record) -> bool:
        """Return whether a record belongs to a partition that was begun, and was not added before."""
        partition = self._partitions.get(record.tp)
        return partition is not None and record.offset >= partition.next_offset

    def add(self, record: Record, result: Result | None) -> None:
        """Add a record of a partition that was begun. Without a result, it is finished at once."""
        partition = self._partitions[record.tp]
        partition.next_offset = record.offset + 1
        if result is not None:
            partition.unfinished[record.offset] = None
            queue = self._queues.setdefault((record.tp, result.stream), deque())
            queue.append(PendingResult(record, result, partition.assignment))

    def take(self, wanted: Callable[[], bool]) -> Iterator[PendingResult]:
        """Take the next result of each stream of which none is in work, while more are wanted. Each must be finished.

        Streams that were served are served last the next time.
        """
        for key, queue in list(self._queues.items()):
            if wanted() and key not in self._busy:
                self._queues[key] = self._queues.pop(key)
            while wanted() and queue and key not in self._busy:  # the caller may finish a result at once
                self._busy.add(key)
                yield queue.popleft()
            if not queue:
                self._queues.pop(key, None)

    def finish(self, pending: PendingResult) -> None:
        """Finish a result that was taken: it is published, or will never be. Ignored if its partition was dropped."""
        if self.owns(pending):
            tp = pending.record.tp
            self._busy.discard((tp, pending.result.stream))
            del self._partitions[tp].unfinished[pending.record.offset]

    def owns(self, pending: PendingResult) -> bool:
        """Return whether the result is of a partition that was not dropped since it was taken."""
        partition = self._partitions.get(pending.record.tp)
        return partition is not None and partition.assignment == pending.assignment

    def due_commits(self) -> dict[TopicPartition, int]:
        """Return the offsets that may be committed and are not yet, by partition."""
        return {tp: own.committable for tp, own in self._partitions.items() if own.committable != own.committed}

    def committed(self, offsets: dict[TopicPartition, int]) -> None:
        """Note which offsets were committed."""
        for tp, offset in offsets.items():
            if tp in self._partitions:
                self._partitions[tp].committed = offset

    def waiting(self, tp: TopicPartition | None = None) -> int:
        """Return how many results of a partition, or of all, are not finished."""
        return sum(len(own.unfinished) for at, own in self._partitions.items() if tp in {None, at})

    def partitions(self) -> tuple[TopicPartition, ...]:
        """Return the partitions that were begun."""
        return tuple(self._partitions)
