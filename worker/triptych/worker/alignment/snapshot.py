"""The state of one stream after a decision, and its JSON: the header `triptych-state` of every result.

The results topic is the changelog of alignment. A snapshot holds what the rest of the log cannot say again: what was
decided, and the offsets of the records that open windows, and closed ones that may be revised, still need (`kept`). A
record before `positions` that is not kept is finished.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from triptych.schemas.errors import MalformedRecordError
from triptych.worker.alignment.revision_state import ClosedSnapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from triptych.schemas.names import Modality

VERSION: Final = 1
TrackState = Literal["active", "idle", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackSnapshot:
    """One track: the session it is in, the largest `seq` and promise of it, and when it last brought something."""

    session: str
    seq: int | None
    watermark_ns: int | None
    state: TrackState
    counted_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One stream after a window was closed.

    `next_window_start_ns` is where its next window begins; `sessions` are in order of appearance, each with the
    tracks that it has
    announced; `last` is the stream's last record; `closed` are the windows that may still be revised. `skipped` and
    `dead` are what the next window has to say of what came before it: none after a window, some after a revision.
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
    closed: ClosedSnapshot | None = None
    skipped: int = 0
    dead: int = 0

    def is_finished(self, modality: Modality, offset: int) -> bool:
        """Tell whether a record of this stream is needed no more once this snapshot is published."""
        return offset < self.positions[modality] and offset not in self.needed(modality)

    def needed(self, modality: Modality) -> Collection[int]:
        """Return the offsets before `positions` that a restart has to find.

        They are what the open windows keep and, while windows are still owed (more silence will close them), the last
        record: with nothing left to read, the tail of the results would be too short to hold this very state.
        """
        kept = self.kept.get(modality, ())
        owes_windows = self.next_window_start_ns < self.max_event_time_ns
        return (*kept, self.last[1]) if owes_windows and modality == self.last[0] else kept

    def to_json(self) -> bytes:
        """Return the header's value."""
        document: dict[str, object] = {
            "v": VERSION,
            "positions": dict(self.positions),
            "clock": self.clock_ns,
            "floor": self.next_window_start_ns,
            "furthest": self.max_event_time_ns,
            "empties": self.empty_run,
            "forgetting": self.forgetting,
            "sessions": {session: sorted(tracks) for session, tracks in self.sessions.items()},
            "tracks": {
                modality: [track.session, track.seq, track.watermark_ns, track.state, track.counted_ns]
                for modality, track in self.tracks.items()
            },
            "last": self.last,
            "kept": {modality: _differences(offsets) for modality, offsets in self.kept.items() if offsets},
        }
        document |= {name: owed for name, owed in (("skipped", self.skipped), ("dead", self.dead)) if owed}
        if self.closed is not None:
            document["closed"] = self.closed.to_document()
        return json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, header: bytes) -> Snapshot:
        """Return the snapshot of a header; raise `MalformedRecordError` where it is none of this version."""
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
        tracks = {}
        for modality, (session, seq, watermark_ns, state, counted_ns) in document["tracks"].items():
            tracks[cast("Modality", modality)] = TrackSnapshot(
                session=str(session),
                seq=None if seq is None else int(seq),
                watermark_ns=None if watermark_ns is None else int(watermark_ns),
                state=state,
                counted_ns=int(counted_ns),
            )
        return cls(
            positions={modality: int(offset) for modality, offset in document["positions"].items()},
            clock_ns=int(document["clock"]),
            next_window_start_ns=int(document["floor"]),
            max_event_time_ns=int(document["furthest"]),
            empty_run=int(document["empties"]),
            forgetting=bool(document["forgetting"]),
            sessions={str(session): frozenset(tracks) for session, tracks in document["sessions"].items()},
            tracks=tracks,
            last=(last_modality, int(last_offset)),
            kept={modality: tuple(accumulate(steps)) for modality, steps in document["kept"].items()},
            closed=ClosedSnapshot.from_document(document["closed"]) if "closed" in document else None,
            skipped=int(document.get("skipped", 0)),
            dead=int(document.get("dead", 0)),
        )


def _differences(offsets: tuple[int, ...]) -> list[int]:
    return [offsets[0], *(after - before for before, after in pairwise(offsets))]
