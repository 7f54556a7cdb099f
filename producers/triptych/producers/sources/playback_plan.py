"""What to play and how: one plan for each source, made from the command line or by a program."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from triptych.producers.sources.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackPlan:
    """How to play one source.

    Attributes:
        source: what to play.
        stream: the stream's id.
        fps: the maximum number of frames to send for each second of media.
        height: the maximum height of the frames in pixels.
        quality: the quality of the JPEG images, up to 100.
        realtime: whether to play at the source's own speed, or as fast as the broker accepts it.
        loops: how often to play the source; 0 for ever.
        start_at_ns: the event time of media time zero; None for now, or such that a file played fast ends now.
        subtitles: a cue file; None for the subtitles in the file or beside it.
        subtitle_encoding: the character encoding of the subtitles; None to find it.
        language: the preferred language of the subtitles; None for English, or any.
        transcribe: the speech model that transcribes a source without subtitles; None for no transcription.
    """

    source: Source
    stream: str
    fps: Fraction = Fraction(4)
    height: int = 360
    quality: int = 85
    realtime: bool = False
    loops: int = 1
    start_at_ns: int | None = None
    subtitles: Path | None = None
    subtitle_encoding: str | None = None
    language: str | None = None
    transcribe: str | None = None

    def total_ns(self, duration_ns: int | None) -> int | None:
        """Return the duration of all passes over a source; None where that is unknown, or the source loops for ever."""
        return None if duration_ns is None or self.loops == 0 else duration_ns * self.loops
