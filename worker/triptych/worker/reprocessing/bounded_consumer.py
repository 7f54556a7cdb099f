"""A group consumer that reads a time range of the log and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import structlog

from triptych.transport.errors import CommitRefusedError, RetriableError
from triptych.transport.protocols import GroupConsumer
from triptych.transport.records import Commit, GroupOffsets, Poll, TopicPartition
from triptych.worker.reprocessing.offset_range import OffsetRange
from triptych.worker.reprocessing.time_range import TimeRange

_NOTHING: Final[frozenset[TopicPartition]] = frozenset()

log = structlog.get_logger(__name__)


class BoundedConsumer:
    """Wraps a `GroupConsumer`. Without a commit a partition starts at the lead; it ends where the range ends.

    `end_offsets` returns the end of the range, so that the pipeline treats it as the end of the log. Each commit stores
    the range in its metadata.
    """

    def __init__(self, inner: GroupConsumer, time_range: TimeRange, offsets: OffsetRange) -> None:
        """Wrap a consumer, which may have partitions already. Its owner closes it."""
        self._inner = inner
        self._time_range = time_range
        self._offsets = offsets
        self._metadata = time_range.to_metadata()
        self._unpositioned = inner.assignment()  # assigned, but not positioned and not reported to the caller yet
        self._paused: frozenset[TopicPartition] = _NOTHING
        self._ended: frozenset[TopicPartition] = _NOTHING

    # --- reading ------------------------------------------------------------------------------------------------------

    def poll(self, timeout_s: float) -> Poll:
        """Return the next records of the range."""
        poll = self._inner.poll(0.0 if self._unpositioned else timeout_s)
        removed = poll.revoked | poll.lost
        self._paused -= removed | poll.assigned
        self._ended -= removed | poll.assigned
        self._unpositioned = (self._unpositioned - removed) | poll.assigned
        assigned = _NOTHING if poll.revoking else self._position_new()
        unwanted = assigned | self._unpositioned  # read from another offset: they come again
        records = tuple(r for r in poll.records if r.tp not in unwanted and r.offset < self._end(r.tp))
        unreadable = tuple(s for s in poll.unreadable if s.tp not in unwanted and s.offset < self._end(s.tp))
        self._pause_ended(assigned | {record.tp for record in poll.records if record.tp not in unwanted})
        return replace(poll, records=records, assigned=assigned, unreadable=unreadable)

    def position(self, tp: TopicPartition) -> int:
        """Return the next offset to be read, at most the end of the range."""
        return min(self._inner.position(tp), self._end(tp))

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Read `tp` from `offset` on."""
        self._inner.seek(tp, offset)
        if offset < self._end(tp) and tp in self._ended:
            self._ended -= {tp}
            self._inner.resume({tp} - self._paused)
        self._pause_ended({tp})

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Return no more records of these partitions until `resume`."""
        self._paused |= set(tps)
        self._inner.pause(self._paused)

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Undo `pause`. Partitions that are read to the end of the range stay paused."""
        wanted = frozenset(tps)
        self._paused -= wanted
        self._inner.resume(wanted - self._ended)

    def begin_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Request the first offset that is still in the log."""
        return self._inner.begin_offsets(tps)

    def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset after the last record of the range."""
        return {tp: self._end(tp) for tp in tps}

    def offsets_for_times(self, times_ns: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Request the first offset that was appended at or after a time."""
        return self._inner.offsets_for_times(times_ns)

    # --- the group ----------------------------------------------------------------------------------------------------

    def assignment(self) -> frozenset[TopicPartition]:
        """Return the assigned partitions that were reported to the caller."""
        return self._inner.assignment() - self._unpositioned

    def commit(self, offsets: Mapping[TopicPartition, Commit]) -> None:
        """Commit offsets, with the range as metadata."""
        self._inner.commit({tp: Commit(commit.offset, self._metadata) for tp, commit in offsets.items()})

    def committed(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, Commit | None]:
        """Request the committed offsets."""
        return self._inner.committed(tps)

    def rewind(self, tps: Iterable[TopicPartition]) -> None:
        """Seek to the committed offsets, or to the lead without a commit."""
        for tp, offset in self._start_offsets(tps).items():
            self.seek(tp, offset)

    def group_offsets(self, offsets: Mapping[TopicPartition, int]) -> GroupOffsets:
        """Return the offsets that a transaction stores, with the range as metadata."""
        whole = self._inner.group_offsets(offsets)
        return replace(whole, commits={tp: Commit(offset, self._metadata) for tp, offset in offsets.items()})

    def is_confirmed(self) -> bool:
        """Return whether the group has confirmed our membership recently. Any thread may ask."""
        return self._inner.is_confirmed()

    def complete_revocation(self) -> None:
        """Give back the partitions that a poll has reported as `revoking`."""
        self._inner.complete_revocation()

    def close(self) -> None:
        """Leave the group and close the client."""
        self._inner.close()

    # --- the range ----------------------------------------------------------------------------------------------------

    @property
    def share_read(self) -> float:
        """The share of the assigned part of the range that is read, from 0 to 1."""
        tps = self.assignment()
        total = sum(max(0, self._end(tp) - self._lead(tp)) for tp in tps)
        read = sum(max(0, self.position(tp) - self._lead(tp)) for tp in tps)
        return min(1.0, read / total) if total else float(bool(tps))

    def mark_done(self) -> None:
        """Commit that the assigned partitions are read, published and committed to the end of the range.

        If the partitions are moving at this moment, the commit fails. The next owner finds nothing to do and commits
        the same.
        """
        metadata = self._time_range.as_done().to_metadata()
        try:
            offsets = self._start_offsets(self.assignment())
            self._inner.commit({tp: Commit(offset, metadata) for tp, offset in offsets.items()})
        except (CommitRefusedError, RetriableError) as error:
            log.warning("reprocessing_not_marked_done", error=str(error))

    def _position_new(self) -> frozenset[TopicPartition]:
        """Seek new partitions to the committed offset or to the lead. Return those that can be read now."""
        new = self._unpositioned
        if not new:
            return new
        self._inner.pause(new)
        try:
            offsets = self._start_offsets(new)
        except RetriableError as error:  # the next poll tries again
            log.warning("reprocessing_start_unknown", error=str(error))
            return _NOTHING
        for tp, offset in offsets.items():
            self._inner.seek(tp, offset)
        self._unpositioned = _NOTHING
        self._inner.resume(new)
        return new

    def _start_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        committed = self._inner.committed(tps)
        return {tp: self._lead(tp) if commit is None else commit.offset for tp, commit in committed.items()}

    def _lead(self, tp: TopicPartition) -> int:
        """Return where a partition begins. One that was added later has nothing of the range."""
        return self._offsets.lead.get(tp, 0)

    def _end(self, tp: TopicPartition) -> int:
        return self._offsets.end.get(tp, 0)

    def _pause_ended(self, tps: Iterable[TopicPartition]) -> None:
        ended = {tp for tp in tps if self._inner.position(tp) >= self._end(tp)} - self._ended
        if ended:
            self._ended |= ended
            self._inner.pause(ended)
