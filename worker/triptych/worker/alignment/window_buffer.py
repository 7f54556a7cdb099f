"""What the open windows of one stream hold: items by event time, and the frame that may stand in (rules 12, 14)."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

from triptych.worker.alignment.entry import READING_ORDER, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triptych.schemas.names import Modality
    from triptych.worker.alignment.grid import WindowGrid


def _in_time(entry: Entry) -> tuple[int, int]:
    return entry.start_ns, entry.offset


class WindowBuffer:
    """The encoded items of one stream's open windows, bounded by whoever asks for `size_bytes`."""

    def __init__(self, grid: WindowGrid, *, max_hold_ns: int) -> None:
        """Begin empty."""
        self._grid = grid
        self._max_hold_ns = max_hold_ns
        self._items: dict[Modality, list[Entry]] = {modality: [] for modality in READING_ORDER}
        self._held: Entry | None = None
        self.size_bytes = 0

    def put(self, entry: Entry) -> None:
        """Lay an item down."""
        insort(self._items[entry.modality], entry, key=_in_time)
        self.size_bytes += entry.size_bytes

    def hold(self, frame: Entry) -> None:
        """Make `frame` the one that stands in: none behind the floor is newer."""
        if self._held is not None:
            self.size_bytes -= self._held.size_bytes
        self._held = frame
        self.size_bytes += frame.size_bytes

    @property
    def holds_items(self) -> bool:
        """Tell whether any open window holds an item."""
        return any(self._items.values())

    def first_index(self) -> int | None:
        """Return the earliest window that holds an item."""
        starts = [items[0].start_ns for items in self._items.values() if items]
        return self._grid.first(min(starts)) if starts else None

    def first_index_from(self, floor: int) -> int | None:
        """Return the earliest window at or after `floor` that holds an item."""
        first = self.first_index()
        return None if first is None else max(first, floor)

    def window(self, index: int) -> dict[Modality, tuple[Entry, ...]]:
        """Return the items of window `index`, by modality, in order of event time."""
        start_ns, end_ns = self._grid.start_ns(index), self._grid.end_ns(index)
        return {
            modality: tuple(
                item
                for item in items[: bisect_left(items, end_ns, key=lambda item: item.start_ns)]
                if item.end_ns > start_ns
            )
            for modality, items in self._items.items()
        }

    def held_for(self, index: int) -> Entry | None:
        """Return the frame that stands in for window `index` if it has none of its own."""
        if self._held is None or self._grid.start_ns(index) >= self._held.start_ns + self._max_hold_ns:
            return None
        return self._held

    @property
    def held(self) -> Entry | None:
        """The frame that may stand in."""
        return self._held

    def drop_before(self, floor: int) -> list[Entry]:
        """Let go of and return what belongs to no window from `floor` on; its newest frame may stand in from now on."""
        next_window_start_ns = self._grid.start_ns(floor)
        dropped: list[Entry] = []
        for modality, items in self._items.items():
            gone = [item for item in items if item.end_ns <= next_window_start_ns]
            if not gone:
                continue
            self._items[modality] = [item for item in items if item.end_ns > next_window_start_ns]
            self.size_bytes -= sum(item.size_bytes for item in gone)
            dropped += gone
            if modality == "video":
                self.hold(gone[-1])
        if self._held is not None and self.held_for(floor) is None:
            self.size_bytes -= self._held.size_bytes
            self._held = None
        return dropped

    def kept(self) -> dict[Modality, list[int]]:
        """Return the offsets of everything here, by modality."""
        entries = self._everything()
        return {
            modality: [entry.offset for entry in entries if entry.modality == modality] for modality in READING_ORDER
        }

    def _everything(self) -> Iterable[Entry]:
        items = [item for items in self._items.values() for item in items]
        return items if self._held is None else [*items, self._held]
