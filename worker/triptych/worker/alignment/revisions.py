"""The closed windows of one stream that late items may still revise (alignment rules 15a and 23 to 25).

See `docs/alignment.md`. A window stays revisable until the next window starts `allowed_lateness` (`complete_within`) or
more after its end, or until the byte bound evicts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from triptych.schemas.names import Modality
from triptych.schemas.results import WITHOUT_WAITING
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.entry import READING_ORDER, Entry
from triptych.worker.alignment.grid import WindowGrid
from triptych.worker.alignment.revision_state import LateCounts, RevisionState, WindowSummary
from triptych.worker.alignment.window_buffer import HeldBytes


class RevisableWindows:
    """The summaries and items of closed windows, and the number of late items since their last result.

    An item is stored here once no open window needs it, or if it was redriven. A late item that reaches into an open
    window is stored in the buffer of the open windows.
    """

    __slots__ = (
        "_first_revisable",
        "_grid",
        "_held_bytes",
        "_items",
        "_late_counts",
        "_lateness_ns",
        "_only_without_waiting",
        "first_late_ns",
        "size_bytes",
        "summaries",
    )

    def __init__(
        self, grid: WindowGrid, held_bytes: HeldBytes, *, lateness_ns: int, only_without_waiting: bool
    ) -> None:
        """Start empty. Windows stay revisable for `lateness_ns` of event time: all, or those of `WITHOUT_WAITING`.

        Changes of `size_bytes` are added to `held_bytes` too.
        """
        self._grid = grid
        self._held_bytes = held_bytes
        self._lateness_ns = lateness_ns
        self._only_without_waiting = only_without_waiting
        self._items: dict[Modality, dict[int, Entry]] = {}  # by offset; most streams never need any
        self.summaries: dict[int, WindowSummary] = {}  # of the windows that may be revised, ascending
        self._late_counts: dict[int, LateCounts] = {}  # by window; open windows too, if a redriven item waits for them
        self._first_revisable = 0
        self.first_late_ns: int | None = None  # arrival time of the first late item that is in no result yet
        self.size_bytes = 0

    @classmethod
    def of(cls, config: AlignConfig, grid: WindowGrid, held_bytes: HeldBytes) -> RevisableWindows | None:
        """Return the revisable windows of a new stream; None if late items revise none."""
        if config.allowed_lateness_ns is not None:
            return cls(grid, held_bytes, lateness_ns=config.allowed_lateness_ns, only_without_waiting=False)
        if config.complete_within_ns is not None:
            return cls(grid, held_bytes, lateness_ns=config.complete_within_ns, only_without_waiting=True)
        return None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of any window. Never so if every window stays known."""
        return self._only_without_waiting and not self.summaries and not self._late_counts

    # --- closing ------------------------------------------------------------------------------------------------------

    def close(self, windows: range, summary: WindowSummary, *, now_ns: int) -> None:
        """Store the summary of windows that closed in one step."""
        if self._only_without_waiting and summary.closed_by not in WITHOUT_WAITING:
            windows = range(windows.stop, windows.stop)
            if self.is_empty:
                return
        next_window_start_ns = self._grid.start_ns(windows.stop)
        oldest = self._grid.first_ending_after(next_window_start_ns - self._lateness_ns)
        self._first_revisable = max(self._first_revisable, oldest)
        waited_for = [index for index in self._late_counts if index in windows]
        if waited_for and self.first_late_ns is None:
            self.first_late_ns = now_ns
        revisable = range(max(windows.start, self._first_revisable), windows.stop)
        for index in sorted({*waited_for, *revisable}):
            self.summaries[index] = summary

    def add_all(self, items: Iterable[Entry]) -> None:
        """Store the items that the open windows released. Discard those that no revisable window needs."""
        if self.is_empty:
            return
        for item in items:
            self.add(item)
        self._discard_unneeded()

    def add(self, entry: Entry) -> None:
        """Store an item that no open window stores."""
        items = self._items.setdefault(entry.modality, {})
        if entry.offset not in items:
            items[entry.offset] = entry
            self.size_bytes += entry.size_bytes
            self._held_bytes.total += entry.size_bytes

    def until_ns(self, index: int) -> int | None:
        """Return the start of the stream's next window at which window `index` stops being revisable, or None."""
        return self._grid.end_ns(index) + self._lateness_ns if index in self.summaries else None

    def evict(self, index: int) -> None:
        """Stop revising window `index`, which must be the oldest one."""
        self._first_revisable = max(self._first_revisable, index + 1)
        self.summaries.pop(index, None)
        self._late_counts.pop(index, None)
        self._discard_unneeded()

    def _discard_unneeded(self) -> None:
        expired = [i for i in self.summaries if i < self._first_revisable and i not in self._late_counts]
        for index in expired:
            del self.summaries[index]
        held = {summary.held for summary in self.summaries.values()}
        for modality, items in self._items.items():
            for entry in [entry for entry in items.values() if not self._is_in_revisable(entry)]:
                is_held = modality == "video" and entry.offset in held
                if not is_held and not any(index in self._late_counts for index in self._windows_of(entry)):
                    self._discard(entry)

    def _is_in_revisable(self, entry: Entry) -> bool:
        if self._only_without_waiting:
            return any(index in self.summaries for index in self._windows_of(entry))
        return entry.end_ns > self._grid.start_ns(self._first_revisable)

    def _of(self, modality: Modality) -> Iterable[Entry]:
        return self._items.get(modality, {}).values()

    def _discard(self, entry: Entry) -> None:
        del self._items[entry.modality][entry.offset]
        self.size_bytes -= entry.size_bytes
        self._held_bytes.total -= entry.size_bytes

    def _windows_of(self, entry: Entry) -> range:
        first = self._grid.first_overlapping(entry.start_ns)
        return range(first, self._grid.last_overlapping(entry.end_ns) + 1)

    # --- late items ---------------------------------------------------------------------------------------------------

    def count_late(self, entry: Entry, open_windows: range, *, now_ns: int) -> bool:
        """Count a late item for each revisable window that it overlaps, and for each of `open_windows`.

        Return whether there is any. If so, the caller stores the item, here or in the buffer of the open windows. If
        only windows that closed without waiting can be revised, the item does not wait for the open ones.
        """
        if self._only_without_waiting:
            if not self.summaries:
                return False
            open_windows = range(0)
        windows = self._windows_of(entry)
        revisable = [index for index in windows if index >= self._first_revisable and index in self.summaries]
        counted = revisable + [index for index in windows if index in open_windows]
        for index in counted:
            counts = self._late_counts.setdefault(index, {})
            counts[entry.modality] = counts.get(entry.modality, 0) + 1
        if revisable and self.first_late_ns is None:
            self.first_late_ns = now_ns
        return bool(counted)

    def discard_waiting(self) -> list[Entry]:
        """Discard and return the redriven items that wait for an open window and revise no closed one."""
        waiting = [
            entry
            for modality in READING_ORDER
            for entry in self._of(modality)
            if entry.redriven and not any(index in self.summaries for index in self._windows_of(entry))
        ]
        for entry in waiting:
            self._discard(entry)
        self._late_counts = {index: counts for index, counts in self._late_counts.items() if index in self.summaries}
        return waiting

    # --- revisions ----------------------------------------------------------------------------------------------------

    def pending(self) -> list[int]:
        """Return the closed windows that have late items since their last result, in order."""
        return sorted(index for index in self._late_counts if index in self.summaries)

    def start_revision(self, index: int) -> tuple[WindowSummary, LateCounts]:
        """Increment the revision of window `index`. Return its summary and the late items since its last result."""
        summary = self.summaries[index]
        self.summaries[index] = replace(summary, revision=summary.revision + 1)
        counts = self._late_counts.pop(index)
        if not self.pending():
            self.first_late_ns = None
        return self.summaries[index], counts

    def items(self, index: int) -> dict[Modality, tuple[Entry, ...]]:
        """Return the items of window `index` that are stored here, by modality."""
        start_ns, end_ns = self._grid.start_ns(index), self._grid.end_ns(index)
        return {
            modality: tuple(item for item in self._of(modality) if item.start_ns < end_ns and item.end_ns > start_ns)
            for modality in READING_ORDER
        }

    def frame(self, offset: int | None) -> Entry | None:
        """Return the stored frame with this offset."""
        return None if offset is None else self._items.get("video", {}).get(offset)

    def oldest(self) -> int | None:
        """Return the oldest revisable window."""
        return next(iter(self.summaries), None)

    @property
    def can_evict(self) -> bool:
        """Whether there is a window or a waiting item to evict."""
        return bool(self.summaries) or self.has_waiting

    @property
    def has_waiting(self) -> bool:
        """Whether a redriven item waits for an open window."""
        return any(index not in self.summaries for index in self._late_counts)

    # --- restart ------------------------------------------------------------------------------------------------------

    def kept_offsets(self) -> dict[Modality, list[int]]:
        """Return the offsets of all stored items, by modality."""
        return {modality: [entry.offset for entry in self._of(modality)] for modality in READING_ORDER}

    def snapshot(self, *, held: int | None, ttl_start_ns: int) -> RevisionState:
        """Return the state that cannot be rebuilt from the kept records."""
        return RevisionState(
            size_ns=self._grid.size_ns,
            hop_ns=self._grid.hop_ns,
            first_revisable=self._first_revisable,
            summaries=dict(self.summaries),
            late_counts={index: dict(counts) for index, counts in self._late_counts.items()},
            first_late_ns=self.first_late_ns,
            held=held,
            ttl_start_ns=ttl_start_ns,
        )

    def restore(self, state: RevisionState) -> None:
        """Continue from a snapshot; the items are added again afterwards. Ignore the state of another window size."""
        if (state.size_ns, state.hop_ns) != (self._grid.size_ns, self._grid.hop_ns):
            return
        self._first_revisable = state.first_revisable
        self.summaries = dict(state.summaries)
        self._late_counts = {index: dict(counts) for index, counts in state.late_counts.items()}
        self.first_late_ns = state.first_late_ns


def merged(*parts: Mapping[Modality, tuple[Entry, ...]]) -> dict[Modality, tuple[Entry, ...]]:
    """Merge the items of a window by event time. A redriven record replaces one of the same session and `seq`."""
    return {modality: _merged([entry for part in parts for entry in part[modality]]) for modality in READING_ORDER}


def _merged(entries: list[Entry]) -> tuple[Entry, ...]:
    redriven = {(entry.session, entry.seq): entry for entry in sorted(entries, key=_by_offset) if entry.redriven}
    chosen = [e for e in entries if e.seq is None or redriven.get((e.session, e.seq), e) is e]
    return tuple(sorted(chosen, key=lambda entry: (entry.start_ns, entry.offset)))


def _by_offset(entry: Entry) -> int:
    return entry.offset
