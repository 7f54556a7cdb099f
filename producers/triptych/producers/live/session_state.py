"""The state of a feed's session, kept by the parent, so that it can end the session however the process ended. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from triptych.schemas.names import Modality
from triptych.schemas.records import AudioChunk, End, InputRecord, SubtitleCue


@dataclass(slots=True)
class _TrackState:
    end_ns: int
    watermark_ns: int
    ended: bool = False


class SessionState:
    """Follow the records of one stream, session after session. All times are event time, in nanoseconds.

    Attributes:
        end_ns: where the media of all records so far ends.
        next_session_ns: the earliest start of another session: no watermark of video or audio lies beyond it. Those
            of subtitles do not count, because a cue file knows its next cue long before.
    """

    def __init__(self) -> None:
        self._last: InputRecord | None = None
        self._tracks: dict[Modality, _TrackState] = {}
        self.end_ns = 0
        self.next_session_ns = 0

    @property
    def session(self) -> str | None:
        """The id of the current session."""
        return None if self._last is None else self._last.session

    def observe(self, record: InputRecord) -> None:
        """Take a record of the current session, or of a new one."""
        if self._last is None or record.session != self._last.session:
            self._tracks = {modality: _TrackState(record.start_ns, record.start_ns) for modality in record.tracks}
        self._last = record
        end_ns = record.end_ns if isinstance(record, AudioChunk | SubtitleCue) else record.start_ns
        track = self._tracks.setdefault(record.modality, _TrackState(end_ns, end_ns))
        track.end_ns = max(track.end_ns, end_ns)
        track.watermark_ns = max(track.watermark_ns, record.next_ns or end_ns)
        track.ended = track.ended or isinstance(record, End)
        self.end_ns = max(self.end_ns, end_ns)
        watermark_ns = end_ns if record.modality == "subtitles" else track.watermark_ns
        self.next_session_ns = max(self.next_session_ns, end_ns, watermark_ns)

    def ends(self) -> Iterator[End]:
        """Yield an `end` for each track that has none yet, and close the session."""
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
                    start_ns=track.end_ns,
                    next_ns=max(track.watermark_ns, self.end_ns),
                    modality=modality,
                )
