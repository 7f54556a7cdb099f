"""Which of a file's tracks are played: the best picture, the best sound, words in the wanted language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from triptych.producers.subtitles.language import same_language


@dataclass(frozen=True, slots=True)
class TrackInfo:
    """What a file says of one track; `area` is of pictures, `channels` and `sample_rate_hz` are of sound."""

    index: int
    decodable: bool = True
    default: bool = False
    forced: bool = False
    cover: bool = False
    area: int = 0
    channels: int = 0
    sample_rate_hz: int = 0
    language: str | None = None


def best_video(tracks: Sequence[TrackInfo]) -> TrackInfo | None:
    """Return the largest of the default pictures, or of all; a cover is no film."""
    films = [track for track in tracks if track.decodable and not track.cover]
    return max(films, key=lambda track: (track.default, track.area, -track.index), default=None)


def best_audio(tracks: Sequence[TrackInfo]) -> TrackInfo | None:
    """Return the default sound, or of several the one with most channels and samples."""
    sounds = [track for track in tracks if track.decodable]
    return max(
        sounds, key=lambda track: (track.default, track.channels, track.sample_rate_hz, -track.index), default=None
    )


def best_subtitles(tracks: Sequence[TrackInfo], wanted: str) -> TrackInfo | None:
    """Return words in the wanted language, else those that name none, else any; forced ones are only excerpts."""
    return max(tracks, key=lambda track: _subtitles_rank(track, wanted), default=None)


def _subtitles_rank(track: TrackInfo, wanted: str) -> tuple[bool, bool, bool, bool, bool, int]:
    return (
        same_language(track.language, wanted),
        track.language is None,
        not track.forced,
        track.decodable,
        track.default,
        -track.index,
    )
