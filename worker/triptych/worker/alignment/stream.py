"""One stream: composes its sessions, its open windows and its revisable windows, and makes the snapshots.

A state machine over the stream's records and deadlines. Each method takes the arrival time at which it happens and
returns decisions. The rules are in `docs/alignment.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from triptych.schemas.names import Modality
from triptych.schemas.results import ClosedBy
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.decisions import ClosedWindow, Decision, DroppedRecord, EvictedRevisionState, LateItem
from triptych.worker.alignment.entry import READING_ORDER, Entry, Kind
from triptych.worker.alignment.grid import WindowGrid
from triptych.worker.alignment.open_windows import OpenWindows, WindowContents
from triptych.worker.alignment.revision_state import RevisionState, WindowSummary
from triptych.worker.alignment.revisions import RevisableWindows, merged
from triptych.worker.alignment.sessions import SessionTracker
from triptych.worker.alignment.snapshot import Snapshot

_NO_WINDOWS: Final = range(0)
_NO_FRAME: Final = -1


class Stream:
    """The alignment of one stream."""

    __slots__ = (
        "_buffer",
        "_clock",
        "_config",
        "_counted_bytes",
        "_grid",
        "_last",
        "_positions",
        "_restored_held",
        "_revisable",
        "_tracks",
        "_ttl_start_ns",
        "_windows",
        "forgetting",
        "is_scheduled",
        "name",
        "sessions",
    )

    def __init__(self, name: str, config: AlignConfig, positions: Callable[[], Mapping[Modality, int]]) -> None:
        """Start without records. `positions` returns the next offsets of the merged sequence, for snapshots."""
        self.name = name
        self._config = config
        self._positions = positions
        self._grid = WindowGrid(config.size_ns, config.hop_ns)
        self.sessions = SessionTracker(pause_ns=config.pause_ns, idle_timeout_ns=config.idle_timeout_ns)
        self._tracks = self.sessions.tracks
        self._clock = self.sessions.clock
        self._windows = OpenWindows(config, self._grid, self._tracks, self._clock)
        self._buffer = self._windows.buffer
        self._revisable = RevisableWindows.of(config, self._grid)
        self._last: tuple[Modality, int] = (READING_ORDER[0], -1)
        self._ttl_start_ns: int | None = None  # arrival clock of the last closed window, or of the first record
        self._counted_bytes = 0  # `size_bytes` at the last call of `take_size_change`
        self._restored_held: int | None = None  # offset of the held frame in the restored snapshot, or `_NO_FRAME`
        self.forgetting = False
        self.is_scheduled = False  # whether all its deadlines but a revision's have an entry in the `DeadlineQueue`

    @classmethod
    def restored(
        cls,
        name: str,
        config: AlignConfig,
        positions: Callable[[], Mapping[Modality, int]],
        snapshot: Snapshot,
    ) -> Stream:
        """Return the stream that a snapshot describes. Its open windows are empty until `refill` adds their items."""
        stream = cls(name, config, positions)
        stream.sessions.restore(snapshot)
        stream._windows.restore(snapshot)
        stream._last = snapshot.last
        stream._ttl_start_ns = snapshot.clock_ns
        stream.forgetting = snapshot.forgetting
        if snapshot.closed is not None:
            stream._restored_held = _NO_FRAME if snapshot.closed.held is None else snapshot.closed.held
            stream._ttl_start_ns = snapshot.closed.ttl_start_ns
            if stream._revisable is not None:
                stream._revisable.restore(snapshot.closed)
        return stream

    # --- state --------------------------------------------------------------------------------------------------------

    @property
    def size_bytes(self) -> int:
        """Bytes of undecoded media in the open and the revisable windows."""
        revisable = self._revisable
        return self._buffer.size_bytes if revisable is None else self._buffer.size_bytes + revisable.size_bytes

    def take_size_change(self) -> int:
        """Return by how much `size_bytes` has changed since the last call."""
        before, self._counted_bytes = self._counted_bytes, self.size_bytes
        return self._counted_bytes - before

    @property
    def can_evict(self) -> bool:
        """Whether `evict` can free memory."""
        return self._buffer.has_items or (self._revisable is not None and self._revisable.can_evict)

    @property
    def is_unfinished(self) -> bool:
        """Whether an open window has an item, or a revision is pending."""
        return self._buffer.has_items or self.revise_at_ns() is not None

    # --- deadlines ----------------------------------------------------------------------------------------------------

    def revise_at_ns(self) -> int | None:
        """Return when the pending revisions are due; None if there are none."""
        first_late_ns = None if self._revisable is None else self._revisable.first_late_ns
        return None if first_late_ns is None else first_late_ns + self._config.revise_after_ns

    def forget_at_ns(self) -> int:
        """Return when the stream is forgotten if no window closes before."""
        return (self._ttl_start_ns or 0) + self._config.stream_ttl_ns

    # --- records ------------------------------------------------------------------------------------------------------

    def take(self, entry: Entry, now_ns: int) -> list[Decision]:
        """Process the stream's next record, which arrived at `now_ns`."""
        windows = self._windows
        windows.empty_run = 0
        self._last = entry.modality, entry.offset
        if self._ttl_start_ns is None:
            self._ttl_start_ns = now_ns
        track = self.sessions.enter(entry, now_ns)
        if track is None:
            return [DroppedRecord(entry, "left_session")]
        decided: list[Decision] = []
        if entry.kind is Kind.MEDIA:
            if not track.advance_seq(entry.seq):
                return [DroppedRecord(entry, "repeat")]
            decided = self._add(entry, now_ns)
        elif entry.kind is Kind.PROGRESS:
            windows.advance_event_time(entry.start_ns)
        # The watermark of an `end` does not count: `closed_by` would depend on which track's end arrives first.
        if entry.kind is Kind.END:
            self.sessions.end(entry.modality, now_ns)
        else:
            track.observe_watermark(entry.watermark_ns, max_event_time_ns=windows.max_event_time_ns, arrival_ns=now_ns)
            if windows.is_waiting() and self.size_bytes <= self._config.stream_max_bytes:
                return decided  # almost every record: nothing closes
        decided += self.close_complete(now_ns)
        return decided

    def take_redriven(self, entry: Entry, now_ns: int) -> list[Decision]:
        """Process a redriven item: always late, even for open windows, and without effect on the stream's progress."""
        revisable = self._revisable
        if revisable is None or not revisable.count_late(entry, self._windows.started(), now_ns=now_ns):
            return [LateItem(entry, self._windows.next_window_start_ns)]
        revisable.add(entry)
        decided: list[Decision] = [LateItem(entry, self._windows.next_window_start_ns, revises=True)]
        while self.size_bytes > self._config.stream_max_bytes and revisable.can_evict:
            decided += self.evict(now_ns)
        return decided

    def count_dead(self) -> None:
        """Count a dead record for the next result."""
        self._windows.dead += 1

    def refill(self, entry: Entry) -> None:
        """Add an item again that the restored snapshot kept. Decide nothing."""
        is_late = self._windows.is_late(entry)
        if not is_late and not entry.redriven:
            self._buffer.add(entry)
            return
        if is_late and self._restored_held in {None, entry.offset} and entry.modality == "video":
            self._buffer.hold(entry)
        if self._revisable is not None and not self._revisable.is_empty:
            self._revisable.add(entry)

    def _add(self, entry: Entry, now_ns: int) -> list[Decision]:
        """Add a media item to its windows. It is late if all of them are closed."""
        revisable, revises = self._revisable, False
        if revisable is not None and revisable.summaries:
            revises = revisable.count_late(entry, _NO_WINDOWS, now_ns=now_ns)
        if self._windows.add(entry):
            return []
        if revisable is not None and revises:
            revisable.add(entry)
        return [LateItem(entry, self._windows.next_window_start_ns, revises=revises)]

    # --- decisions ----------------------------------------------------------------------------------------------------

    def close_complete(self, now_ns: int) -> list[Decision]:
        """Close every complete window, then as many as the byte bound requires."""
        decided: list[Decision] = []
        while (index := self._windows.next_complete()) is not None:
            decided += self._close(index, self._windows.closed_by(index), now_ns, forced=self.forgetting)
        while self.size_bytes > self._config.stream_max_bytes and self.can_evict:
            decided += self.evict(now_ns)
        return decided

    def mark_idle(self, modality: Modality, now_ns: int) -> list[Decision]:
        """Mark a track as idle. Close the windows that waited for it."""
        self._windows.empty_run = 0
        self._tracks[modality].state = "idle"
        return self.close_complete(now_ns)

    def mark_quiet(self, now_ns: int) -> list[Decision]:
        """Close the windows of which something was told. No track becomes idle by it (alignment rule 6a)."""
        self._windows.empty_run = 0
        self._clock.quiet = True
        return self.close_complete(now_ns)

    def revise(self, now_ns: int) -> list[Decision]:
        """Issue the pending revisions, in the order of their windows."""
        revisable = self._revisable
        return [] if revisable is None else [self._revision(revisable, index, now_ns) for index in revisable.pending()]

    def forget(self, now_ns: int) -> list[Decision]:
        """Close all open windows as `quiet` and issue the pending revisions. The caller then discards the stream."""
        if not self.forgetting:
            self._windows.empty_run = 0
        self.forgetting = True
        decided = self.revise(now_ns)
        while self._buffer.has_items and (index := self._windows.next_index()) is not None:
            decided += self._close(index, "quiet", now_ns, forced=True)
        decided += self.revise(now_ns)
        return decided + _discard_waiting(self._revisable, self._windows.next_window_start_ns)

    def evict(self, now_ns: int) -> list[Decision]:
        """Free memory (alignment rules 16 and 25).

        Evict the oldest revisable window, after its pending revision. If there is none, discard the redriven items that
        wait for open windows. If there are none either, close the oldest open window that has an item.
        """
        revisable = self._revisable
        index = None if revisable is None else revisable.oldest()
        if revisable is None or (index is None and not revisable.has_waiting):
            return self._close_oldest(now_ns)
        if index is None:
            return _discard_waiting(self._revisable, self._windows.next_window_start_ns)
        decided: list[Decision] = [self._revision(revisable, index, now_ns)] if index in revisable.pending() else []
        revisable.evict(index)
        return [*decided, EvictedRevisionState(self.name, self._grid.start_ns(index), self._grid.end_ns(index))]

    def _close_oldest(self, now_ns: int) -> list[Decision]:
        """Close the oldest window that has an item, and all open windows before it."""
        decided: list[Decision] = []
        last = self._windows.first_index_with_items()
        while last is not None and (index := self._windows.next_index()) is not None and index <= last:
            decided += self._close(index, "bound", now_ns, forced=True)
        return decided

    def _close(self, index: int, closed_by: ClosedBy, now_ns: int, *, forced: bool) -> list[Decision]:
        closed = self._windows.close(index, closed_by, forced=forced)
        contents = closed.contents
        if self._revisable is not None:
            self._revisable.close(closed.windows, closed.summary, now_ns=now_ns)
            held = None if contents is None else contents.held
            self._revisable.add_all(closed.removed if held is None else [*closed.removed, held])
        if contents is None:
            return []
        self._ttl_start_ns = now_ns
        return [self._closed_window(index, closed.summary, contents, now_ns)]

    def _revision(self, revisable: RevisableWindows, index: int, now_ns: int) -> ClosedWindow:
        """Return the next revision of closed window `index`."""
        summary, late_counts = revisable.start_revision(index)
        items = merged(revisable.items(index), self._buffer.items(index))
        held = None if items["video"] else revisable.frame(summary.held)
        return self._closed_window(index, summary, WindowContents(items=items, held=held), now_ns, late_counts)

    def _closed_window(
        self,
        index: int,
        summary: WindowSummary,
        contents: WindowContents,
        now_ns: int,
        added: Mapping[Modality, int] | None = None,
    ) -> ClosedWindow:
        states = dict(zip(READING_ORDER, summary.states, strict=True))
        revisable = None if self.forgetting else self._revisable
        return ClosedWindow(
            stream=self.name,
            start_ns=self._grid.start_ns(index),
            end_ns=self._grid.end_ns(index),
            closed_by=summary.closed_by,
            skipped=summary.skipped,
            dead=summary.dead,
            items=contents.items,
            states={modality: "present" if contents.items[modality] else state for modality, state in states.items()},
            held=contents.held,
            snapshot=self._snapshot(now_ns),
            revision=summary.revision,
            added=added or {},
            revisable_until_ns=None if revisable is None else revisable.until_ns(index),
        )

    # --- snapshots ----------------------------------------------------------------------------------------------------

    def _snapshot(self, now_ns: int) -> Snapshot:
        windows = self._windows
        kept = [self._buffer.kept_offsets()]
        if self._revisable is not None and not self._revisable.is_empty:
            kept.append(self._revisable.kept_offsets())
        return Snapshot(
            positions=dict(self._positions()),
            clock_ns=now_ns,
            next_window_start_ns=windows.next_window_start_ns,
            max_event_time_ns=windows.max_event_time_ns,
            told_ns=windows.told_ns,
            quiet=self._clock.quiet,
            heard_ns=self._clock.heard_ns,
            last_activity_ns=self._clock.last_activity_ns,
            empty_run=windows.empty_run,
            skipped=windows.skipped,
            dead=windows.dead,
            forgetting=self.forgetting,
            sessions=self.sessions.sessions(),
            tracks={modality: track.snapshot() for modality, track in self._tracks.items()},
            last=self._last,
            kept=_merged_offsets(kept),
            closed=self._revision_state(now_ns),
        )

    def _revision_state(self, now_ns: int) -> RevisionState | None:
        if self._revisable is None or self._revisable.is_empty:
            return None
        held = self._buffer.held
        ttl_start_ns = now_ns if self._ttl_start_ns is None else self._ttl_start_ns
        return self._revisable.snapshot(held=None if held is None else held.offset, ttl_start_ns=ttl_start_ns)


def _discard_waiting(revisable: RevisableWindows | None, next_window_start_ns: int) -> list[Decision]:
    """Discard the redriven items that wait for open windows. They are late."""
    waiting = () if revisable is None else revisable.discard_waiting()
    return [LateItem(entry, next_window_start_ns) for entry in waiting]


def _merged_offsets(parts: Sequence[Mapping[Modality, Sequence[int]]]) -> dict[Modality, tuple[int, ...]]:
    """Return the offsets of all parts by modality, ascending, without repeats."""
    return {
        modality: tuple(sorted({offset for part in parts for offset in part[modality]})) for modality in READING_ORDER
    }
