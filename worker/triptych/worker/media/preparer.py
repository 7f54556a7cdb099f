"""Prepare a closed window for a model: choose its frames, decode its media, place everything in time.

What cannot be decoded is named and left out; the window goes on without it. Called from several threads at once.
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
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.alignment.entry import Entry
from triptych.worker.intake import Received
from triptych.worker.media.errors import UnreadableMediaError
from triptych.worker.media.picture import decode_picture, quiet_opencv
from triptych.worker.media.selection import choose_evenly
from triptych.worker.media.sound import decode_sound
from triptych.worker.media.timeline import SampleTimeline
from triptych.worker.overload import Effort

Media = TypeVar("Media", VideoFrame, AudioChunk, SubtitleCue)


@dataclass(frozen=True, slots=True)
class BadItem:
    """An item of the window that cannot be decoded, and why."""

    entry: Entry
    reason: str
    code: DeadReason


@dataclass(frozen=True, slots=True)
class Preparation:
    """A window ready for the model; how many items of each modality it shows, and how many had to be mended.

    `shed` counts the items that the model would have been shown, were there no overload; without `asks_model` it is
    shown none.
    """

    window: PreparedWindow
    used: Mapping[Modality, int]
    repairs: Mapping[Modality, int]
    bad: tuple[BadItem, ...]
    shed: Mapping[Modality, int] = field(default_factory=dict)
    asks_model: bool = True


@dataclass(frozen=True, slots=True)
class _Pictures:
    frames_hwc_u8: tuple[NDArray[np.uint8], ...]
    times_ns: tuple[int, ...]
    bad: tuple[BadItem, ...]


@dataclass(frozen=True, slots=True)
class _Sounds:
    timeline: SampleTimeline
    used: int
    repairs: int
    bad: tuple[BadItem, ...]


class Preparer:
    """Prepares windows for one model. Holds nothing between calls."""

    def __init__(self, spec: InputSpec) -> None:
        """Take what the model wants."""
        self._spec = spec
        quiet_opencv()

    def prepare(self, window: ClosedWindow, effort: Effort | None = None) -> Preparation:
        """Return what the model sees of the window, with less effort less of it.

        Raises for no media, however broken it is.
        """
        effort = effort or Effort(self._spec.frames)
        if not effort.asks_model:
            return self._unlooked(window)
        pictures = self._pictures(window, effort.frames)
        sounds = self._sounds(window)
        cues = _cues(window.items.get("subtitles", ()))
        prepared = PreparedWindow(
            stream=window.stream,
            start_ns=window.start_ns,
            end_ns=window.end_ns,
            frames_hwc_u8=pictures.frames_hwc_u8,
            frame_times_ns=pictures.times_ns,
            audio_f32=sounds.timeline.samples,
            audio_present=sounds.timeline.present,
            cues=cues,
        )
        return Preparation(
            window=prepared,
            used={"video": len(pictures.times_ns), "audio": sounds.used, "subtitles": len(cues)},
            repairs={"video": 0, "audio": sounds.repairs, "subtitles": 0},
            bad=pictures.bad + sounds.bad,
            shed={"video": max(0, self._frames_wanted(window) - effort.frames)},
        )

    def _unlooked(self, window: ClosedWindow) -> Preparation:
        """Return a window for which no model is asked: nothing of it is decoded, its words are repeated."""
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
        """Return how many frames the model would be shown with the whole effort."""
        return min(len(_frames(window)[0]), self._spec.frames)

    def _pictures(self, window: ClosedWindow, count: int) -> _Pictures:
        """Decode the frames that the model will see, at most so many, and no other."""
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
        return _Pictures(
            frames_hwc_u8=tuple(decoded[index] for index in chosen),
            times_ns=tuple(times_ns[index] for index in chosen),
            bad=tuple(bad),
        )

    def _sounds(self, window: ClosedWindow) -> _Sounds:
        """Lay the chunks on the window's samples."""
        rate_hz = self._spec.sample_rate_hz
        timeline = SampleTimeline(start_ns=window.start_ns, end_ns=window.end_ns, rate_hz=rate_hz)
        used = mended = 0
        bad: list[BadItem] = []
        for entry in window.items.get("audio", ()):
            chunk = _media(entry, AudioChunk)
            try:
                sound = decode_sound(chunk, rate_hz)
            except UnreadableMediaError as error:
                bad.append(BadItem(entry, str(error), error.code))
                continue
            used += timeline.place(sound.samples, start_ns=chunk.start_ns, end_ns=chunk.end_ns)
            mended += sound.mended
        return _Sounds(timeline, used, mended + timeline.overlaps, tuple(bad))


def _frames(window: ClosedWindow) -> tuple[Sequence[Entry], Sequence[int]]:
    """Return the frames of a window and where in it they stand: of a held one that is its beginning."""
    if window.states["video"] == "held" and window.held is not None:
        return [window.held], [window.start_ns]
    entries = window.items.get("video", ())
    return entries, [entry.start_ns for entry in entries]


def _cues(entries: Sequence[Entry]) -> tuple[PreparedCue, ...]:
    """Return the cues whole and with their own times: a window may cut them, a reader should not see it."""
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
    """Return the record that an item of a window carries."""
    if isinstance(entry.payload, Received) and isinstance(entry.payload.decoded, kind):
        return entry.payload.decoded
    raise TypeError(f"item of a window: expected a received {kind.__name__}, got {entry.payload!r:.200}")
