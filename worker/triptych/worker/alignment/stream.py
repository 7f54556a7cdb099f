"""One stream: its tracks and sessions, and when its windows close (rules 4 to 10 and 12 to 17).

A state machine over its own records and deadlines: every method takes the arrival time at which it happens and returns
what was decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from triptych.worker.alignment.decisions import ClosedWindow, Decision, DroppedRecord, EvictedRevisionState, LateItem
from triptych.worker.alignment.entry import READING_ORDER, Entry, Kind
from triptych.worker.alignment.grid import WindowGrid
from triptych.worker.alignment.revision_state import Issue
from triptych.worker.alignment.revisions import RevisableWindows, merged
from triptych.worker.alignment.snapshot import Snapshot
from triptych.worker.alignment.track import Track
from triptych.worker.alignment.window_buffer import WindowBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from triptych.schemas.names import Modality
    from triptych.schemas.results import ClosedBy, State
    from triptych.worker.alignment.config import AlignConfig
    from triptych.worker.alignment.revision_state import ClosedSnapshot

_FOREVER_NS: Final = 1 << 80
_REMEMBERED_SESSIONS: Final = 32
_NONE: Final = range(0)


class Stream:
    """The alignment of one stream."""

    def __init__(self, name: str, config: AlignConfig, positions: Callable[[], Mapping[Modality, int]]) -> None:
        """Begin without a record; `positions` tells how far the sequence was taken, for snapshots."""
        self.name = name
        self._config = config
        self._positions = positions
        self._slack_ns = {modality: config.slack_ns(modality) for modality in READING_ORDER}
        self._grid = WindowGrid(config.size_ns, config.hop_ns)
        self._buffer = WindowBuffer(self._grid, max_hold_ns=config.max_hold_ns)
        lateness_ns = config.allowed_lateness_ns
        self._revisable = None if lateness_ns is None else RevisableWindows(self._grid, lateness_ns=lateness_ns)
        self._sessions: dict[str, frozenset[Modality]] = {}  # in order of appearance, with the tracks they announced
        self.tracks: dict[Modality, Track] = {}
        self._max_event_time_ns = 0
        self._last: tuple[Modality, int] = (READING_ORDER[0], -1)
        self._next_window: int | None = None
        self._empty_run = 0
        self._skipped = 0
        self._dead = 0
        self._lives_since_ns: int | None = None  # the last closed window's clock, or the first record's
        self._held_offset: int | None = None  # after a restart: of the frame that stands in, -1 for none
        self.forgetting = False

    @classmethod
    def restored(
        cls,
        name: str,
        config: AlignConfig,
        positions: Callable[[], Mapping[Modality, int]],
        snapshot: Snapshot,
    ) -> Stream:
        """Return the stream as its last result left it; its open windows are still to be refilled."""
        stream = cls(name, config, positions)
        stream._sessions = dict(snapshot.sessions)
        stream.tracks = {modality: Track.restored(track) for modality, track in snapshot.tracks.items()}
        stream._max_event_time_ns = snapshot.max_event_time_ns
        stream._last = snapshot.last
        stream._next_window = stream._grid.first_starting_at_or_after(snapshot.next_window_start_ns)
        stream._empty_run = snapshot.empty_run
        stream._skipped, stream._dead = snapshot.skipped, snapshot.dead
        stream._lives_since_ns = snapshot.clock_ns
        stream.forgetting = snapshot.forgetting
        if snapshot.closed is not None:
            stream._held_offset = -1 if snapshot.closed.held is None else snapshot.closed.held
            stream._lives_since_ns = snapshot.closed.lives_since_ns
            if stream._revisable is not None:
                stream._revisable.restore(snapshot.closed)
        return stream

    # --- what is asked ------------------------------------------------------------------------------------------------

    @property
    def size_bytes(self) -> int:
        """Bytes that the open windows hold, and the closed ones that may be revised."""
        return self._buffer.size_bytes + (0 if self._revisable is None else self._revisable.size_bytes)

    @property
    def holds_items(self) -> bool:
        """Tell whether an open window holds an item."""
        return self._buffer.holds_items

    @property
    def can_give_way(self) -> bool:
        """Tell whether there is a window to close or to let go of where bytes are short."""
        return self.holds_items or (self._revisable is not None and self._revisable.can_give_way)

    @property
    def is_unfinished(self) -> bool:
        """Tell whether an open window holds an item, or a revision is to come."""
        return self.holds_items or self.revise_at_ns() is not None

    @property
    def next_window_start_ns(self) -> int:
        """Where the next window to close begins; before the first close, where the earliest item's window does."""
        index = self._next_window if self._next_window is not None else self._buffer.first_index()
        return 0 if index is None else self._grid.start_ns(index)

    def idle_at_ns(self, modality: Modality) -> int | None:
        """Return when this track will be idle if nothing more is heard of it; None if it holds no window."""
        track = self.tracks.get(modality)
        if track is None or track.state != "active":
            return None
        return track.counted_ns + self._config.idle_timeout_ns

    def revise_at_ns(self) -> int | None:
        """Return when late items will have their windows issued again; None if there are none."""
        since_ns = None if self._revisable is None else self._revisable.since_ns
        return None if since_ns is None else since_ns + self._config.revise_after_ns

    def forget_at_ns(self) -> int:
        """Return when this stream will be forgotten if it closes no window before."""
        return (self._lives_since_ns or 0) + self._config.stream_ttl_ns

    # --- what happens -------------------------------------------------------------------------------------------------

    def take(self, entry: Entry, now_ns: int) -> list[Decision]:
        """Take the stream's next record, which arrived at `now_ns`."""
        self._empty_run = 0
        self._last = entry.modality, entry.offset
        if self._lives_since_ns is None:
            self._lives_since_ns = now_ns
        track, first = self._enter(entry, now_ns)
        if track is None:
            return [DroppedRecord(entry, "left_session")]
        decided: list[Decision] = []
        if entry.kind is Kind.MEDIA:
            if track.repeats(entry):
                return [DroppedRecord(entry, "repeat")]
            track.count(entry)
            decided += self._place(entry, now_ns)
        elif entry.kind is Kind.PROGRESS:
            self._max_event_time_ns = max(self._max_event_time_ns, entry.start_ns)
        # An end's promise closes nothing that the end does not: else `closed_by` would hang on which end comes first.
        if entry.kind is not Kind.END:
            track.hear(entry.watermark_ns, first=first, max_event_time_ns=self._max_event_time_ns, arrival_ns=now_ns)
        if entry.kind is Kind.END:
            self._end(track, entry.modality, now_ns)
        decided += self.settle(now_ns)
        return decided

    def take_back(self, entry: Entry, now_ns: int) -> list[Decision]:
        """Take an item that was put back: it is late by rule, for open windows too, and moves nothing."""
        revisable = self._revisable
        if revisable is None or not revisable.add(entry, self._open_windows(), now_ns=now_ns):
            return [LateItem(entry, self.next_window_start_ns)]
        revisable.keep(entry)
        decided: list[Decision] = [LateItem(entry, self.next_window_start_ns, revises=True)]
        while self.size_bytes > self._config.stream_max_bytes and revisable.can_give_way:
            decided += self.give_way(now_ns)
        return decided

    def revise(self, now_ns: int) -> list[Decision]:
        """Issue again the closed windows for which something came."""
        revisable = self._revisable
        return [] if revisable is None else [self._reissue(revisable, index, now_ns) for index in revisable.due()]

    def count_dead(self) -> None:
        """Count a record of this stream that could not be decoded; the next window says so."""
        self._dead += 1

    def idle(self, modality: Modality, now_ns: int) -> list[Decision]:
        """Let a track that was silent too long hold windows no more."""
        self._empty_run = 0
        self.tracks[modality].state = "idle"
        return self.settle(now_ns)

    def forget(self, now_ns: int) -> list[Decision]:
        """Close everything that is open, as quiet; the caller drops the stream then."""
        if not self.forgetting:
            self._empty_run = 0
        self.forgetting = True
        decided = self.revise(now_ns)
        while self._buffer.holds_items and (index := self._next_index()) is not None:
            decided += self._close(index, "quiet", now_ns)
        decided += self.revise(now_ns)
        return decided + self._drop_waiting()

    def give_way(self, now_ns: int) -> list[Decision]:
        """Let go of the oldest closed window, else of what waits for open ones, else close the oldest open one."""
        revisable = self._revisable
        index = None if revisable is None else revisable.oldest()
        if revisable is None or (index is None and not revisable.has_waiting):
            return self._close_oldest(now_ns)
        if index is None:
            return self._drop_waiting()
        decided: list[Decision] = [self._reissue(revisable, index, now_ns)] if index in revisable.due() else []
        revisable.evict(index)
        return [*decided, EvictedRevisionState(self.name, self._grid.start_ns(index), self._grid.end_ns(index))]

    def _drop_waiting(self) -> list[Decision]:
        waiting = [] if self._revisable is None else self._revisable.drop_waiting()
        return [LateItem(entry, self.next_window_start_ns) for entry in waiting]

    def _close_oldest(self, now_ns: int) -> list[Decision]:
        """Close the oldest window that holds an item, and what is open before it, as they are."""
        decided: list[Decision] = []
        wanted = self._buffer.first_index_from(self._next_window or 0)
        while wanted is not None and (index := self._next_index()) is not None and index <= wanted:
            decided += self._close(index, "bound", now_ns)
        return decided

    def refill(self, entry: Entry) -> None:
        """Lay down again what a window held when the restored state was taken. Decides nothing."""
        is_behind = self._next_window is not None and self._grid.last(entry.end_ns) < self._next_window
        if not is_behind and not entry.redriven:
            self._buffer.put(entry)
            return
        if is_behind and self._held_offset in {None, entry.offset} and entry.modality == "video":
            self._buffer.hold(entry)
        if self._revisable is not None:
            self._revisable.keep(entry)

    def settle(self, now_ns: int) -> list[Decision]:
        """Close every window that is complete, then as many as the byte bound wants."""
        decided: list[Decision] = []
        while (index := self._next_index()) is not None and self._is_complete(index):
            decided += self._close(index, self._closed_by(index), now_ns)
        while self.size_bytes > self._config.stream_max_bytes and self.can_give_way:
            decided += self.give_way(now_ns)
        return decided

    # --- sessions -----------------------------------------------------------------------------------------------------

    def _enter(self, entry: Entry, now_ns: int) -> tuple[Track | None, bool]:
        """Return the record's track, and whether the record is the first of a session there; None if that was left."""
        self._announce(entry, now_ns)
        track = self.tracks[entry.modality]
        if track.session == entry.session:
            return track, track.watermark_ns is None
        if not self._is_newer(entry.session, track.session):
            return None, False
        track.enter(entry.session, now_ns)
        return track, True

    def _announce(self, entry: Entry, now_ns: int) -> None:
        """Let the tracks that a session announces for the first time hold windows from now on, heard or not."""
        known = self._sessions.get(entry.session)
        if known is not None and entry.modality in known and known.issuperset(entry.tracks):
            return
        announced = {*entry.tracks, entry.modality}
        self._sessions[entry.session] = frozenset(announced if known is None else known | announced)
        for modality in READING_ORDER:
            if modality in announced and (known is None or modality not in known):
                self._awaken(modality, entry.session, now_ns)
        if known is None:
            self._forget_old_sessions()

    def _awaken(self, modality: Modality, session: str, now_ns: int) -> None:
        track = self.tracks.get(modality)
        if track is None:
            self.tracks[modality] = Track(session, now_ns)
        elif self._is_newer(session, track.session):
            if track.state == "ended":
                track.enter(session, now_ns)
            else:
                track.revive(now_ns)

    def _end(self, track: Track, modality: Modality, now_ns: int) -> None:
        """End a track in its own session; where a newer one has announced it already, it begins that one."""
        newer = (name for name in self._sessions if self._is_newer(name, track.session))
        session = next((name for name in newer if modality in self._sessions[name]), None)
        if session is None:
            track.state = "ended"
        else:
            track.enter(session, now_ns)

    def _is_newer(self, session: str, other: str) -> bool:
        order = list(self._sessions)
        return other not in self._sessions or order.index(session) > order.index(other)

    def _forget_old_sessions(self) -> None:
        current = {track.session for track in self.tracks.values()}
        for name in list(self._sessions)[:-_REMEMBERED_SESSIONS]:
            if name not in current:
                del self._sessions[name]

    # --- windows ------------------------------------------------------------------------------------------------------

    def _place(self, entry: Entry, now_ns: int) -> list[Decision]:
        """Lay an item down, and note which closed windows it revises; it is late if none of its windows is open."""
        self._max_event_time_ns = max(self._max_event_time_ns, entry.end_ns)
        revises = self._revisable is not None and self._revisable.add(entry, _NONE, now_ns=now_ns)
        if self._next_window is None or self._grid.last(entry.end_ns) >= self._next_window:
            self._buffer.put(entry)
            return []
        if self._revisable is not None and revises:
            self._revisable.keep(entry)
        return [LateItem(entry, self.next_window_start_ns, revises=revises)]

    def _open_windows(self) -> range:
        """Return the windows that have begun and are not closed."""
        floor = self._next_index()
        return _NONE if floor is None else range(floor, self._grid.first_starting_at_or_after(self._max_event_time_ns))

    def _next_index(self) -> int | None:
        return self._next_window if self._next_window is not None else self._buffer.first_index()

    def _is_complete(self, index: int) -> bool:
        return self._grid.start_ns(index) < self._max_event_time_ns and self._grid.end_ns(index) <= self._watermark_ns()

    def _watermark_ns(self) -> int:
        """Return the least promise of the active tracks, less their out-of-orderness; beyond all time with none."""
        watermark_ns = _FOREVER_NS
        for modality, track in self.tracks.items():
            if track.state == "active":
                if track.watermark_ns is None:
                    return -1
                watermark_ns = min(watermark_ns, track.watermark_ns - self._slack_ns[modality])
        return watermark_ns

    def _closed_by(self, index: int) -> ClosedBy:
        end_ns = self._grid.end_ns(index)
        states = {track.state for track in self.tracks.values()}
        if "active" not in states:
            return "end" if states == {"ended"} else "quiet"
        short = {
            track.state
            for modality, track in self.tracks.items()
            if not track.reaches(end_ns, self._slack_ns[modality])
        }
        if "idle" in short:
            return "idle"
        return "end" if "ended" in short else "progress"

    def _close(self, index: int, closed_by: ClosedBy, now_ns: int) -> list[Decision]:
        """Close window `index`: publish it, or skip it and the empty ones behind it that are complete as well."""
        items = self._buffer.window(index)
        held = None if items["video"] else self._buffer.held_for(index)
        empty = held is None and not any(items.values())
        if empty and self._empty_run >= self._config.max_empty:
            self._skip_from(index, closed_by, now_ns)
            return []
        self._empty_run = self._empty_run + 1 if empty else 0
        issue = Issue(
            closed_by=closed_by,
            skipped=self._skipped,
            dead=self._dead,
            states=tuple(self._state(modality, items, held) for modality in READING_ORDER),
            held=None if held is None else held.offset,
        )
        self._skipped = self._dead = 0
        self._move_next_window(range(index, index + 1), issue, held, now_ns)
        self._lives_since_ns = now_ns
        return [self._issued(index, issue, items, held, now_ns=now_ns)]

    def _reissue(self, revisable: RevisableWindows, index: int, now_ns: int) -> ClosedWindow:
        """Issue closed window `index` once more, with what came since."""
        issue, added = revisable.reissue(index)
        items = merged(revisable.window(index), self._buffer.window(index))
        held = None if items["video"] else revisable.frame(issue.held)
        return self._issued(index, issue, items, held, added=added, now_ns=now_ns)

    def _issued(
        self,
        index: int,
        issue: Issue,
        items: Mapping[Modality, tuple[Entry, ...]],
        held: Entry | None,
        *,
        now_ns: int,
        added: Mapping[Modality, int] | None = None,
    ) -> ClosedWindow:
        states = dict(zip(READING_ORDER, issue.states, strict=True))
        return ClosedWindow(
            stream=self.name,
            start_ns=self._grid.start_ns(index),
            end_ns=self._grid.end_ns(index),
            closed_by=issue.closed_by,
            skipped=issue.skipped,
            dead=issue.dead,
            items=items,
            states={modality: "present" if items[modality] else state for modality, state in states.items()},
            held=held,
            snapshot=self._snapshot(now_ns),
            revision=issue.revision,
            added=added or {},
        )

    def _skip_from(self, index: int, closed_by: ClosedBy, now_ns: int) -> None:
        """Pass over the empty windows from `index` on that this decision closes, however many, in one step."""
        ends = [self._buffer.first_index_from(index)]
        if closed_by != "bound" and not self.forgetting:
            ends.append(self._grid.first_starting_at_or_after(self._max_event_time_ns))
            ends.append(self._grid.first_ending_after(self._watermark_ns()))
        after = min(end for end in ends if end is not None)
        self._skipped += after - index
        states = tuple(self._state(modality, {}, None) for modality in READING_ORDER)
        issue = Issue(closed_by=closed_by, skipped=0, dead=0, states=states, held=None)
        self._move_next_window(range(index, after), issue, None, now_ns)

    def _move_next_window(self, closed: range, issue: Issue, held: Entry | None, now_ns: int) -> None:
        self._next_window = closed.stop
        dropped = self._buffer.drop_before(closed.stop)
        if self._revisable is not None:
            self._revisable.close(closed, issue, now_ns=now_ns)
            self._revisable.store(dropped if held is None else [*dropped, held])

    def _state(self, modality: Modality, items: Mapping[Modality, tuple[Entry, ...]], held: Entry | None) -> State:
        track = self.tracks.get(modality)
        if items.get(modality):
            return "present"
        if modality == "video" and held is not None:
            return "held"
        if track is None:
            return "absent"
        return "idle" if track.state == "idle" else "empty"

    def _snapshot(self, now_ns: int) -> Snapshot:
        return Snapshot(
            positions=dict(self._positions()),
            clock_ns=now_ns,
            next_window_start_ns=self.next_window_start_ns,
            max_event_time_ns=self._max_event_time_ns,
            empty_run=self._empty_run,
            skipped=self._skipped,
            dead=self._dead,
            forgetting=self.forgetting,
            sessions=dict(self._sessions),
            tracks={modality: track.snapshot() for modality, track in self.tracks.items()},
            last=self._last,
            kept=self._kept(),
            closed=self._closed(now_ns),
        )

    def _kept(self) -> dict[Modality, tuple[int, ...]]:
        """Return the offsets of everything that a restart has to find, by modality, in order."""
        kept = self._buffer.kept()
        if self._revisable is not None:
            archived = self._revisable.kept()
            kept = {modality: [*offsets, *archived[modality]] for modality, offsets in kept.items()}
        return {modality: tuple(sorted(set(offsets))) for modality, offsets in kept.items()}

    def _closed(self, now_ns: int) -> ClosedSnapshot | None:
        if self._revisable is None:
            return None
        held = self._buffer.held
        lives_since_ns = now_ns if self._lives_since_ns is None else self._lives_since_ns
        return self._revisable.snapshot(held=None if held is None else held.offset, lives_since_ns=lives_since_ns)
