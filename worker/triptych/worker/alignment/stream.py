"""One stream: composes its sessions, its open windows and its revisable windows, and makes the snapshots.

A state machine over the stream's records and deadlines. Each method takes the arrival time at which it happens and
returns decisions. The rules are in `docs/alignment.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from triptych.schemas.names import Modality
from triptych.schemas.results import ClosedBy, State
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.decisions import ClosedWindow, Decision, DroppedRecord, EvictedRevisionState, LateItem
from triptych.worker.alignment.entry import READING_ORDER, Entry, Kind
from triptych.worker.alignment.grid import WindowGrid
from triptych.worker.alignment.open_windows import OpenWindows, WindowContents
from triptych.worker.alignment.revision_state import RevisionState, WindowSummary
from triptych.worker.alignment.revisions import RevisableWindows, merged
from triptych.worker.alignment.sessions import SessionTracker
from triptych.worker.alignment.snapshot import Snapshot
from triptych.worker.alignment.window_buffer import HeldBytes

_MEDIA: Final = Kind.MEDIA  # members of an enumeration are slow to look up, and each record needs them
_PROGRESS: Final = Kind.PROGRESS
_END: Final = Kind.END
_NO_WINDOWS: Final = range(0)
_NO_FRAME: Final = -1


class Stream:
    """The alignment of one stream."""

    __slots__ = (
        "_buffer",
        "_config",
        "_grid",
        "_last",
        "_positions",
        "_restored_held",
        "_revisable",
        "_tracks",
        "_ttl_start_ns",
        "_windows",
        "clock",
        "forgetting",
        "name",
        "sessions",
    )

    def __init__(
        self, name: str, config: AlignConfig, positions: Callable[[], dict[Modality, int]], held_bytes: HeldBytes
    ) -> None:
        """Start without records.

        `positions` returns a new dictionary of the next offsets of the merged sequence, for snapshots. Changes of
        `size_bytes` are added to `held_bytes` too.
        """
        self.name = name
        self._config = config
        self._positions = positions
        self._grid = WindowGrid(config.size_ns, config.hop_ns)
        self.sessions = SessionTracker(pause_ns=config.pause_ns, idle_timeout_ns=config.idle_timeout_ns)
        self._tracks = self.sessions.tracks
        self.clock: Final = self.sessions.clock
        self._windows = OpenWindows(config, self._grid, self._tracks, self.clock, held_bytes)
        self._buffer = self._windows.buffer
        self._revisable = RevisableWindows.of(config, self._grid, held_bytes)
        self._last: tuple[Modality, int] = (READING_ORDER[0], -1)
        self._ttl_start_ns: int | None = None  # arrival clock of the last closed window, or of the first record
        self._restored_held: int | None = None  # offset of the held frame in the restored snapshot, or `_NO_FRAME`
        self.forgetting = False

    @classmethod
    def restored(
        cls,
        name: str,
        config: AlignConfig,
        positions: Callable[[], dict[Modality, int]],
        held_bytes: HeldBytes,
        snapshot: Snapshot,
    ) -> Stream:
        """Return the stream that a snapshot describes. Its open windows are empty until `refill` adds their items."""
        stream = cls(name, config, positions, held_bytes)
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
        kind = entry.kind
        if kind is _MEDIA:
            if not track.advance_seq(entry.seq):
                return [DroppedRecord(entry, "repeat")]
            if self._revisable is not None:
                decided = self._add_revising(self._revisable, entry, now_ns)
            elif not windows.add(entry):
                decided = [LateItem(entry, windows.next_window_start_ns)]
        elif kind is _PROGRESS:
            windows.advance_event_time(entry.start_ns)
        # The watermark of an `end` does not count: `closed_by` would depend on which track's end arrives first.
        if kind is _END:
            self.sessions.end(entry.modality, now_ns)
        else:
            track.observe_watermark(entry.watermark_ns, windows.max_event_time_ns, now_ns)
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
        self.clock.is_scheduled = False
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

    def _add_revising(self, revisable: RevisableWindows, entry: Entry, now_ns: int) -> list[Decision]:
        """Add a media item to its windows, the revisable ones too. It is late if all of its windows are closed."""
        revises = bool(revisable.summaries) and revisable.count_late(entry, _NO_WINDOWS, now_ns=now_ns)
        if revises:
            self.clock.is_scheduled = False
        if self._windows.add(entry):
            return []
        if revises:
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
        self.clock.quiet = True
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
            self.clock.is_scheduled = False  # redriven items may have waited for these windows
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
        items = contents.items
        states: dict[Modality, State] = {}
        for modality, state in zip(READING_ORDER, summary.states, strict=True):
            states[modality] = "present" if items[modality] else state
        revisable = None if self.forgetting else self._revisable
        return ClosedWindow(
            stream=self.name,
            start_ns=self._grid.start_ns(index),
            end_ns=self._grid.end_ns(index),
            closed_by=summary.closed_by,
            skipped=summary.skipped,
            dead=summary.dead,
            items=items,
            states=states,
            held=contents.held,
            snapshot=self._snapshot(now_ns),
            revision=summary.revision,
            added=added or {},
            revisable_until_ns=None if revisable is None else revisable.until_ns(index),
        )

    # --- snapshots ----------------------------------------------------------------------------------------------------

    def _snapshot(self, now_ns: int) -> Snapshot:
        windows = self._windows
        kept = self._buffer.kept_offsets()
        if self._revisable is not None and not self._revisable.is_empty:
            kept = _united(kept, self._revisable.kept_offsets())
        return Snapshot(
            positions=self._positions(),
            clock_ns=now_ns,
            next_window_start_ns=windows.next_window_start_ns,
            max_event_time_ns=windows.max_event_time_ns,
            told_ns=windows.told_ns,
            quiet=self.clock.quiet,
            heard_ns=self.clock.heard_ns,
            last_activity_ns=self.clock.last_activity_ns,
            empty_run=windows.empty_run,
            skipped=windows.skipped,
            dead=windows.dead,
            forgetting=self.forgetting,
            sessions=self.sessions.sessions(),
            tracks={modality: track.snapshot() for modality, track in self._tracks.items()},
            last=self._last,
            kept={modality: tuple(sorted(offsets)) for modality, offsets in kept.items()},
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


def _united(first: Mapping[Modality, list[int]], second: Mapping[Modality, list[int]]) -> dict[Modality, list[int]]:
    """Return the offsets of both by modality, without repeats."""
    return {modality: list({*offsets, *second[modality]}) for modality, offsets in first.items()}
