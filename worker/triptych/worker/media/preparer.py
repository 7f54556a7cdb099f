"""Prepares a closed window for a model: selects its frames, decodes its media and places the audio in time.

Media that cannot be decoded is reported and left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from triptych.models.model import InputSpec
from triptych.models.window import PreparedCue, PreparedWindow
from triptych.schemas.names import Modality
from triptych.schemas.reasons import DeadReason
from triptych.schemas.records import AudioChunk, SubtitleCue, VideoFrame
from triptych.schemas.results import Quality
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.alignment.entry import Entry
from triptych.worker.intake import Received
from triptych.worker.media.audio import decode_audio
from triptych.worker.media.errors import UnreadableMediaError
from triptych.worker.media.picture import decode_picture, quiet_opencv
from triptych.worker.media.quality import measure_quality
from triptych.worker.media.selection import choose_evenly
from triptych.worker.media.timeline import SampleTimeline
from triptych.worker.overload import Effort

Media = TypeVar("Media", VideoFrame, AudioChunk, SubtitleCue)


@dataclass(frozen=True, slots=True)
class BadItem:
    """An item of the window that cannot be decoded, with the reason for its dead letter."""

    entry: Entry
    reason: str
    code: DeadReason


@dataclass(frozen=True, slots=True)
class Preparation:
    """A window ready for the model.

    `used` and `repairs` count the items in it and those that were repaired, by modality. `bad` are the items left out
    because they cannot be decoded. `shed` counts the items left out because of overload. If not `asks_model`, the
    window is published without a prediction. `quality` has no flags yet; it is None if it was not measured.
    """

    window: PreparedWindow
    used: Mapping[Modality, int]
    repairs: Mapping[Modality, int]
    bad: tuple[BadItem, ...]
    shed: Mapping[Modality, int] = field(default_factory=dict)
    asks_model: bool = True
    quality: Quality | None = None


@dataclass(frozen=True, slots=True)
class _DecodedFrames:
    frames_hwc_u8: tuple[NDArray[np.uint8], ...]
    times_ns: tuple[int, ...]
    bad: tuple[BadItem, ...]


@dataclass(frozen=True, slots=True)
class _DecodedTrack:
    timeline: SampleTimeline
    used: int
    repairs: int
    bad: tuple[BadItem, ...]


class Preparer:
    """Prepares windows for one model. Stateless and thread-safe."""

    def __init__(self, spec: InputSpec, *, measures_quality: bool = False) -> None:
        """Prepare for the input shapes of `spec`. With `measures_quality`, measure each window's technical quality."""
        self._spec = spec
        self._measures_quality = measures_quality
        quiet_opencv()

    def prepare(self, window: ClosedWindow, effort: Effort | None = None) -> Preparation:
        """Return the prepared window. `effort` limits the number of frames (by default the model's).

        Never raises because of broken media: it is in `Preparation.bad`.
        """
        effort = effort or Effort(self._spec.frames)
        if not effort.asks_model:
            return self._unprepared(window)
        frames = self._decode_frames(window, effort.frames)
        audio = self._decode_audio(window)
        cues = _cues(window.items.get("subtitles", ()))
        prepared = PreparedWindow(
            stream=window.stream,
            start_ns=window.start_ns,
            end_ns=window.end_ns,
            frames_hwc_u8=frames.frames_hwc_u8,
            frame_times_ns=frames.times_ns,
            audio_f32=audio.timeline.samples,
            audio_present=audio.timeline.present,
            cues=cues,
        )
        return Preparation(
            window=prepared,
            used={"video": len(frames.times_ns), "audio": audio.used, "subtitles": len(cues)},
            repairs={"video": 0, "audio": audio.repairs, "subtitles": 0},
            bad=frames.bad + audio.bad,
            shed={"video": max(0, self._frames_wanted(window) - effort.frames)},
            quality=measure_quality(prepared) if self._measures_quality else None,
        )

    def _unprepared(self, window: ClosedWindow) -> Preparation:
        """Return a window that is not shown to the model: nothing is decoded, only the cues are kept."""
        cues = _cues(window.items.get("subtitles", ()))
        timeline = SampleTimeline(start_ns=window.start_ns, end_ns=window.end_ns, rate_hz=self._spec.sample_rate_hz)
        prepared = PreparedWindow(
            stream=window.stream,
            start_ns=window.start_ns,
            end_ns=window.end_ns,
            frames_hwc_u8=(),
            frame_times_ns=(),
            audio_f32=timeline.samples,
            audio_present=(),
            cues=cues,
        )
        shed: dict[Modality, int] = {
            "video": self._frames_wanted(window),
            "audio": len(window.items.get("audio", ())),
            "subtitles": len(cues),
        }
        return Preparation(prepared, used={}, repairs={}, bad=(), shed=shed, asks_model=False)

    def _frames_wanted(self, window: ClosedWindow) -> int:
        """Return how many frames the model would see without overload."""
        return min(len(_frames(window)[0]), self._spec.frames)

    def _decode_frames(self, window: ClosedWindow, count: int) -> _DecodedFrames:
        """Select and decode at most `count` frames. No other frame is decoded."""
        entries, times_ns = _frames(window)
        decoded: dict[int, NDArray[np.uint8]] = {}
        bad: list[BadItem] = []

        def decodes(index: int) -> bool:
            try:
                decoded[index] = decode_picture(_media(entries[index], VideoFrame).data, self._spec)
            except UnreadableMediaError as error:
                bad.append(BadItem(entries[index], str(error), error.code))
            return index in decoded

        chosen = choose_evenly(
            times_ns, decodes, start_ns=window.start_ns, end_ns=window.end_ns, count=min(count, self._spec.frames)
        )
        return _DecodedFrames(
            frames_hwc_u8=tuple(decoded[index] for index in chosen),
            times_ns=tuple(times_ns[index] for index in chosen),
            bad=tuple(bad),
        )

    def _decode_audio(self, window: ClosedWindow) -> _DecodedTrack:
        """Decode the chunks and place them on the samples of the window."""
        rate_hz = self._spec.sample_rate_hz
        timeline = SampleTimeline(start_ns=window.start_ns, end_ns=window.end_ns, rate_hz=rate_hz)
        used = repaired = 0
        bad: list[BadItem] = []
        for entry in window.items.get("audio", ()):
            chunk = _media(entry, AudioChunk)
            try:
                decoded = decode_audio(chunk, rate_hz)
            except UnreadableMediaError as error:
                bad.append(BadItem(entry, str(error), error.code))
                continue
            used += timeline.place(decoded.samples, start_ns=chunk.start_ns, end_ns=chunk.end_ns)
            repaired += decoded.repaired
        return _DecodedTrack(timeline, used, repaired + timeline.overlaps, tuple(bad))


def _frames(window: ClosedWindow) -> tuple[Sequence[Entry], Sequence[int]]:
    """Return the frames of a window and their times. A held frame is placed at the start of the window."""
    if window.states["video"] == "held" and window.held is not None:
        return [window.held], [window.start_ns]
    entries = window.items.get("video", ())
    return entries, [entry.start_ns for entry in entries]


def _cues(entries: Sequence[Entry]) -> tuple[PreparedCue, ...]:
    """Return the cues with their full text and their own times, even if they extend beyond the window."""
    cues = [_media(entry, SubtitleCue) for entry in entries]
    return tuple(
        PreparedCue(
            cue.text,
            cue.start_ns,
            cue.end_ns,
            language=cue.language,
            generated=cue.generated,
            generated_by=cue.generated_by,
        )
        for cue in cues
    )


def _media(entry: Entry, kind: type[Media]) -> Media:
    """Return the decoded record of an item."""
    if isinstance(entry.payload, Received) and isinstance(entry.payload.decoded, kind):
        return entry.payload.decoded
    raise TypeError(f"item of a window: expected a received {kind.__name__}, got {entry.payload!r:.200}")
