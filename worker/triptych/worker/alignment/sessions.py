"""The sessions of one stream and the tracks that they announce (alignment rules 4, 8 and 9).

Sessions are ordered by first appearance. Each track moves from one session to the next at its own pace and never back.
"""

from __future__ import annotations

from typing import Final

from triptych.schemas.names import Modality
from triptych.worker.alignment.entry import READING_ORDER, Entry
from triptych.worker.alignment.snapshot import Snapshot
from triptych.worker.alignment.track import HeardClock, Track

_REMEMBERED_SESSIONS: Final = 32


class SessionTracker:
    """Assigns records to tracks and sessions.

    `tracks` are the tracks announced so far, by modality. `clock` has the heard time of the stream.
    """

    __slots__ = (
        "_idle_timeout_ns",
        "_sessions",
        "clock",
        "tracks",
    )

    def __init__(self, *, pause_ns: int, idle_timeout_ns: int) -> None:
        """Start without sessions and tracks."""
        self._idle_timeout_ns = idle_timeout_ns
        self.tracks: dict[Modality, Track] = {}
        self.clock: Final = HeardClock(pause_ns)
        self._sessions: dict[str, frozenset[Modality]] = {}  # announced tracks; in order of first appearance

    def enter(self, entry: Entry, arrival_ns: int) -> Track | None:
        """Return the record's track, moved to the record's session; None if the track has left that session."""
        track = self.tracks.get(entry.modality)
        if track is not None and track.announces is entry.tracks and track.session == entry.session:
            return track  # nearly always: decoded records of a session share one tuple
        self._announce(entry, arrival_ns)
        track = self.tracks[entry.modality]
        if track.session != entry.session:
            if not self._is_newer(entry.session, track.session):
                return None
            track.start_session(entry.session, arrival_ns)
        track.announces = entry.tracks
        return track

    def end(self, modality: Modality, arrival_ns: int) -> None:
        """End a track in its session. If a newer session has already announced the track, start that one instead."""
        track = self.tracks[modality]
        newer = (name for name in self._sessions if self._is_newer(name, track.session))
        session = next((name for name in newer if modality in self._sessions[name]), None)
        if session is None:
            track.state = "ended"
        else:
            track.start_session(session, arrival_ns)

    def idle_at_ns(self, modality: Modality) -> int | None:
        """Return when a track becomes idle without further activity of its own; None if it is not active.

        It does not if the stream is silent for longer than the pause until then: see `is_heard_long_enough`.
        """
        track = self.tracks.get(modality)
        if track is None or track.state != "active":
            return None
        clock = self.clock
        return clock.last_activity_ns + self._idle_timeout_ns - (clock.heard_ns - track.heard_ns)

    def is_heard_long_enough(self, modality: Modality) -> bool:
        """Tell whether the heard time reaches the idle timeout of a track without further activity (rule 6)."""
        return self._idle_timeout_ns - self.tracks[modality].unheard_ns() <= self.clock.pause_ns

    def quiet_at_ns(self) -> int | None:
        """Return when the stream becomes quiet without further activity; None if no window would close by it."""
        if self.clock.quiet or all(track.state != "active" for track in self.tracks.values()):
            return None
        return self.clock.last_activity_ns + self._idle_timeout_ns

    def sessions(self) -> dict[str, frozenset[Modality]]:
        """Return the remembered sessions in order of first appearance, each with the tracks that it announced."""
        return dict(self._sessions)

    def restore(self, snapshot: Snapshot) -> None:
        """Replace the state by that of a snapshot."""
        self._sessions = dict(snapshot.sessions)
        self.clock.heard_ns = snapshot.heard_ns
        self.clock.last_activity_ns = snapshot.last_activity_ns
        self.clock.quiet = snapshot.quiet
        self.tracks.clear()
        self.tracks.update({name: Track.restored(self.clock, track) for name, track in snapshot.tracks.items()})

    def _announce(self, entry: Entry, arrival_ns: int) -> None:
        """Activate the tracks that a session announces for the first time, even before their first record."""
        known = self._sessions.get(entry.session)
        if known is not None and entry.modality in known and known.issuperset(entry.tracks):
            return
        announced = {*entry.tracks, entry.modality}
        self._sessions[entry.session] = frozenset(announced if known is None else known | announced)
        for modality in READING_ORDER:
            if modality in announced and (known is None or modality not in known):
                self._activate(modality, entry.session, arrival_ns)
        if known is None:
            self._forget_old_sessions()

    def _activate(self, modality: Modality, session: str, arrival_ns: int) -> None:
        track = self.tracks.get(modality)
        if track is None:
            self.tracks[modality] = Track.started(self.clock, session, arrival_ns)
        elif self._is_newer(session, track.session):
            if track.state == "ended":
                track.start_session(session, arrival_ns)
            else:
                track.activate(arrival_ns)

    def _is_newer(self, session: str, other: str) -> bool:
        order = list(self._sessions)
        return other not in self._sessions or order.index(session) > order.index(other)

    def _forget_old_sessions(self) -> None:
        current = {track.session for track in self.tracks.values()}
        for name in list(self._sessions)[:-_REMEMBERED_SESSIONS]:
            if name not in current:
                del self._sessions[name]
