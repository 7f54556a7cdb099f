"""The undecoded items of one stream's open windows, and the frame that may be held (alignment rules 12 and 14)."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

from triptych.schemas.names import Modality
from triptych.worker.alignment.entry import READING_ORDER, Entry
from triptych.worker.alignment.grid import WindowGrid


@dataclass(slots=True)
class HeldBytes:
    """The bytes of undecoded media in all open and revisable windows of a partition. Its buffers add and subtract."""

    total: int = 0


def _by_event_time(entry: Entry) -> tuple[int, int]:
    return entry.start_ns, entry.offset


class WindowBuffer:
    """Items ordered by event time. The caller limits `size_bytes`."""

    __slots__ = (
        "_grid",
        "_held",
        "_held_bytes",
        "_items",
        "_max_hold_ns",
        "size_bytes",
    )

    def __init__(self, grid: WindowGrid, held_bytes: HeldBytes, *, max_hold_ns: int) -> None:
        """Start empty. Changes of `size_bytes` are added to `held_bytes` too."""
        self._grid = grid
        self._held_bytes = held_bytes
        self._max_hold_ns = max_hold_ns
        self._items: dict[Modality, list[Entry]] = {modality: [] for modality in READING_ORDER}
        self._held: Entry | None = None
        self.size_bytes = 0

    def add(self, entry: Entry) -> None:
        """Insert an item."""
        items = self._items[entry.modality]
        if not items or items[-1].start_ns < entry.start_ns or _by_event_time(items[-1]) <= _by_event_time(entry):
            items.append(entry)  # almost always
        else:
            insort(items, entry, key=_by_event_time)
        self.size_bytes += entry.size_bytes
        self._held_bytes.total += entry.size_bytes

    def hold(self, frame: Entry) -> None:
        """Replace the held frame. `frame` must be the newest one before the next window."""
        self._add_bytes(frame.size_bytes - (0 if self._held is None else self._held.size_bytes))
        self._held = frame

    @property
    def has_items(self) -> bool:
        """Whether any open window has an item. The held frame does not count."""
        return any(self._items.values())

    def first_index(self) -> int | None:
        """Return the earliest window that has an item."""
        starts = [items[0].start_ns for items in self._items.values() if items]
        return self._grid.first_overlapping(min(starts)) if starts else None

    def first_index_from(self, index: int) -> int | None:
        """Return the earliest window at or after `index` that has an item."""
        first = self.first_index()
        return None if first is None else max(first, index)

    def items(self, index: int) -> dict[Modality, tuple[Entry, ...]]:
        """Return the items of window `index` by modality, in order of event time."""
        start_ns, end_ns = self._grid.start_ns(index), self._grid.end_ns(index)
        return {
            modality: tuple([item for item in items if item.end_ns > start_ns and item.start_ns < end_ns])
            for modality, items in self._items.items()
        }

    def held_for(self, index: int) -> Entry | None:
        """Return the held frame if it may be used for window `index`."""
        if self._held is None or self._grid.start_ns(index) >= self._held.start_ns + self._max_hold_ns:
            return None
        return self._held

    @property
    def held(self) -> Entry | None:
        """The held frame."""
        return self._held

    def remove_before(self, index: int) -> list[Entry]:
        """Remove and return the items that end before window `index`. Hold the newest frame among them."""
        next_window_start_ns = self._grid.start_ns(index)
        removed: list[Entry] = []
        for modality, items in self._items.items():
            expired = [item for item in items if item.end_ns <= next_window_start_ns]
            if not expired:
                continue
            is_all = len(expired) == len(items)
            self._items[modality] = [] if is_all else [item for item in items if item.end_ns > next_window_start_ns]
            self._add_bytes(-sum([item.size_bytes for item in expired]))
            removed += expired
            if modality == "video":
                self.hold(expired[-1])
        if self._held is not None and self.held_for(index) is None:
            self._add_bytes(-self._held.size_bytes)
            self._held = None
        return removed

    def kept_offsets(self) -> dict[Modality, list[int]]:
        """Return the offsets of all items and of the held frame, by modality."""
        offsets = {modality: [item.offset for item in items] for modality, items in self._items.items()}
        if self._held is not None:
            offsets[self._held.modality].append(self._held.offset)
        return offsets

    def _add_bytes(self, change: int) -> None:
        self.size_bytes += change
        self._held_bytes.total += change
