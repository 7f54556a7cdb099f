"""The closed windows of one stream that late items may still revise (rules 23 to 25).

They keep their items until the floor is `allowed_lateness` beyond their end, or the byte bound wants them gone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from triptych.worker.alignment.entry import READING_ORDER, Entry
from triptych.worker.alignment.revision_state import Added, ClosedSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from triptych.schemas.names import Modality
    from triptych.worker.alignment.grid import WindowGrid
    from triptych.worker.alignment.revision_state import Issue


class RevisableWindows:
    """What was said of the closed windows, what they hold, and what came for them since.

    An item lies here once no open window holds it, or where it was put back; one across the floor lies on the shelf of
    the open windows.
    """

    def __init__(self, grid: WindowGrid, *, lateness_ns: int) -> None:
        """Begin empty."""
        self._grid = grid
        self._lateness_ns = lateness_ns
        self._items: dict[Modality, dict[int, Entry]] = {modality: {} for modality in READING_ORDER}
        self._issues: dict[int, Issue] = {}  # ascending
        self._added: dict[int, Added] = {}  # windows that are due, and open ones that something waits for
        self._bottom = 0
        self._since_ns: int | None = None
        self.size_bytes = 0

    # --- windows close ------------------------------------------------------------------------------------------------

    def close(self, windows: range, issue: Issue, *, now_ns: int) -> None:
        """Remember windows that closed in one go, of which `issue` says what was said."""
        next_window_start_ns = self._grid.start_ns(windows.stop)
        self._bottom = max(self._bottom, self._grid.first_ending_after(next_window_start_ns - self._lateness_ns))
        waited_for = [index for index in self._added if index in windows]
        if waited_for and self._since_ns is None:
            self._since_ns = now_ns
        revisable = range(max(windows.start, self._bottom), windows.stop)
        for index in sorted({*waited_for, *revisable}):
            self._issues[index] = issue

    def store(self, items: Iterable[Entry]) -> None:
        """Take what no open window holds any more, and let go of what no closed one needs."""
        for item in items:
            self.keep(item)
        self._sweep()

    def evict(self, index: int) -> None:
        """Revise window `index`, the oldest one, no more."""
        self._bottom = max(self._bottom, index + 1)
        self._issues.pop(index, None)
        self._added.pop(index, None)
        self._sweep()

    def keep(self, entry: Entry) -> None:
        """Hold an item that no open window holds."""
        if entry.offset not in self._items[entry.modality]:
            self._items[entry.modality][entry.offset] = entry
            self.size_bytes += entry.size_bytes

    def _sweep(self) -> None:
        for index in [index for index in self._issues if index < self._bottom and index not in self._added]:
            del self._issues[index]
        bottom_ns = self._grid.start_ns(self._bottom)
        held = {issue.held for issue in self._issues.values()}
        for modality, items in self._items.items():
            for entry in [entry for entry in items.values() if entry.end_ns <= bottom_ns]:
                stands_in = modality == "video" and entry.offset in held
                if not stands_in and not any(index in self._added for index in self._windows_of(entry)):
                    del items[entry.offset]
                    self.size_bytes -= entry.size_bytes

    def _windows_of(self, entry: Entry) -> range:
        return range(self._grid.first(entry.start_ns), self._grid.last(entry.end_ns) + 1)

    # --- something comes late -----------------------------------------------------------------------------------------

    def add(self, entry: Entry, open_windows: range, *, now_ns: int) -> bool:
        """Note the windows that a late item revises; of `open_windows` those that it waits for. Tell if there are any.

        An item that no open window holds itself has to be kept then.
        """
        span = self._windows_of(entry)
        closed = [index for index in span if index >= self._bottom and index in self._issues]
        noted = closed + [index for index in span if index in open_windows]
        for index in noted:
            added = self._added.setdefault(index, {})
            added[entry.modality] = added.get(entry.modality, 0) + 1
        if closed and self._since_ns is None:
            self._since_ns = now_ns
        return bool(noted)

    def drop_waiting(self) -> list[Entry]:
        """Let go of what waits for an open window and revises no closed one."""
        waiting = [
            entry
            for items in self._items.values()
            for entry in items.values()
            if entry.redriven and not any(index in self._issues for index in self._windows_of(entry))
        ]
        for entry in waiting:
            del self._items[entry.modality][entry.offset]
            self.size_bytes -= entry.size_bytes
        self._added = {index: added for index, added in self._added.items() if index in self._issues}
        return waiting

    # --- revisions ----------------------------------------------------------------------------------------------------

    def due(self) -> list[int]:
        """Return the windows whose revision is to come, in order."""
        return sorted(index for index in self._added if index in self._issues)

    @property
    def since_ns(self) -> int | None:
        """When the first late item came that no revision has taken up."""
        return self._since_ns

    def reissue(self, index: int) -> tuple[Issue, Added]:
        """Count a revision of window `index`; return what is said of it now, and what came since."""
        issue = self._issues[index]
        self._issues[index] = replace(issue, revision=issue.revision + 1)
        added = self._added.pop(index)
        if not self.due():
            self._since_ns = None
        return self._issues[index], added

    def window(self, index: int) -> dict[Modality, tuple[Entry, ...]]:
        """Return the items of window `index` that lie here."""
        start_ns, end_ns = self._grid.start_ns(index), self._grid.end_ns(index)
        return {
            modality: tuple(item for item in items.values() if item.start_ns < end_ns and item.end_ns > start_ns)
            for modality, items in self._items.items()
        }

    def frame(self, offset: int | None) -> Entry | None:
        """Return the frame that stood in."""
        return None if offset is None else self._items["video"].get(offset)

    def oldest(self) -> int | None:
        """Return the oldest closed window that is remembered."""
        return next(iter(self._issues), None)

    @property
    def can_give_way(self) -> bool:
        """Tell whether there is anything to let go of."""
        return bool(self._issues) or self.has_waiting

    @property
    def has_waiting(self) -> bool:
        """Tell whether something waits for an open window."""
        return any(index not in self._issues for index in self._added)

    # --- restart ------------------------------------------------------------------------------------------------------

    def kept(self) -> dict[Modality, list[int]]:
        """Return the offsets of everything here, by modality."""
        return {modality: list(items) for modality, items in self._items.items()}

    def snapshot(self, *, held: int | None, lives_since_ns: int) -> ClosedSnapshot:
        """Return what the records that are kept cannot say again."""
        return ClosedSnapshot(
            size_ns=self._grid.size_ns,
            hop_ns=self._grid.hop_ns,
            bottom=self._bottom,
            issues=dict(self._issues),
            added={index: dict(added) for index, added in self._added.items()},
            since_ns=self._since_ns,
            held=held,
            lives_since_ns=lives_since_ns,
        )

    def restore(self, snapshot: ClosedSnapshot) -> None:
        """Go on from a snapshot; the items are still to come, by `keep`. One of another grid says nothing."""
        if (snapshot.size_ns, snapshot.hop_ns) != (self._grid.size_ns, self._grid.hop_ns):
            return
        self._bottom = snapshot.bottom
        self._issues = dict(snapshot.issues)
        self._added = {index: dict(added) for index, added in snapshot.added.items()}
        self._since_ns = snapshot.since_ns


def merged(*parts: Mapping[Modality, tuple[Entry, ...]]) -> dict[Modality, tuple[Entry, ...]]:
    """Return the items of a window in order of event time; what was put back replaces what it was at first."""
    return {modality: _once([entry for part in parts for entry in part[modality]]) for modality in READING_ORDER}


def _once(entries: list[Entry]) -> tuple[Entry, ...]:
    back = {(entry.session, entry.seq): entry for entry in sorted(entries, key=_by_offset) if entry.redriven}
    chosen = [entry for entry in entries if entry.seq is None or back.get((entry.session, entry.seq), entry) is entry]
    return tuple(sorted(chosen, key=lambda entry: (entry.start_ns, entry.offset)))


def _by_offset(entry: Entry) -> int:
    return entry.offset
