"""Which tracks are played."""

from __future__ import annotations

from triptych.producers.sources.track_selection import TrackInfo, best_audio, best_subtitles, best_video


def test_the_largest_video_is_played_and_cover_art_never() -> None:
    """The default track comes before a larger one."""
    small, large = TrackInfo(0, area=100), TrackInfo(1, area=200)
    cover = TrackInfo(2, area=900, cover=True)

    assert best_video([small, large, cover]) == large
    assert best_video([TrackInfo(0, area=100, default=True), large]) == TrackInfo(0, area=100, default=True)
    assert best_video([cover]) is None


def test_the_audio_with_the_most_channels_is_played() -> None:
    """Then the highest sample rate. A track without a decoder does not count."""
    stereo = TrackInfo(0, channels=2, sample_rate_hz=48_000)
    surround = TrackInfo(1, channels=6, sample_rate_hz=44_100)
    unknown = TrackInfo(2, channels=8, decodable=False)

    assert best_audio([stereo, surround, unknown]) == surround
    assert best_audio([unknown]) is None


def test_subtitles_are_selected_by_language_in_any_spelling() -> None:
    """Then those without a language, then full ones before forced ones."""
    german = TrackInfo(0, language="ger", default=True)
    english = TrackInfo(1, language="en-GB")
    unknown = TrackInfo(2)
    forced = TrackInfo(3, language="eng", forced=True)

    assert best_subtitles([german, forced, english, unknown], "eng") == english
    assert best_subtitles([german, unknown], "eng") == unknown
    assert best_subtitles([german, english], "de") == german
    assert best_subtitles([german], "eng") == german
    assert best_subtitles([], "eng") is None
