"""A group's consumer that sees a span of the log and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import structlog

from triptych.transport.errors import CommitRefusedError, RetriableError
from triptych.transport.protocols import GroupConsumer
from triptych.transport.records import Commit, GroupOffsets, Poll, TopicPartition
from triptych.worker.reprocessing.offset_range import Edges
from triptych.worker.reprocessing.time_range import TimeRange

_NOTHING: Final[frozenset[TopicPartition]] = frozenset()

log = structlog.get_logger(__name__)


class SpanConsumer:
    """Stand before a `GroupConsumer`: begin at the lead where nothing is committed, end at the span's end.

    The end of the span is what `end_offsets` answers, so whoever reads here takes it for the end of the log. Each
    commit carries the span as its note.
    """

    def __init__(self, inner: GroupConsumer, span: TimeRange, edges: Edges) -> None:
        """Take over a consumer, also one that was assigned partitions already; its owner closes it."""
        self._inner = inner
        self._span = span
        self._edges = edges
        self._note = span.to_note()
        self._unplaced = inner.assignment()  # ours, but not yet told to the caller
        self._paused: frozenset[TopicPartition] = _NOTHING
        self._ended: frozenset[TopicPartition] = _NOTHING

    # --- reading ------------------------------------------------------------------------------------------------------

    def poll(self, timeout_s: float) -> Poll:
        """Return what there is of the span."""
        poll = self._inner.poll(0.0 if self._unplaced else timeout_s)
        gone = poll.revoked | poll.lost
        self._paused -= gone | poll.assigned
        self._ended -= gone | poll.assigned
        self._unplaced = (self._unplaced - gone) | poll.assigned
        placed = _NOTHING if poll.revoking else self._place()
        unwanted = placed | self._unplaced  # these are read again, from their own places
        records = tuple(r for r in poll.records if r.tp not in unwanted and r.offset < self._edges.end[r.tp])
        self._stop_at_ends(placed | {record.tp for record in poll.records if record.tp not in unwanted})
        return replace(poll, records=records, assigned=placed)

    def position(self, tp: TopicPartition) -> int:
        """Return the offset to be read next, the span's end at most."""
        return min(self._inner.position(tp), self._edges.end[tp])

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Go on reading at `offset`."""
        self._inner.seek(tp, offset)
        if offset < self._edges.end[tp] and tp in self._ended:
            self._ended -= {tp}
            self._inner.resume({tp} - self._paused)
        self._stop_at_ends({tp})

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Return no more records of these until `resume`."""
        self._paused |= set(tps)
        self._inner.pause(self._paused)

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Undo `pause`; what was read to the span's end stays as it is."""
        wanted = frozenset(tps)
        self._paused -= wanted
        self._inner.resume(wanted - self._ended)

    def begin_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask anew for the first offset still in the log."""
        return self._inner.begin_offsets(tps)

    def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset after the span's last record."""
        return {tp: self._edges.end[tp] for tp in tps}

    def offsets_for_times(self, times_ns: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return the first offset appended at or after a time."""
        return self._inner.offsets_for_times(times_ns)

    # --- the group ----------------------------------------------------------------------------------------------------

    def assignment(self) -> frozenset[TopicPartition]:
        """Return what the last poll left assigned."""
        return self._inner.assignment() - self._unplaced

    def commit(self, offsets: Mapping[TopicPartition, Commit]) -> None:
        """Store where the group goes on, and of which span it is."""
        self._inner.commit({tp: Commit(commit.offset, self._note) for tp, commit in offsets.items()})

    def committed(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, Commit | None]:
        """Ask anew what the group has committed."""
        return self._inner.committed(tps)

    def rewind(self, tps: Iterable[TopicPartition]) -> None:
        """Go back to where the group committed, to the lead where it has not."""
        for tp, offset in self._places(tps).items():
            self.seek(tp, offset)

    def group_offsets(self, offsets: Mapping[TopicPartition, int]) -> GroupOffsets:
        """Return what a transaction stores, and of which span it is."""
        whole = self._inner.group_offsets(offsets)
        return replace(whole, commits={tp: Commit(offset, self._note) for tp, offset in offsets.items()})

    def is_confirmed(self) -> bool:
        """Whether nobody else can have our partitions by now."""
        return self._inner.is_confirmed()

    def complete_revocation(self) -> None:
        """Give up what a poll has told as `revoking`."""
        self._inner.complete_revocation()

    def close(self) -> None:
        """Let go of everything."""
        self._inner.close()

    # --- the span -----------------------------------------------------------------------------------------------------

    @property
    def share_read(self) -> float:
        """How much of what is assigned here was read, from 0 to 1."""
        tps = self.assignment()
        whole = sum(max(0, self._edges.end[tp] - self._edges.lead[tp]) for tp in tps)
        read = sum(max(0, self.position(tp) - self._edges.lead[tp]) for tp in tps)
        return min(1.0, read / whole) if whole else float(bool(tps))

    def mark_done(self) -> None:
        """Note that what is assigned here was read, published and committed to its end.

        Where the group moves it just now, the next owner finds nothing left, and notes the same.
        """
        note = self._span.finished().to_note()
        try:
            offsets = self._places(self.assignment())
            self._inner.commit({tp: Commit(offset, note) for tp, offset in offsets.items()})
        except (CommitRefusedError, RetriableError) as error:
            log.warning("span_not_marked_done", error=str(error))

    def _place(self) -> frozenset[TopicPartition]:
        """Stand where the group committed, else at the lead; tell what stands there now and may be read."""
        new = self._unplaced
        if not new:
            return new
        self._inner.pause(new)
        try:
            places = self._places(new)
        except RetriableError as error:  # the next poll asks again
            log.warning("span_no_position", error=str(error))
            return _NOTHING
        for tp, offset in places.items():
            self._inner.seek(tp, offset)
        self._unplaced = _NOTHING
        self._inner.resume(new)
        return new

    def _places(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        stored = self._inner.committed(tps)
        return {tp: self._edges.lead[tp] if commit is None else commit.offset for tp, commit in stored.items()}

    def _stop_at_ends(self, tps: Iterable[TopicPartition]) -> None:
        ended = {tp for tp in tps if self._inner.position(tp) >= self._edges.end[tp]} - self._ended
        if ended:
            self._ended |= ended
            self._inner.pause(ended)
