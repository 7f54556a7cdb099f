"""The alignment of one partition of each input topic: merged sequence, deadlines, streams and restart.

`Aligner` is the interface of this package. It is a state machine: records, times and end offsets go in, decisions come
out. It reads no clock and never blocks; `next_wakeup` says when it needs end offsets again. The rules are in
`docs/alignment.md`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, ParamSpec

from triptych.schemas.names import Modality
from triptych.units import NS_PER_S
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.deadlines import FORGET_RANK, QUIET_RANK, REVISE_RANK, DeadlineQueue
from triptych.worker.alignment.decisions import DeadLettered, Decision, DroppedRecord, Forgotten, LateItem
from triptych.worker.alignment.entry import READING_ORDER, Entry, Kind
from triptych.worker.alignment.merge import Merge
from triptych.worker.alignment.snapshot import Snapshot
from triptych.worker.alignment.stream import Stream
from triptych.worker.alignment.window_buffer import HeldBytes

_NO_STREAM: Final = "its key names no stream"

_P = ParamSpec("_P")


@dataclass(frozen=True, slots=True)
class NextWakeup:
    """When to query the end offsets of the three partitions next; None where no query is needed.

    `at_ns` is a monotonic time: the next record can be taken after the answer. `wall_ns` is a wall-clock time: a
    deadline is due then if no record arrives before.
    """

    at_ns: int | None
    wall_ns: int | None


class Aligner:
    """The state machine of one partition of each input topic."""

    def __init__(
        self,
        config: AlignConfig,
        start: Mapping[Modality, int],
        restored: Mapping[str, Snapshot] | None = None,
    ) -> None:
        """Start at the offsets of `start`, with the streams whose last snapshots are in `restored`."""
        self._config = config
        self._merge = Merge(start, clock_margin_ns=config.clock_margin_ns)
        self._streams: dict[str, Stream] = {}
        self._deadlines = DeadlineQueue(self._streams)
        self._window_bytes = HeldBytes()
        # Each snapshot was taken at a point of the merged sequence: the larger the sum of its offsets, the later.
        self._refilling = dict(
            sorted((restored or {}).items(), key=lambda item: (sum(item[1].positions.values()), item[0])),
        )
        self._kept = {
            name: {modality: frozenset(offsets) for modality, offsets in snapshot.kept.items()}
            for name, snapshot in self._refilling.items()
        }
        self._deferred: dict[str, deque[tuple[Entry, int]]] = {name: deque() for name in self._refilling}
        for name, snapshot in self._refilling.items():
            self._streams[name] = Stream.restored(
                name, config, partial(self._positions_of, name), self._window_bytes, snapshot
            )

    # --- input and decisions ------------------------------------------------------------------------------------------

    def add_records(self, entries: Iterable[Entry], positions: Mapping[Modality, int], *, at_ns: int) -> None:
        """Add the records of one poll.

        Args:
            entries: The records, in the order of their offsets in each partition.
            positions: The next offset to read of each partition.
            at_ns: The monotonic time at which the poll returned.
        """
        self._merge.add_records(entries, positions, at_ns=at_ns)

    def confirm_at_end(self, at_end: Iterable[Modality], *, at_ns: int, wall_ns: int) -> None:
        """Record which partitions an end-offset query, sent at `at_ns` (monotonic) and `wall_ns`, found fully read."""
        self._merge.confirm_at_end(at_end, at_ns=at_ns, wall_ns=wall_ns)

    def advance(self) -> Iterator[Decision]:
        """Yield every decision that is possible now, in the order of arrival time."""
        while True:
            if self._refilling:
                yield from self._resume()
            head = self._merge.peek()
            limit_ns = self._merge.clock_ns if head is None else head[0]
            deadline = None
            if self._deadlines.earliest_ns < limit_ns:
                deadline = self._deadlines.pop_before(limit_ns)
            if deadline is not None:
                yield from self._run(*deadline)
            elif head is not None:
                self._merge.take()
                decided = self._take(head[2], limit_ns)
                if decided:  # after nearly all records there is nothing to decide
                    yield from decided
            else:
                return

    # --- state --------------------------------------------------------------------------------------------------------

    def next_wakeup(self) -> NextWakeup:
        """Return when end offsets are needed to make further decisions.

        They are not while a record can be taken without: it moves the clock by itself, and runs the deadlines before
        it. So a worker that has read ahead and waits for its model does not ask the broker in every step.
        """
        if self._merge.peek() is not None:
            return NextWakeup(at_ns=None, wall_ns=None)
        deadline_ns = self._deadlines.next_ns()
        return NextWakeup(
            at_ns=self._merge.query_at_ns(),
            wall_ns=None if deadline_ns is None else self._wall_ns_after(deadline_ns),
        )

    def next_revision_wall_ns(self) -> int | None:
        """Return the wall-clock time at which the next revision can be decided; None if none is pending."""
        due_ns = [due for stream in self._streams.values() if (due := stream.revise_at_ns()) is not None]
        return self._wall_ns_after(min(due_ns)) if due_ns else None

    def too_far_ahead(self) -> frozenset[Modality]:
        """Return the partitions to pause: too far ahead of the others, or with too many bytes unread."""
        return self._merge.too_far_ahead(max_bytes=self._config.ahead_max_bytes, max_lead_ns=self._config.max_lead_ns)

    @property
    def clock_ns(self) -> int:
        """The arrival clock."""
        return self._merge.clock_ns

    @property
    def held_bytes(self) -> int:
        """Bytes of undecoded media in memory: unread records, open windows and revisable windows."""
        return self._merge.unread_bytes + self._window_bytes.total

    @property
    def unread(self) -> int:
        """Number of records that were fetched and not yet taken."""
        return self._merge.unread

    def unread_of(self, modality: Modality) -> int:
        """Return the number of records of one partition that were fetched and not yet taken."""
        return self._merge.unread_of(modality)

    def streams(self) -> tuple[str, ...]:
        """Return the known streams."""
        return tuple(self._streams)

    def open_streams(self) -> tuple[str, ...]:
        """Return the streams that have an item in an open window, or a pending revision."""
        return tuple(sorted(name for name, stream in self._streams.items() if stream.is_unfinished))

    def _wall_ns_after(self, deadline_ns: int) -> int:
        """Return the wall-clock time at which an end-offset query moves the arrival clock beyond a deadline."""
        return deadline_ns + self._config.clock_margin_ns + 1

    # --- restart ------------------------------------------------------------------------------------------------------

    def _resume(self) -> Iterator[Decision]:
        """Resume each refilled stream at its last decision: some of its windows may be unpublished."""
        while self._refilling:
            name, snapshot = next(iter(self._refilling.items()))
            positions = self._merge.positions()
            if any(positions[modality] < position for modality, position in snapshot.positions.items()):
                return
            del self._refilling[name], self._kept[name]
            stream = self._streams[name]
            if stream.forgetting:
                yield from self._forget(stream, snapshot.clock_ns)
            else:
                yield from self._decide(stream, stream.close_complete, snapshot.clock_ns)
            yield from self._take_deferred(name)

    def _refill(self, name: str, entry: Entry, now_ns: int) -> None:
        """Add a kept record to its window again. Defer a record beyond the snapshot until the stream is refilled.

        If the clocks of the brokers differ, the live order may differ from the order of the log. Without deferring, a
        window could then close before it is refilled.
        """
        if entry.offset >= self._refilling[name].positions[entry.modality]:
            self._deferred[name].append((entry, now_ns))
        elif entry.offset in self._kept[name].get(entry.modality, ()):
            self._streams[name].refill(_with_valid_end(entry, self._config))

    def _take_deferred(self, name: str) -> Iterator[Decision]:
        deferred = self._deferred[name]
        while deferred:
            yield from self._take(*deferred.popleft())
        del self._deferred[name]

    def _positions_of(self, name: str) -> dict[Modality, int]:
        """Return the positions of the merged sequence, or of the stream's deferred records where these come before."""
        positions = self._merge.positions()
        for entry, _ in self._deferred.get(name, ()):
            positions[entry.modality] = min(positions[entry.modality], entry.offset)
        return positions

    # --- records ------------------------------------------------------------------------------------------------------

    def _take(self, entry: Entry, now_ns: int) -> Iterable[Decision]:
        name = entry.stream
        if self._refilling and name is not None and name in self._refilling:
            self._refill(name, entry, now_ns)
            return ()
        if entry.redriven:
            return self._take_redriven(entry, now_ns)
        valid = entry
        if entry.end_ns <= entry.start_ns or entry.modality == "subtitles":
            valid = _with_valid_end(entry, self._config)
        if name is None or entry.kind is Kind.DEAD or valid.end_ns > now_ns + self._config.max_future_ns:
            known = self._streams.get(name or "")
            if known is not None:
                known.count_dead()
            reason = _dead_letter_reason(valid, now_ns, self._config)
            return (DeadLettered(entry, reason or _NO_STREAM, counted=known is not None),)
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream(
                name, self._config, partial(self._positions_of, name), self._window_bytes
            )
        decided = stream.take(valid, now_ns)
        if not stream.clock.is_scheduled:
            self._deadlines.schedule(stream)
        if self._window_bytes.total > self._config.partition_max_bytes:
            decided += self._enforce_byte_bound(now_ns)
        return decided

    def _take_redriven(self, entry: Entry, now_ns: int) -> Iterator[Decision]:
        """Process a redriven record: always late, without effect on the stream's progress (alignment rule 22)."""
        if entry.kind is Kind.OTHER_PIPELINE:
            yield DroppedRecord(entry, "other_pipeline")
            return
        valid = _with_valid_end(entry, self._config)
        reason = _dead_letter_reason(valid, now_ns, self._config)
        stream = self._streams.get(entry.stream or "")
        if entry.stream is None or reason is not None:
            yield DeadLettered(entry, reason or _NO_STREAM, counted=False)
        elif entry.kind is not Kind.MEDIA:
            yield DroppedRecord(entry, "redriven")
        elif stream is None:
            yield LateItem(valid, 0)
        else:
            yield from self._decide(stream, stream.take_redriven, valid, now_ns)
            yield from self._enforce_byte_bound(now_ns)

    def _decide(
        self, stream: Stream, decide: Callable[_P, list[Decision]], *args: _P.args, **kwargs: _P.kwargs
    ) -> list[Decision]:
        """Call a method of a stream, schedule its new deadlines, and return its decisions."""
        decided = decide(*args, **kwargs)
        if not stream.clock.is_scheduled:
            self._deadlines.schedule(stream)
        return decided

    def _enforce_byte_bound(self, now_ns: int) -> Iterator[Decision]:
        """Evict from the largest stream until all streams together are within the byte bound (alignment rule 16)."""
        while self._window_bytes.total > self._config.partition_max_bytes:
            evictable = [stream for stream in self._streams.values() if stream.can_evict]
            if not evictable:
                return
            largest = max(evictable, key=lambda stream: (stream.size_bytes, stream.name))
            yield from self._decide(largest, largest.evict, now_ns)

    # --- deadlines ----------------------------------------------------------------------------------------------------

    def _run(self, due_ns: int, name: str, rank: int) -> Iterator[Decision]:
        stream = self._streams[name]
        if rank == FORGET_RANK:
            yield from self._forget(stream, due_ns)
        elif rank == REVISE_RANK:
            yield from self._decide(stream, stream.revise, due_ns)
        elif rank == QUIET_RANK:
            yield from self._decide(stream, stream.mark_quiet, due_ns)
        else:
            yield from self._decide(stream, stream.mark_idle, READING_ORDER[rank], due_ns)

    def _forget(self, stream: Stream, now_ns: int) -> Iterator[Decision]:
        decided = self._decide(stream, stream.forget, now_ns)
        self._window_bytes.total -= stream.size_bytes
        del self._streams[stream.name]
        self._deadlines.remove(stream.name)
        yield from decided
        yield Forgotten(stream.name, self._positions_of(stream.name))


def _with_valid_end(entry: Entry, config: AlignConfig) -> Entry:
    """Return the record with a span of at least 1 ns and, for a cue, of at most `max_cue`."""
    span_ns = entry.end_ns - entry.start_ns
    if entry.modality != "subtitles" and span_ns > 0:
        return entry
    if span_ns < 1:
        return replace(entry, end_ns=entry.start_ns + 1)
    if span_ns > config.max_cue_ns:
        return replace(entry, end_ns=entry.start_ns + config.max_cue_ns)
    return entry


def _dead_letter_reason(entry: Entry, now_ns: int, config: AlignConfig) -> str | None:
    """Return why a record goes to the dead letters; None if it does not."""
    if entry.kind is Kind.DEAD:
        return "it could not be decoded"
    event_time_ns = entry.end_ns  # after its start, see `_with_valid_end`
    if event_time_ns <= now_ns + config.max_future_ns:
        return None
    ahead_s = (event_time_ns - now_ns) / NS_PER_S
    max_s = config.max_future_ns / NS_PER_S
    return f"event time {event_time_ns} ns is {ahead_s:.0f} s after its arrival, more than max_future ({max_s:.0f} s)"
