"""Prepares a closed window for a model: selects and decodes its pictures, decodes its audio and places it in time.

Media that cannot be decoded is reported and left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from triptych.models.model import InputSpec
from triptych.models.window import PreparedCue, PreparedWindow
from triptych.schemas.names import Modality
from triptych.schemas.records import AudioChunk, SubtitleCue
from triptych.schemas.results import Quality
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.alignment.entry import Entry
from triptych.worker.media.audio import decode_audio
from triptych.worker.media.errors import UnreadableMediaError
from triptych.worker.media.picture import quiet_opencv
from triptych.worker.media.quality import measure_quality
from triptych.worker.media.timeline import SampleTimeline
from triptych.worker.media.window_items import BadItem, media_of
from triptych.worker.media.window_pictures import WindowPictures
from triptych.worker.overload import Effort


@dataclass(frozen=True, slots=True)
class Preparation:
    """A window ready for the model.

    `used` and `repairs` count the items in it and those that were repaired, by modality. `bad` are the items left out
    because they cannot be decoded. `shed` counts the items left out because of overload, and `shed_pictures` the
    pictures for detectors. If not `asks_model`, the window is published without a prediction. `quality` has no flags
    yet; it is None if it was not measured.
    """

    window: PreparedWindow
    used: Mapping[Modality, int]
    repairs: Mapping[Modality, int]
    bad: tuple[BadItem, ...]
    shed: Mapping[Modality, int] = field(default_factory=dict)
    shed_pictures: int = 0
    asks_model: bool = True
    quality: Quality | None = None


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
        self._pictures = spec.detection.pictures if spec.detection else 0
        self._measures_quality = measures_quality
        quiet_opencv()

    def prepare(self, window: ClosedWindow, effort: Effort | None = None) -> Preparation:
        """Return the prepared window. `effort` limits the numbers of frames and pictures (by default the model's).

        Never raises because of broken media: it is in `Preparation.bad`.
        """
        effort = effort or Effort(self._spec.frames, pictures=self._pictures)
        if not effort.asks_model:
            return self._unprepared(window)
        video = WindowPictures(window, self._spec)
        pictures = video.for_detectors(effort.pictures)  # first: the model's frames reuse what is decoded for them
        frames = video.for_model(effort.frames)
        audio = self._decode_audio(window)
        cues = _cues(window.items.get("subtitles", ()))
        prepared = PreparedWindow(
            stream=window.stream,
            start_ns=window.start_ns,
            end_ns=window.end_ns,
            frames_hwc_u8=tuple(frame for _, frame in frames),
            frame_times_ns=tuple(time_ns for time_ns, _ in frames),
            audio_f32=audio.timeline.samples,
            audio_present=audio.timeline.present,
            cues=cues,
            pictures=pictures,
        )
        return Preparation(
            window=prepared,
            used={"video": len(frames), "audio": audio.used, "subtitles": len(cues)},
            repairs={"video": 0, "audio": audio.repairs, "subtitles": 0},
            bad=video.bad + audio.bad,
            shed={"video": max(0, video.limited(self._spec.frames) - effort.frames)},
            shed_pictures=max(0, video.limited(self._pictures) - effort.pictures),
            quality=measure_quality(prepared) if self._measures_quality else None,
        )

    def _unprepared(self, window: ClosedWindow) -> Preparation:
        """Return a window that is not shown to the model: nothing is decoded, only the cues are kept."""
        video = WindowPictures(window, self._spec)
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
            "video": video.limited(self._spec.frames),
            "audio": len(window.items.get("audio", ())),
            "subtitles": len(cues),
        }
        return Preparation(
            prepared,
            used={},
            repairs={},
            bad=(),
            shed=shed,
            shed_pictures=video.limited(self._pictures),
            asks_model=False,
        )

    def _decode_audio(self, window: ClosedWindow) -> _DecodedTrack:
        """Decode the chunks and place them on the samples of the window."""
        rate_hz = self._spec.sample_rate_hz
        timeline = SampleTimeline(start_ns=window.start_ns, end_ns=window.end_ns, rate_hz=rate_hz)
        used = repaired = 0
        bad: list[BadItem] = []
        for entry in window.items.get("audio", ()):
            chunk = media_of(entry, AudioChunk)
            try:
                decoded = decode_audio(chunk, rate_hz)
            except UnreadableMediaError as error:
                bad.append(BadItem(entry, str(error), error.code))
                continue
            used += timeline.place(decoded.samples, start_ns=chunk.start_ns, end_ns=chunk.end_ns)
            repaired += decoded.repaired
        return _DecodedTrack(timeline, used, repaired + timeline.overlaps, tuple(bad))


def _cues(entries: Sequence[Entry]) -> tuple[PreparedCue, ...]:
    """Return the cues with their full text and their own times, even if they extend beyond the window."""
    cues = [media_of(entry, SubtitleCue) for entry in entries]
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
