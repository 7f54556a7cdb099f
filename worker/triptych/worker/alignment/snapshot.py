"""The state of one stream after a decision, and its JSON: the header `triptych-state` of every result.

The results topic is the changelog of alignment (alignment rules 18 to 20; see `docs/alignment.md`). A snapshot has the
state that the input topics cannot restore: the decisions so far, and the offsets of the records that open or revisable
windows still need (`kept`). A record before `positions` that is not kept is finished.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Final, Literal, cast

from pydantic_core import to_json

from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import Modality
from triptych.worker.alignment.revision_state import RevisionState

VERSION: Final = 1
TrackState = Literal["active", "idle", "ended"]


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # as `Entry`: a frozen one takes longer to make
class TrackSnapshot:
    """One track: its session, the session's largest `seq` and watermark, and the times of its last activity.

    `last_activity_ns` is the arrival time, and `heard_ns` the heard time of the stream.
    """

    session: str
    seq: int | None
    watermark_ns: int | None
    state: TrackState
    last_activity_ns: int
    heard_ns: int


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """One stream after one of its windows was published. Nothing changes it.

    `positions` are the next offsets to take and `clock_ns` the arrival clock of the decision. `next_window_start_ns` is
    the start of the next window to close. `sessions` are in order of first appearance, each with the tracks that it
    announced. `told_ns`, `quiet`, `heard_ns` and `last_activity_ns` are those of the stream (alignment rules 6 and 6a).
    `last` is the stream's last record. `closed` is the state of the revisable windows. `skipped` and `dead`
    count for the next result: always 0 after a first result, but not after a revision.
    """

    positions: Mapping[Modality, int]
    clock_ns: int
    next_window_start_ns: int
    max_event_time_ns: int
    empty_run: int
    forgetting: bool
    sessions: Mapping[str, frozenset[Modality]]
    tracks: Mapping[Modality, TrackSnapshot]
    kept: Mapping[Modality, tuple[int, ...]] = field(default_factory=dict)
    last: tuple[Modality, int] = ("audio", -1)
    closed: RevisionState | None = None
    skipped: int = 0
    dead: int = 0
    told_ns: int = 0
    quiet: bool = False
    heard_ns: int = 0
    last_activity_ns: int = 0

    def is_finished(self, modality: Modality, offset: int) -> bool:
        """Tell whether no restart needs a record of this stream once this snapshot is published."""
        return offset < self.positions[modality] and offset not in self.needed(modality)

    def needed(self, modality: Modality) -> Collection[int]:
        """Return the offsets before `positions` that a restart has to read again.

        These are the kept records and, while silence will close further windows, the last record of the stream. If that
        one were committed, the tail of the results topic could begin after the result that has this snapshot.
        """
        kept = self.kept.get(modality, ())
        has_windows_to_close = self.next_window_start_ns < self.max_event_time_ns
        return (*kept, self.last[1]) if has_windows_to_close and modality == self.last[0] else kept

    def to_json(self) -> bytes:
        """Return the value of the header. The keys are part of the wire format."""
        document: dict[str, object] = {
            "v": VERSION,
            "positions": dict(self.positions),
            "clock": self.clock_ns,
            "floor": self.next_window_start_ns,
            "furthest": self.max_event_time_ns,
            "heard": {
                "told": self.told_ns,
                "quiet": self.quiet,
                "clock": self.heard_ns,
                "last": self.last_activity_ns,
                "tracks": {modality: track.heard_ns for modality, track in self.tracks.items()},
            },
            "empties": self.empty_run,
            "forgetting": self.forgetting,
            "sessions": {session: sorted(tracks) for session, tracks in self.sessions.items()},
            "tracks": {
                modality: [track.session, track.seq, track.watermark_ns, track.state, track.last_activity_ns]
                for modality, track in self.tracks.items()
            },
            "last": self.last,
            "kept": {modality: _deltas(offsets) for modality, offsets in self.kept.items() if offsets},
        }
        document |= {name: count for name, count in (("skipped", self.skipped), ("dead", self.dead)) if count}
        if self.closed is not None:
            document["closed"] = self.closed.to_document()
        return to_json(document)  # each result has one: a quarter of the time that json.dumps takes

    @classmethod
    def from_json(cls, header: bytes) -> Snapshot:
        """Return the snapshot of a header.

        Raises:
            MalformedRecordError: if it is not a snapshot of this version.
        """
        try:
            document = json.loads(header)
            if document["v"] != VERSION:
                raise MalformedRecordError("triptych-state", f"version {VERSION}", document["v"])
            return cls._read(document)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            expected = f"the state of a stream, version {VERSION} ({error!r})"
            raise MalformedRecordError("triptych-state", expected, header) from None

    @classmethod
    def _read(cls, document: Any) -> Snapshot:  # noqa: ANN401 (freshly parsed JSON)
        last_modality, last_offset = document["last"]
        heard = document["heard"] if "heard" in document else _heard_before(document)
        tracks = {}
        for modality, (session, seq, watermark_ns, state, last_activity_ns) in document["tracks"].items():
            tracks[cast("Modality", modality)] = TrackSnapshot(
                session=str(session),
                seq=None if seq is None else int(seq),
                watermark_ns=None if watermark_ns is None else int(watermark_ns),
                state=state,
                last_activity_ns=int(last_activity_ns),
                heard_ns=int(heard["tracks"][modality]),
            )
        return cls(
            positions={modality: int(offset) for modality, offset in document["positions"].items()},
            clock_ns=int(document["clock"]),
            next_window_start_ns=int(document["floor"]),
            max_event_time_ns=int(document["furthest"]),
            told_ns=int(heard["told"]),
            quiet=bool(heard["quiet"]),
            heard_ns=int(heard["clock"]),
            last_activity_ns=int(heard["last"]),
            empty_run=int(document["empties"]),
            forgetting=bool(document["forgetting"]),
            sessions={str(session): frozenset(tracks) for session, tracks in document["sessions"].items()},
            tracks=tracks,
            last=(last_modality, int(last_offset)),
            kept={modality: tuple(accumulate(deltas)) for modality, deltas in document["kept"].items()},
            closed=RevisionState.from_document(document["closed"]) if "closed" in document else None,
            skipped=int(document.get("skipped", 0)),
            dead=int(document.get("dead", 0)),
        )


def _heard_before(document: Any) -> dict[str, Any]:  # noqa: ANN401 (freshly parsed JSON)
    """Return the part `heard` for a header of a version without it, as if the stream had been heard all the time."""
    activity_ns = {modality: int(track[4]) for modality, track in document["tracks"].items()}
    last_ns = max(activity_ns.values(), default=0)
    return {"told": document["furthest"], "quiet": False, "clock": last_ns, "last": last_ns, "tracks": activity_ns}


def _deltas(offsets: tuple[int, ...]) -> list[int]:
    return [offsets[0], *(after - before for before, after in pairwise(offsets))]


def progress_of(header: bytes) -> tuple[int, int] | None:
    """Return how far a stream was at a snapshot: the sum of its offsets, and the start of its next window.

    Neither ever falls. The windows that close in one step have the same offsets.

    Returns None if the header is not a snapshot.
    """
    try:
        document = json.loads(header)
        return sum(int(offset) for offset in document["positions"].values()), int(document["floor"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
