"""One partition number: its merged sequence, its deadlines, and the streams in it.

The whole of alignment behind five calls: `fetched`, `asked`, `advance`, `wake`, `leading`. No clock is read here and
nothing waits; times are given, and `wake` says when to call again. The rules are those of `docs/alignment.md`.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from triptych.worker.alignment.entry import READING_ORDER, Entry, Kind
from triptych.worker.alignment.merge import Merge
from triptych.worker.alignment.outcome import Forgotten, Outcome, Refused
from triptych.worker.alignment.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from triptych.schemas.names import Modality
    from triptych.worker.alignment.config import AlignConfig
    from triptych.worker.alignment.snapshot import Snapshot

_FORGET_RANK: Final = len(READING_ORDER)


@dataclass(frozen=True, slots=True)
class Wake:
    """When to ask for the end offsets of the three partitions next; None where nothing waits for an answer.

    `at_ns` is a monotonic time: a record was fetched and may be taken after the answer. `wall_ns` is a moment of the
    wall clock: a deadline is due then if nothing arrived.
    """

    at_ns: int | None
    wall_ns: int | None


class Aligner:
    """The state machine of one partition number."""

    def __init__(
        self,
        config: AlignConfig,
        start: Mapping[Modality, int],
        restored: Mapping[str, Snapshot] | None = None,
    ) -> None:
        """Begin at the offsets of `start`, with the streams whose last results are in `restored`."""
        self._config = config
        self._merge = Merge(start, clock_margin_ns=config.clock_margin_ns)
        self._streams: dict[str, Stream] = {}
        self._refilling = dict(restored or {})
        self._kept = {
            name: {modality: frozenset(offsets) for modality, offsets in snapshot.kept.items()}
            for name, snapshot in self._refilling.items()
        }
        self._deadlines: list[tuple[int, str, int]] = []
        self._scheduled: set[tuple[str, int]] = set()
        for name, snapshot in self._refilling.items():
            self._streams[name] = Stream.restored(name, config, self._merge.positions, snapshot)
            self._schedule(self._streams[name])

    # --- what comes in ------------------------------------------------------------------------------------------------

    def fetched(self, entries: Iterable[Entry], positions: Mapping[Modality, int], *, at_ns: int) -> None:
        """Take in what a poll brought, in the order of offsets, and the positions after it; `at_ns` is monotonic."""
        self._merge.fetched(entries, positions, at_ns=at_ns)

    def asked(self, at_end: Iterable[Modality], *, at_ns: int, wall_ns: int) -> None:
        """Take in which partitions a question asked at `at_ns` (monotonic) and `wall_ns` found read to their end."""
        self._merge.asked(at_end, at_ns=at_ns, wall_ns=wall_ns)

    def advance(self) -> Iterator[Outcome]:
        """Decide all that can be decided by now, in the order of arrival time."""
        while True:
            yield from self._resume()
            entry = self._merge.peek()
            limit_ns = self._merge.clock_ns if entry is None else self._merge.arrival_ns()
            due = self._due_before(limit_ns)
            if due is not None:
                yield from self._run(*due)
            elif entry is not None:
                self._merge.take()
                yield from self._take(entry, limit_ns)
            else:
                return

    # --- what is asked ------------------------------------------------------------------------------------------------

    def wake(self) -> Wake:
        """Return when an answer about end offsets would let this aligner go on."""
        deadline_ns = self._next_deadline_ns()
        margin_ns = self._config.clock_margin_ns + 1
        return Wake(
            at_ns=self._merge.question_at_ns(),
            wall_ns=None if deadline_ns is None else deadline_ns + margin_ns,
        )

    def leading(self) -> frozenset[Modality]:
        """Return the partitions to be paused, because they are read too far ahead of the others."""
        return self._merge.leading(max_bytes=self._config.ahead_max_bytes, max_lead_ns=self._config.max_lead_ns)

    @property
    def clock_ns(self) -> int:
        """The arrival clock."""
        return self._merge.clock_ns

    @property
    def held_bytes(self) -> int:
        """Bytes of undecoded media held: fetched and not taken, or in open windows."""
        return self._merge.unread_bytes + sum(stream.size_bytes for stream in self._streams.values())

    @property
    def unread(self) -> int:
        """Records fetched and not yet taken."""
        return self._merge.unread

    def streams(self) -> tuple[str, ...]:
        """Return the streams that are known."""
        return tuple(self._streams)

    def open_streams(self) -> tuple[str, ...]:
        """Return the streams that have an open window with something in it."""
        return tuple(sorted(name for name, stream in self._streams.items() if stream.holds_items))

    # --- restart ------------------------------------------------------------------------------------------------------

    def _resume(self) -> Iterator[Outcome]:
        """Go on with the decision of each restored stream whose windows are refilled: not all of it may be published."""
        if not self._refilling:
            return
        taken = self._merge.positions()
        for name, snapshot in sorted(self._refilling.items()):
            if any(taken[modality] < position for modality, position in snapshot.positions.items()):
                continue
            del self._refilling[name], self._kept[name]
            stream = self._streams[name]
            if stream.forgetting:
                yield from self._forget(stream, snapshot.clock_ns)
            else:
                yield from stream.settle(snapshot.clock_ns)

    def _is_behind_snapshot(self, entry: Entry) -> bool:
        snapshot = self._refilling.get(entry.stream or "")
        return snapshot is not None and entry.offset < snapshot.positions[entry.modality]

    # --- records ------------------------------------------------------------------------------------------------------

    def _take(self, entry: Entry, now_ns: int) -> Iterator[Outcome]:
        name = entry.stream
        if name is not None and self._is_behind_snapshot(entry):
            if entry.offset in self._kept[name].get(entry.modality, ()):
                self._streams[name].refill(self._with_bounded_end(entry))
            return
        reason = self._reason_to_refuse(entry, now_ns)
        if name is None or reason is not None:
            known = self._streams.get(name or "")
            if known is not None:
                known.count_dead()
            yield Refused(entry, reason or "its key names no stream", stream_known=known is not None)
            return
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream(name, self._config, self._merge.positions)
        yield from stream.take(self._with_bounded_end(entry), now_ns)
        self._schedule(stream)
        yield from self._keep_to_the_bound(now_ns)

    def _reason_to_refuse(self, entry: Entry, now_ns: int) -> str | None:
        if entry.kind is Kind.DEAD:
            return "it could not be decoded"
        furthest_ns = max(entry.start_ns, self._with_bounded_end(entry).end_ns)
        if furthest_ns > now_ns + self._config.max_future_ns:
            ahead_s = (furthest_ns - now_ns) / 1e9
            most_s = self._config.max_future_ns / 1e9
            return f"event time {furthest_ns} ns lies {ahead_s:.0f} s after its arrival, more than max_future ({most_s:.0f} s)"
        return None

    def _with_bounded_end(self, entry: Entry) -> Entry:
        latest_ns = entry.start_ns + self._config.max_cue_ns
        if entry.modality == "subtitles" and entry.end_ns > latest_ns:
            return replace(entry, end_ns=latest_ns)
        return entry

    def _keep_to_the_bound(self, now_ns: int) -> Iterator[Outcome]:
        """Close windows of whichever stream holds most until the streams together keep to their bound."""
        held = sum(stream.size_bytes for stream in self._streams.values())
        while held > self._config.partition_max_bytes:
            holders = [stream for stream in self._streams.values() if stream.holds_items]
            if not holders:
                return
            largest = max(holders, key=lambda stream: (stream.size_bytes, stream.name))
            yield from largest.close_oldest(now_ns)
            held = sum(stream.size_bytes for stream in self._streams.values())

    # --- deadlines ----------------------------------------------------------------------------------------------------

    def _schedule(self, stream: Stream) -> None:
        """See to it that each of the stream's deadlines has one entry in the heap, at its time or before."""
        for rank in range(_FORGET_RANK + 1):
            if (stream.name, rank) not in self._scheduled:
                due_ns = self._actual_due_ns(stream, rank)
                if due_ns is not None:
                    self._scheduled.add((stream.name, rank))
                    heapq.heappush(self._deadlines, (due_ns, stream.name, rank))

    @staticmethod
    def _actual_due_ns(stream: Stream, rank: int) -> int | None:
        return stream.forget_at_ns() if rank == _FORGET_RANK else stream.idle_at_ns(READING_ORDER[rank])

    def _next_deadline_ns(self) -> int | None:
        """Return the earliest deadline; entries that a later record has moved are put where they belong."""
        while self._deadlines:
            due_ns, name, rank = self._deadlines[0]
            stream = self._streams.get(name)
            actual_ns = None if stream is None else self._actual_due_ns(stream, rank)
            if actual_ns == due_ns:
                return due_ns
            heapq.heappop(self._deadlines)
            self._scheduled.discard((name, rank))
            if actual_ns is not None:
                self._scheduled.add((name, rank))
                heapq.heappush(self._deadlines, (actual_ns, name, rank))
        return None

    def _due_before(self, limit_ns: int) -> tuple[int, str, int] | None:
        """Remove and return the earliest deadline before `limit_ns`; one at a record's very arrival runs after it."""
        due_ns = self._next_deadline_ns()
        if due_ns is None or due_ns >= limit_ns:
            return None
        due = heapq.heappop(self._deadlines)
        self._scheduled.discard(due[1:])
        return due

    def _run(self, due_ns: int, name: str, rank: int) -> Iterator[Outcome]:
        stream = self._streams[name]
        if rank == _FORGET_RANK:
            yield from self._forget(stream, due_ns)
        else:
            yield from stream.idle(READING_ORDER[rank], due_ns)
            self._schedule(stream)

    def _forget(self, stream: Stream, now_ns: int) -> Iterator[Outcome]:
        yield from stream.forget(now_ns)
        del self._streams[stream.name]
        self._scheduled = {scheduled for scheduled in self._scheduled if scheduled[0] != stream.name}
        self._deadlines = [deadline for deadline in self._deadlines if deadline[1] != stream.name]
        heapq.heapify(self._deadlines)
        yield Forgotten(stream.name, self._merge.positions())
