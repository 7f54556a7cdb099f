"""What the parent of a feed remembers of its session, to end it properly however the feed's process ended. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from triptych.schemas.names import Modality
from triptych.schemas.records import AudioChunk, End, InputRecord, SubtitleCue


@dataclass(slots=True)
class _TrackStanding:
    over_ns: int
    watermark_ns: int
    ended: bool = False


class SessionState:
    """Note the records of one stream, session after session.

    Attributes:
        end_ns: where all that was noted ends.
        free_ns: where another session may begin: nothing was promised beyond it. A file of cues promises far ahead.
    """

    def __init__(self) -> None:
        self._last: InputRecord | None = None
        self._tracks: dict[Modality, _TrackStanding] = {}
        self.end_ns = 0
        self.free_ns = 0

    @property
    def session(self) -> str | None:
        """The session that goes on."""
        return None if self._last is None else self._last.session

    def note(self, record: InputRecord) -> None:
        """Note a record, of the same session or a new one."""
        if self._last is None or record.session != self._last.session:
            self._tracks = {modality: _TrackStanding(record.start_ns, record.start_ns) for modality in record.tracks}
        self._last = record
        over_ns = record.end_ns if isinstance(record, AudioChunk | SubtitleCue) else record.start_ns
        track = self._tracks.setdefault(record.modality, _TrackStanding(over_ns, over_ns))
        track.over_ns = max(track.over_ns, over_ns)
        track.watermark_ns = max(track.watermark_ns, record.next_ns or over_ns)
        track.ended = track.ended or isinstance(record, End)
        self.end_ns = max(self.end_ns, over_ns)
        watermark_ns = over_ns if record.modality == "subtitles" else track.watermark_ns
        self.free_ns = max(self.free_ns, over_ns, watermark_ns)

    def ends(self) -> Iterator[End]:
        """Yield the `end` of each track that has none yet, and close the session."""
        last, tracks = self._last, self._tracks
        self._last, self._tracks = None, {}
        if last is None:
            return
        for modality, track in tracks.items():
            if not track.ended:
                yield End(
                    stream=last.stream,
                    source=last.source,
                    session=last.session,
                    tracks=last.tracks,
                    id=f"{last.stream}/{last.session}/{modality}/end",
                    start_ns=track.over_ns,
                    next_ns=max(track.watermark_ns, self.end_ns),
                    modality=modality,
                )
