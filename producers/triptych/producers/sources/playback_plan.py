"""What to play and how: one value for each source, made from the command line or by a program."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from triptych.producers.sources.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackPlan:
    """How one source is played.

    Attributes:
        source: what is played.
        stream: the stream's id.
        fps: frames sent for each second of the film, at most.
        height: pictures are made no higher than this.
        quality: of the JPEG images, up to 100.
        realtime: as fast as the film runs; else as fast as the broker takes it.
        loops: how often the film is played, 0 for ever.
        start_at_ns: event time of the film's first moment; None for now, or for a film that ends now.
        subtitles: a file of cues; None for those in the film, or beside it.
        language: which subtitles are wanted; None for English, or any.
        transcribe: the speech model that hears the words of a source that has none; None to leave it so.
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
    language: str | None = None
    transcribe: str | None = None

    def total_ns(self, duration_ns: int | None) -> int | None:
        """Return how long a source of this length is with all its passes, where that is known and it ends."""
        return None if duration_ns is None or self.loops == 0 else duration_ns * self.loops
