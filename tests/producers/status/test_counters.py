"""The counts of one source."""

from __future__ import annotations

from tests.producers.live.feed_records import audio_chunk, video_frame
from triptych.producers.status.counters import Counters, SourceStatus
from triptych.producers.status.losses import TrackLoss
from triptych.schemas.records import VideoFrame

S = 1_000_000_000


def test_a_new_session_has_no_measurements() -> None:
    """Those of the previous session are no longer valid."""
    counters = Counters("door")
    common = {"stream": "door", "source": "rtsp://camera", "id": "1", "start_ns": 0, "data": b"x"}
    counters.observe(VideoFrame(**common, session="a", av_offset_ms=40, drift_ppm=3))
    assert (counters.status.sessions, counters.status.av_offset_ms, counters.status.drift_ppm) == (1, 40, 3)
    counters.observe(VideoFrame(**common, session="b"))
    assert (counters.status.sessions, counters.status.av_offset_ms, counters.status.drift_ppm) == (2, None, None)


def test_counters_add_up_what_two_threads_report() -> None:
    """The lag is what the broker has not acknowledged, plus how late the source is."""
    counters = Counters("one")

    counters.begin(10 * S)
    counters.reached(2 * S)
    counters.reached(S, behind_clock_ns=S // 2)
    counters.sent()
    counters.sent()
    counters.acknowledged(S)

    assert counters.status == SourceStatus("one", "playing", 2 * S, S, S // 2, 10 * S, sent=2)
    assert counters.status.lag_ns == 3 * S // 2


def test_the_lag_of_a_feed_that_does_not_wait_is_the_age_of_its_oldest_record() -> None:
    """What was dropped does not count."""
    status = SourceStatus("one", position_ns=300 * S, acknowledged_ns=10 * S, kept_ns=120 * S, behind_clock_ns=-S)
    assert status.lag_ns == 120 * S


def test_drops_are_counted_by_modality_and_cause_and_records_in_sequence_are_one_gap() -> None:
    """A record that was sent in between, or another session, makes another gap."""
    counters = Counters("feed")
    for number in (0, 1, 3):
        counters.dropped(video_frame(number), "outage")
    counters.dropped(video_frame(4, session="b"), "outage")
    counters.dropped(audio_chunk(0), "slow_link")
    counters.track_gap("subtitles", "suspended")

    assert counters.status.dropped == 5
    assert counters.status.track_losses == {
        ("video", "outage"): TrackLoss(4, 3),
        ("audio", "slow_link"): TrackLoss(1, 1),
        ("subtitles", "suspended"): TrackLoss(0, 1),
    }
