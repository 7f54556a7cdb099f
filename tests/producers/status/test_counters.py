"""The counts of one source."""

from __future__ import annotations

from triptych.producers.status.counters import Counters, SourceStatus
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
    counters.sent(2 * S)
    counters.sent(S, behind_clock_ns=S // 2)
    counters.acknowledged(S)
    counters.dropped()
    counters.finish("stopped")

    assert counters.status == SourceStatus("one", "stopped", 2 * S, S, S // 2, 10 * S, sent=2, dropped=1)
    assert counters.status.lag_ns == 3 * S // 2
