"""What the log says of records that were not sent: the beginning and the end of each episode."""

from __future__ import annotations

from structlog.testing import capture_logs

from tests.producers.live.feed_records import audio_chunk, video_frame
from triptych.producers.sending.drop_log import DropLog

S = 1_000_000_000


def test_an_episode_is_logged_when_it_begins_and_when_it_is_over() -> None:
    """With its cause, and how many records of each modality were dropped of how many streams."""
    log = DropLog()
    with capture_logs() as logs:
        for second in range(20):
            log.dropped(video_frame(second).model_copy(update={"stream": f"feed-{second % 3}"}), "outage", second * S)
            log.observe(second * S, None, kept_bytes=0)
        log.dropped(audio_chunk(1), "outage", 19 * S)
        assert [entry["event"] for entry in logs] == ["records_dropped"]
        log.observe(28 * S, None, kept_bytes=0)
        log.observe(29 * S, None, kept_bytes=0)
        log.observe(60 * S, None, kept_bytes=0)

    begin, end = logs
    assert (begin["stream"], begin["id"], begin["cause"]) == ("feed-0", "v0", "outage")
    assert end == {
        "event": "dropping_ended", "log_level": "warning", "cause": "outage", "lasted_s": 19.0, "streams": 4,
        "video": 20, "audio": 1, "subtitles": 0,
    }  # fmt: skip


def test_another_cause_is_another_episode_and_closing_ends_all() -> None:
    """So nothing is left out when the program ends."""
    log = DropLog()
    with capture_logs() as logs:
        log.dropped(video_frame(0), "outage", 0)
        log.dropped(video_frame(1), "slow_link", S)
        log.close()
    assert [(entry["event"], entry["cause"]) for entry in logs] == [
        ("records_dropped", "outage"),
        ("records_dropped", "slow_link"),
        ("dropping_ended", "outage"),
        ("dropping_ended", "slow_link"),
    ]


def test_an_outage_is_logged_with_its_length_and_what_is_kept() -> None:
    """Also where nothing is dropped."""
    log = DropLog()
    with capture_logs() as logs:
        for second in range(12):
            log.observe(second * S, None if second < 5 or second > 9 else 0, kept_bytes=second << 20)
    assert [(entry["event"], entry["kept_mb"]) for entry in logs] == [("broker_waiting", 5), ("broker_answers", 10)]
    assert (logs[0]["unanswered_s"], logs[1]["away_s"]) == (5, 10)
