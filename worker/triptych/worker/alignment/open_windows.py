"""The open windows of one stream: when the next one closes, why, and what it contains.

Implements alignment rules 5, 7 and 12 to 15; see `docs/alignment.md`. The class is a state machine over items and the
state of the tracks. It closes windows but knows nothing of results, revisions or restarts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from triptych.schemas.names import Modality
from triptych.schemas.results import ClosedBy, State
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.entry import READING_ORDER, Entry
from triptych.worker.alignment.grid import WindowGrid
from triptych.worker.alignment.revision_state import WindowSummary
from triptych.worker.alignment.snapshot import Snapshot
from triptych.worker.alignment.track import HeardClock, Track
from triptych.worker.alignment.window_buffer import HeldBytes, WindowBuffer

_NO_WATERMARK_NS: Final = -1
_MAX_WATERMARK_NS: Final = 1 << 80
_ALL_ACTIVE: Final = {"active"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowContents:
    """The items of a window by modality, in order of event time, and the frame held for it."""

    items: Mapping[Modality, tuple[Entry, ...]]
    held: Entry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedRange:
    """Windows that closed in one step: one window with its contents, or empty windows that are skipped.

    `contents` is None for skipped windows. `summary` applies to each window of the range. `removed` are the items that
    no open window needs any more.
    """

    windows: range
    summary: WindowSummary
    contents: WindowContents | None
    removed: list[Entry]


class OpenWindows:
    """Collects the items of the open windows and closes windows in order.

    The caller sets `empty_run` to 0 at the start of each decision: the number of empty windows published in a row is
    limited per decision (alignment rule 15).
    """

    __slots__ = (
        "_clock",
        "_grid",
        "_late_until_ns",
        "_max_empty",
        "_next_end_ns",
        "_next_window",
        "_out_of_orderness_ns",
        "_slowest",
        "_slowest_needs_ns",
        "_tracks",
        "buffer",
        "dead",
        "empty_run",
        "max_event_time_ns",
        "skipped",
        "told_ns",
    )

    def __init__(
        self,
        config: AlignConfig,
        grid: WindowGrid,
        tracks: Mapping[Modality, Track],
        clock: HeardClock,
        held_bytes: HeldBytes,
    ) -> None:
        """Start without items. `tracks` and `clock` are live: their state is read whenever a window may close."""
        self._grid = grid
        self._tracks = tracks
        self._clock = clock
        self._out_of_orderness_ns = {modality: config.out_of_orderness_of(modality) for modality in READING_ORDER}
        self._max_empty = config.max_empty
        self._next_window: int | None = None  # None until the first window closes
        self._late_until_ns = 0  # items that end here or earlier are late
        self._next_end_ns = _NO_WATERMARK_NS  # end of the next window to close, once one has closed
        self._slowest: Track | None = None  # the active track whose watermark was the least one at the last look
        self._slowest_needs_ns = _NO_WATERMARK_NS  # the watermark at which it would have let the next window close
        self.buffer: Final = WindowBuffer(grid, held_bytes, max_hold_ns=config.max_hold_ns)
        self.max_event_time_ns = 0
        self.told_ns = 0  # up to here something was said of the media: the future part of a cue does not count
        self.empty_run = 0
        self.skipped = 0  # windows skipped and dead records counted since the last closed window
        self.dead = 0

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot. The items are added again afterwards."""
        self._set_next_window(self._grid.first_starting_at_or_after(snapshot.next_window_start_ns))
        self.max_event_time_ns = snapshot.max_event_time_ns
        self.told_ns = snapshot.told_ns
        self.empty_run = snapshot.empty_run
        self.skipped = snapshot.skipped
        self.dead = snapshot.dead

    # --- items --------------------------------------------------------------------------------------------------------

    def add(self, entry: Entry) -> bool:
        """Add an item and advance the maximum event time. Return False if the item is late: it is not added then."""
        end_ns = entry.end_ns
        told_ns = entry.start_ns if entry.modality == "subtitles" else end_ns
        # Each record comes here, and `max` takes three times as long as a comparison.
        if end_ns > self.max_event_time_ns:  # noqa: PLR1730 - as above
            self.max_event_time_ns = end_ns
        if told_ns > self.told_ns:  # noqa: PLR1730 - as above
            self.told_ns = told_ns
        if end_ns <= self._late_until_ns:
            return False
        self.buffer.add(entry)
        return True

    def is_late(self, entry: Entry) -> bool:
        """Tell whether all windows of an item are closed."""
        return entry.end_ns <= self._late_until_ns

    def advance_event_time(self, event_time_ns: int) -> None:
        """Raise the maximum event time. Windows that begin at or after it stay open (alignment rule 7)."""
        self.max_event_time_ns = max(self.max_event_time_ns, event_time_ns)
        self.told_ns = max(self.told_ns, event_time_ns)

    # --- state --------------------------------------------------------------------------------------------------------

    @property
    def next_window_start_ns(self) -> int:
        """Start of the next window to close; before the first close, of the earliest window that has an item; or 0."""
        index = self.next_index()
        return 0 if index is None else self._grid.start_ns(index)

    def next_index(self) -> int | None:
        """Return the next window to close; None before the first item."""
        return self._next_window if self._next_window is not None else self.buffer.first_index()

    def first_index_with_items(self) -> int | None:
        """Return the earliest open window that has an item."""
        return self.buffer.first_index_from(self._next_window or 0)

    def started(self) -> range:
        """Return the open windows that begin before the maximum event time."""
        first = self.next_index()
        if first is None:
            return range(0)
        return range(first, self._grid.first_starting_at_or_after(self.max_event_time_ns))

    # --- closing ------------------------------------------------------------------------------------------------------

    def is_waiting(self) -> bool:
        """Tell whether the next window waits for the same track as at the last look; if not, `next_complete` decides.

        It does as long as that track is active and has not passed the window's end: the least watermark has not either.
        """
        track = self._slowest
        if track is None or track.state != "active" or self._clock.quiet:
            return False
        watermark_ns = track.watermark_ns
        return watermark_ns is None or watermark_ns < self._slowest_needs_ns

    def next_complete(self) -> int | None:
        """Return the next window to close if it is complete, else None."""
        index = self.next_index()
        limit_ns = self._start_limit_ns() if self._clock.quiet else self.max_event_time_ns
        if index is None or self._grid.start_ns(index) >= limit_ns:
            return None
        return index if self._grid.end_ns(index) <= self._watermark_ns() else None

    def closed_by(self, index: int) -> ClosedBy:
        """Return why window `index` closes if it does so now, apart from the byte bound (alignment rule 13)."""
        end_ns = self._grid.end_ns(index)
        states = {track.state for track in self._tracks.values()}
        if states == _ALL_ACTIVE and not self._clock.quiet:
            return "progress"
        if "active" not in states:
            return "end" if states == {"ended"} else "quiet"
        if self._clock.quiet:
            return "quiet"
        behind = {
            track.state
            for modality, track in self._tracks.items()
            if not track.has_passed(end_ns, self._out_of_orderness_ns[modality])
        }
        if "idle" in behind:
            return "idle"
        return "end" if "ended" in behind else "progress"

    def close(self, index: int, closed_by: ClosedBy, *, forced: bool) -> ClosedRange:
        """Close window `index`, or skip it if it is empty and too many empty ones came before it.

        Skipping goes on over the empty windows behind it: up to the next item if `forced`, else only over complete
        windows.
        """
        items = self.buffer.items(index)
        held = None if items["video"] else self.buffer.held_for(index)
        is_empty = held is None and not any(items.values())
        if is_empty and self.empty_run >= self._max_empty:
            return self._skip(index, closed_by, forced=forced)
        self.empty_run = self.empty_run + 1 if is_empty else 0
        summary = WindowSummary(
            closed_by=closed_by,
            skipped=self.skipped,
            dead=self.dead,
            states=tuple(self._state(modality, items, held) for modality in READING_ORDER),
            held=None if held is None else held.offset,
        )
        self.skipped = self.dead = 0
        removed = self._move_next_window(index + 1)
        contents = WindowContents(items=items, held=held)
        return ClosedRange(windows=range(index, index + 1), summary=summary, contents=contents, removed=removed)

    def _skip(self, index: int, closed_by: ClosedBy, *, forced: bool) -> ClosedRange:
        ends = [self.buffer.first_index_from(index)]
        if not forced:
            ends.append(self._grid.first_starting_at_or_after(self._start_limit_ns()))
            ends.append(self._grid.first_ending_after(self._watermark_ns()))
        stop = min(end for end in ends if end is not None)
        self.skipped += stop - index
        states = tuple(self._state(modality, {}, None) for modality in READING_ORDER)
        summary = WindowSummary(closed_by=closed_by, skipped=0, dead=0, states=states, held=None)
        removed = self._move_next_window(stop)
        return ClosedRange(windows=range(index, stop), summary=summary, contents=None, removed=removed)

    def _move_next_window(self, index: int) -> list[Entry]:
        self._set_next_window(index)
        return self.buffer.remove_before(index)

    def _set_next_window(self, index: int) -> None:
        self._next_window = index
        self._late_until_ns = self._grid.start_ns(index)
        self._next_end_ns = self._grid.end_ns(index)

    def _watermark_ns(self) -> int:
        """Return the minimum over the active tracks of watermark less out-of-orderness (alignment rule 5).

        Return the largest time if no track is active or the stream is quiet, and the smallest if an active track has no
        watermark yet.
        """
        least_ns = _MAX_WATERMARK_NS
        if self._clock.quiet:
            return least_ns
        for modality, track in self._tracks.items():
            if track.state == "active":
                watermark_ns, out_of_orderness_ns = track.watermark_ns, self._out_of_orderness_ns[modality]
                if watermark_ns is None or watermark_ns - out_of_orderness_ns < least_ns:
                    self._slowest = track
                    self._slowest_needs_ns = self._next_end_ns + out_of_orderness_ns
                    if watermark_ns is None:
                        return _NO_WATERMARK_NS
                    least_ns = watermark_ns - out_of_orderness_ns
        return least_ns

    def _start_limit_ns(self) -> int:
        """Return the event time before which a window must start to close (alignment rules 6a and 7)."""
        if self._clock.quiet and any(track.state == "active" for track in self._tracks.values()):
            return self.told_ns
        return self.max_event_time_ns

    def _state(self, modality: Modality, items: Mapping[Modality, tuple[Entry, ...]], held: Entry | None) -> State:
        track = self._tracks.get(modality)
        if items.get(modality):
            return "present"
        if modality == "video" and held is not None:
            return "held"
        if track is None:
            return "absent"
        return "idle" if track.state == "idle" else "empty"
