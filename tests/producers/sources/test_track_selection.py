"""Which tracks are played."""

from __future__ import annotations

from triptych.producers.sources.track_selection import TrackInfo, best_audio, best_subtitles, best_video


def test_the_largest_picture_is_played_and_a_cover_never() -> None:
    """A default picture goes before a larger one."""
    small, large = TrackInfo(0, area=100), TrackInfo(1, area=200)
    cover = TrackInfo(2, area=900, cover=True)

    assert best_video([small, large, cover]) == large
    assert best_video([TrackInfo(0, area=100, default=True), large]) == TrackInfo(0, area=100, default=True)
    assert best_video([cover]) is None


def test_the_fullest_sound_is_played() -> None:
    """Channels first, then samples; what cannot be decoded does not count."""
    stereo = TrackInfo(0, channels=2, sample_rate_hz=48_000)
    surround = TrackInfo(1, channels=6, sample_rate_hz=44_100)
    unknown = TrackInfo(2, channels=8, decodable=False)

    assert best_audio([stereo, surround, unknown]) == surround
    assert best_audio([unknown]) is None


def test_words_are_chosen_by_language_in_any_spelling() -> None:
    """Then those that say none, then whole ones before forced ones."""
    german = TrackInfo(0, language="ger", default=True)
    english = TrackInfo(1, language="en-GB")
    unknown = TrackInfo(2)
    forced = TrackInfo(3, language="eng", forced=True)

    assert best_subtitles([german, forced, english, unknown], "eng") == english
    assert best_subtitles([german, unknown], "eng") == unknown
    assert best_subtitles([german, english], "de") == german
    assert best_subtitles([german], "eng") == german
    assert best_subtitles([], "eng") is None
