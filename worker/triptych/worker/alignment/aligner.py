"""One partition number: its merged sequence, its deadlines, and the streams in it.

The whole of alignment behind five calls: `fetched`, `asked`, `advance`, `next_wakeup`, `leading`. No clock is read
here and
nothing waits; times are given, and `next_wakeup` says when to call again. The rules are those of `docs/alignment.md`.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, ParamSpec

from triptych.worker.alignment.decisions import DeadLettered, Decision, DroppedRecord, Forgotten, LateItem
from triptych.worker.alignment.entry import READING_ORDER, Entry, Kind
from triptych.worker.alignment.merge import Merge
from triptych.worker.alignment.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from triptych.schemas.names import Modality
    from triptych.worker.alignment.config import AlignConfig
    from triptych.worker.alignment.snapshot import Snapshot

_REVISE_RANK: Final = len(READING_ORDER)
_FORGET_RANK: Final = _REVISE_RANK + 1
_RANKS: Final = range(_FORGET_RANK + 1)

_P = ParamSpec("_P")


@dataclass(frozen=True, slots=True)
class NextWakeup:
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
        self._deadlines: list[tuple[int, str, int]] = []
        self._scheduled: dict[str, set[int]] = {}
        self._window_bytes = 0
        # Each state was taken at a point of the one sequence, so what has been taken more of comes later.
        self._refilling = dict(
            sorted((restored or {}).items(), key=lambda item: (sum(item[1].positions.values()), item[0])),
        )
        self._kept = {
            name: {modality: frozenset(offsets) for modality, offsets in snapshot.kept.items()}
            for name, snapshot in self._refilling.items()
        }
        self._deferred: dict[str, deque[tuple[Entry, int]]] = {name: deque() for name in self._refilling}
        for name, snapshot in self._refilling.items():
            self._streams[name] = Stream.restored(name, config, partial(self._taken_of, name), snapshot)

    # --- what comes in ------------------------------------------------------------------------------------------------

    def fetched(self, entries: Iterable[Entry], positions: Mapping[Modality, int], *, at_ns: int) -> None:
        """Take in what a poll brought, in the order of offsets, and the positions after it; `at_ns` is monotonic."""
        self._merge.fetched(entries, positions, at_ns=at_ns)

    def asked(self, at_end: Iterable[Modality], *, at_ns: int, wall_ns: int) -> None:
        """Take in which partitions a question asked at `at_ns` (monotonic) and `wall_ns` found read to their end."""
        self._merge.asked(at_end, at_ns=at_ns, wall_ns=wall_ns)

    def advance(self) -> Iterator[Decision]:
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

    def next_wakeup(self) -> NextWakeup:
        """Return when an answer about end offsets would let this aligner go on."""
        deadline_ns = self._next_deadline_ns()
        margin_ns = self._config.clock_margin_ns + 1
        return NextWakeup(
            at_ns=self._merge.question_at_ns(),
            wall_ns=None if deadline_ns is None else deadline_ns + margin_ns,
        )

    def revision_wall_ns(self) -> int | None:
        """Return when, by the wall clock, the next revision can be decided; None if none is to come."""
        moments = [moment for stream in self._streams.values() if (moment := stream.revise_at_ns()) is not None]
        return min(moments) + self._config.clock_margin_ns + 1 if moments else None

    def leading(self) -> frozenset[Modality]:
        """Return the partitions to be paused, because they are read too far ahead of the others."""
        return self._merge.leading(max_bytes=self._config.ahead_max_bytes, max_lead_ns=self._config.max_lead_ns)

    @property
    def clock_ns(self) -> int:
        """The arrival clock."""
        return self._merge.clock_ns

    @property
    def held_bytes(self) -> int:
        """Bytes of undecoded media held: fetched and not taken, in open windows, or in such as may be revised."""
        return self._merge.unread_bytes + self._window_bytes

    @property
    def unread(self) -> int:
        """Records fetched and not yet taken."""
        return self._merge.unread

    def streams(self) -> tuple[str, ...]:
        """Return the streams that are known."""
        return tuple(self._streams)

    def open_streams(self) -> tuple[str, ...]:
        """Return the streams that have an open window with something in it, or a revision to come."""
        return tuple(sorted(name for name, stream in self._streams.items() if stream.is_unfinished))

    # --- restart ------------------------------------------------------------------------------------------------------

    def _resume(self) -> Iterator[Decision]:
        """Go on with each refilled stream's last decision: perhaps not all of it was published."""
        while self._refilling:
            name, snapshot = next(iter(self._refilling.items()))
            taken = self._merge.positions()
            if any(taken[modality] < position for modality, position in snapshot.positions.items()):
                return
            del self._refilling[name], self._kept[name]
            stream = self._streams[name]
            if stream.forgetting:
                yield from self._forget(stream, snapshot.clock_ns)
            else:
                decided = self._metered(stream, stream.settle, snapshot.clock_ns)
                self._schedule(stream)
                yield from decided
            yield from self._take_deferred(name)

    def _refill(self, name: str, entry: Entry, now_ns: int) -> None:
        """Lay a record down again that an open window held; one beyond the state waits until all are laid down.

        Where brokers' clocks differ, what was read live may have come in another order than the log's. Without the
        wait, a window could then close before it is refilled.
        """
        if entry.offset >= self._refilling[name].positions[entry.modality]:
            self._deferred[name].append((entry, now_ns))
        elif entry.offset in self._kept[name].get(entry.modality, ()):
            stream = self._streams[name]
            held = stream.size_bytes
            stream.refill(self._with_sound_end(entry))
            self._window_bytes += stream.size_bytes - held

    def _take_deferred(self, name: str) -> Iterator[Decision]:
        deferred = self._deferred[name]
        while deferred:
            yield from self._take(*deferred.popleft())
        del self._deferred[name]

    def _taken_of(self, name: str) -> Mapping[Modality, int]:
        """Return how far a stream's records were taken: the sequence's positions, but none that wait."""
        positions = self._merge.positions()
        for entry, _ in self._deferred.get(name, ()):
            positions[entry.modality] = min(positions[entry.modality], entry.offset)
        return positions

    # --- records ------------------------------------------------------------------------------------------------------

    def _take(self, entry: Entry, now_ns: int) -> Iterator[Decision]:
        name = entry.stream
        if name is not None and name in self._refilling:
            self._refill(name, entry, now_ns)
            return
        if entry.redriven:
            yield from self._returned(entry, now_ns)
            return
        sound = self._with_sound_end(entry)
        reason = self._reason_to_refuse(sound, now_ns)
        if name is None or reason is not None:
            known = self._streams.get(name or "")
            if known is not None:
                known.count_dead()
            yield DeadLettered(entry, reason or "its key names no stream", counted=known is not None)
            return
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream(name, self._config, partial(self._taken_of, name))
        decided = self._metered(stream, stream.take, sound, now_ns)
        self._schedule(stream)
        yield from decided
        yield from self._keep_to_the_bound(now_ns)

    def _returned(self, entry: Entry, now_ns: int) -> Iterator[Decision]:
        """Say what becomes of a record that was put back: it is late by rule, and moves nothing (rule 22)."""
        if entry.kind is Kind.ELSEWHERE:
            yield DroppedRecord(entry, "other_pipeline")
            return
        sound = self._with_sound_end(entry)
        reason = self._reason_to_refuse(sound, now_ns)
        stream = self._streams.get(entry.stream or "")
        if entry.stream is None or reason is not None:
            yield DeadLettered(entry, reason or "its key names no stream", counted=False)
        elif entry.kind is not Kind.MEDIA:
            yield DroppedRecord(entry, "redriven")
        elif stream is None:
            yield LateItem(sound, 0)
        else:
            decided = self._metered(stream, stream.take_back, sound, now_ns)
            self._schedule(stream)
            yield from decided
            yield from self._keep_to_the_bound(now_ns)

    def _metered(
        self, stream: Stream, decide: Callable[_P, list[Decision]], *args: _P.args, **kwargs: _P.kwargs
    ) -> list[Decision]:
        """Return what a stream decides, and count what it holds then."""
        held = stream.size_bytes
        decided = decide(*args, **kwargs)
        self._window_bytes += stream.size_bytes - held
        return decided

    def _reason_to_refuse(self, entry: Entry, now_ns: int) -> str | None:
        if entry.kind is Kind.DEAD:
            return "it could not be decoded"
        max_event_time_ns = max(entry.start_ns, entry.end_ns)
        if max_event_time_ns > now_ns + self._config.max_future_ns:
            ahead_s = (max_event_time_ns - now_ns) / 1e9
            most_s = self._config.max_future_ns / 1e9
            what = f"event time {max_event_time_ns} ns lies {ahead_s:.0f} s after its arrival"
            return f"{what}, more than max_future ({most_s:.0f} s)"
        return None

    def _with_sound_end(self, entry: Entry) -> Entry:
        """Return the record with a span that is not empty and, for a cue, no longer than `max_cue`."""
        end_ns = max(entry.end_ns, entry.start_ns + 1)
        if entry.modality == "subtitles":
            end_ns = min(end_ns, entry.start_ns + self._config.max_cue_ns)
        return entry if end_ns == entry.end_ns else replace(entry, end_ns=end_ns)

    def _keep_to_the_bound(self, now_ns: int) -> Iterator[Decision]:
        """Let whichever stream holds most give way until the streams together keep to their bound."""
        while self._window_bytes > self._config.partition_max_bytes:
            holders = [stream for stream in self._streams.values() if stream.can_give_way]
            if not holders:
                return
            largest = max(holders, key=lambda stream: (stream.size_bytes, stream.name))
            decided = self._metered(largest, largest.give_way, now_ns)
            self._schedule(largest)
            yield from decided

    # --- deadlines ----------------------------------------------------------------------------------------------------

    def _schedule(self, stream: Stream) -> None:
        """See to it that each of the stream's deadlines has one entry in the heap, at its time or before."""
        scheduled = self._scheduled.setdefault(stream.name, set())
        if len(scheduled) == len(_RANKS):
            return
        for rank in _RANKS:
            if rank not in scheduled:
                due_ns = self._actual_due_ns(stream, rank)
                if due_ns is not None:
                    scheduled.add(rank)
                    heapq.heappush(self._deadlines, (due_ns, stream.name, rank))

    @staticmethod
    def _actual_due_ns(stream: Stream, rank: int) -> int | None:
        if rank == _FORGET_RANK:
            return stream.forget_at_ns()
        return stream.revise_at_ns() if rank == _REVISE_RANK else stream.idle_at_ns(READING_ORDER[rank])

    def _next_deadline_ns(self) -> int | None:
        """Return the earliest deadline; entries that a later record has moved are put where they belong."""
        while self._deadlines:
            due_ns, name, rank = self._deadlines[0]
            actual_ns = self._actual_due_ns(self._streams[name], rank)
            if actual_ns == due_ns:
                return due_ns
            if actual_ns is None:
                heapq.heappop(self._deadlines)
                self._scheduled[name].discard(rank)
            else:
                heapq.heapreplace(self._deadlines, (actual_ns, name, rank))
        return None

    def _due_before(self, limit_ns: int) -> tuple[int, str, int] | None:
        """Remove and return the earliest deadline before `limit_ns`; one at a record's very arrival runs after it."""
        due_ns = self._next_deadline_ns()
        if due_ns is None or due_ns >= limit_ns:
            return None
        due = heapq.heappop(self._deadlines)
        self._scheduled[due[1]].discard(due[2])
        return due

    def _run(self, due_ns: int, name: str, rank: int) -> Iterator[Decision]:
        stream = self._streams[name]
        if rank == _FORGET_RANK:
            yield from self._forget(stream, due_ns)
            return
        if rank == _REVISE_RANK:
            decided = self._metered(stream, stream.revise, due_ns)
        else:
            decided = self._metered(stream, stream.idle, READING_ORDER[rank], due_ns)
        self._schedule(stream)
        yield from decided

    def _forget(self, stream: Stream, now_ns: int) -> Iterator[Decision]:
        decided = self._metered(stream, stream.forget, now_ns)
        self._window_bytes -= stream.size_bytes
        del self._streams[stream.name]
        self._scheduled.pop(stream.name, None)
        self._deadlines = [deadline for deadline in self._deadlines if deadline[1] != stream.name]
        heapq.heapify(self._deadlines)
        yield from decided
        yield Forgotten(stream.name, self._taken_of(stream.name))
