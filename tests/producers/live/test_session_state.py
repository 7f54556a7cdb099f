"""The state of a feed's session, by which the parent ends it."""

from __future__ import annotations

from tests.producers.live.feed_records import COMMON, audio_chunk, video_frame
from triptych.producers.live.session_state import SessionState
from triptych.schemas.records import End

S = 1_000_000_000


def test_an_interrupted_session_is_ended_at_its_position() -> None:
    """Every announced track ends once, and no watermark goes back."""
    state = SessionState()
    for record in (video_frame(0), audio_chunk(0), video_frame(1), audio_chunk(1)):
        state.observe(record)
    ends = list(state.ends())

    assert [(end.modality, end.start_ns // S, (end.next_ns or 0) // S) for end in ends] == [
        ("video", 1, 2),
        ("audio", 2, 2),
        ("subtitles", 0, 2),
    ]
    assert not list(state.ends())
    assert state.end_ns == 2 * S


def test_a_track_that_has_ended_is_not_ended_again() -> None:
    """This happens after a jump, where the feed goes on in a new session."""
    state = SessionState()
    state.observe(video_frame(0))
    state.observe(End(**COMMON, session="a", id="end", start_ns=S, next_ns=S, modality="video"))

    assert [end.modality for end in state.ends()] == ["audio", "subtitles"]


def test_a_new_session_has_tracks_of_its_own() -> None:
    """The records of the previous session do not count."""
    state = SessionState()
    state.observe(video_frame(0))
    state.observe(video_frame(5, session="b"))

    assert {end.session for end in state.ends()} == {"b"}
