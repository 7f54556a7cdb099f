"""Select the tracks to play: the best video, the best audio, and text in the preferred language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from triptych.producers.subtitles.language import same_language


@dataclass(frozen=True, slots=True)
class TrackInfo:
    """What a file states about one track.

    Attributes:
        index: the track's index in the file.
        decodable: whether there is a decoder for it.
        default: whether the file marks it as the default.
        forced: whether it holds forced subtitles only.
        cover: whether it is cover art.
        area: width times height, of video.
        channels: of audio.
        sample_rate_hz: of audio.
        language: the language tag.
    """

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
    """Return the default video track, or the largest of several. Cover art does not count."""
    videos = [track for track in tracks if track.decodable and not track.cover]
    return max(videos, key=lambda track: (track.default, track.area, -track.index), default=None)


def best_audio(tracks: Sequence[TrackInfo]) -> TrackInfo | None:
    """Return the default audio track, or of several the one with the most channels and the highest sample rate."""
    audios = [track for track in tracks if track.decodable]
    return max(
        audios, key=lambda track: (track.default, track.channels, track.sample_rate_hz, -track.index), default=None
    )


def best_subtitles(tracks: Sequence[TrackInfo], wanted: str) -> TrackInfo | None:
    """Return the text track in the wanted language, else one without a language, else any.

    Full subtitles come before forced ones, which cover only some of the dialogue.
    """
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
