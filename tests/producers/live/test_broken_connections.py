"""Feeds whose connections break: records before and after are correct, and gaps are logged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from http.server import ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.producers.live.conftest import PASSWORD, USER, Playing, wait_until
from tests.producers.live.hls_server import QuietHandler
from tests.producers.live.relay import Relay
from tests.producers.live.windows import check_windows, empty_windows, working
from triptych.schemas.records import AudioChunk, End, InputRecord, Progress, VideoFrame

Watch = Callable[..., Playing]
S = 1_000_000_000
WHOLE_WINDOW = 30
"""This many records of a session contain a complete window."""


def check_sessions(sessions: dict[str, list[InputRecord]]) -> None:
    """Assert the contract of each session, and that none begins before the previous one was over."""
    for records in sessions.values():
        assert {record.tracks for record in records} == {("video", "audio")}
        for modality in ("video", "audio"):
            track = [record for record in records if record.modality == modality]
            media = [record for record in track if isinstance(record, VideoFrame | AudioChunk)]
            # Where another session follows at once, the track that continues first has no end.
            assert sum(isinstance(record, End) for record in track) <= 1
            assert [record.seq for record in media] == list(range(len(media)))
            assert all(record.start_ns >= (before.next_ns or 0) for before, record in pairwise(media))
        assert_continuous(records)
        assert sum(isinstance(record, End) for record in records) >= 1
    assert sum(isinstance(record, End) for record in records) == 2
    for before, after in pairwise(sessions.values()):
        assert max(record.next_ns or 0 for record in before) <= min(record.start_ns for record in after)


def assert_continuous(records: list[InputRecord]) -> None:
    """Assert that a session has a frame in every half second, and audio without gaps."""
    frames = [record.start_ns for record in records if isinstance(record, VideoFrame)]
    chunks = [record for record in records if isinstance(record, AudioChunk)]
    assert max(b - a for a, b in pairwise(frames)) <= S // 2
    assert all(abs(b.start_ns - a.end_ns) < S // 10 for a, b in pairwise(chunks))


def check_gaps(logs: list[Any], sessions: dict[str, list[InputRecord]]) -> None:
    """Assert that each gap between two sessions was logged with its bounds."""
    logged = [(log["from_ns"], log["to_ns"]) for log in logs if log["event"] == "source_gap"]
    first = [min(record.start_ns for record in records) for records in sessions.values()]
    assert [to_ns for _, to_ns in logged] == pytest.approx(first[1:], abs=S)
    assert all(from_ns <= to_ns for from_ns, to_ns in logged)


def losses(logs: list[Any]) -> list[Any]:
    """Return the log entries about lost connections."""
    return [log for log in logs if log["event"] == "source_lost"]


def test_a_camera_is_cut_reset_and_frozen(rtsp: Relay, watch: Watch) -> None:
    """Each time a new session begins. The password is in no record, log entry or outcome."""
    with capture_logs() as logs:
        playing = watch(f"rtsp://{USER}:{PASSWORD}@127.0.0.1:{rtsp.port}/camera?token={PASSWORD}")
        with working(playing) as world:
            playing.wait_for_media(1, WHOLE_WINDOW)
            rtsp.cut()
            playing.wait_for_media(2, WHOLE_WINDOW)
            rtsp.cut(reset=True)
            playing.wait_for_media(3, WHOLE_WINDOW)
            rtsp.freeze()
            wait_until(lambda: len(losses(logs)) == 3, "the loss of the frozen camera")
            rtsp.thaw()
            playing.wait_for_media(4, WHOLE_WINDOW)

    sessions = playing.sessions()
    assert len(sessions) == 4
    check_sessions(sessions)
    check_gaps(logs, sessions)
    check_windows(world, playing)
    assert empty_windows(world) >= 1
    status = playing.outcomes[0].status
    assert (status.sessions, status.reconnects, status.gaps) == (4, 3, 3)
    assert "sent nothing" in losses(logs)[2]["reason"]
    everything = f"{playing.raw()} {logs} {playing.outcomes} {[one.status for one in playing.outcomes]}"
    assert PASSWORD not in everything
    assert USER not in everything
    assert f"rtsp://127.0.0.1:{rtsp.port}/camera" in everything
    assert [outcome.exit_code for outcome in playing.outcomes] == [0]


def test_a_channel_is_delayed_cut_and_frozen(hls: Relay, watch: Watch) -> None:
    """A delay does not end the session; a lost channel begins another."""
    with capture_logs() as logs:
        playing = watch(f"http://127.0.0.1:{hls.port}/channel.m3u8")
        with working(playing) as world:
            playing.wait_for_media(1)
            hls.delay_s = 0.3
            playing.wait_for_media(1, 30)
            hls.delay_s = 0.0
            hls.cut()  # FFmpeg requests the segment again
            playing.wait_for_media(1, 50)
            hls.freeze()
            wait_until(lambda: len(losses(logs)) == 1, "the loss of the frozen channel")
            hls.thaw()
            playing.wait_for_media(2, WHOLE_WINDOW)

    sessions = playing.sessions()
    assert len(sessions) == 2
    for records in sessions.values():
        assert not [record for record in records if isinstance(record, Progress) and record.modality == "audio"]
    check_gaps(logs, sessions)
    check_windows(world, playing, disturbed=1)  # the channel deletes segments that are requested too late
    before, after = sessions.values()
    assert max(record.next_ns or 0 for record in before) <= min(record.start_ns for record in after)


@pytest.mark.parametrize(("scheme", "reason"), [("gibtesnicht", "Protocol not found"), ("dshow", "has no such device")])
def test_an_unsupported_protocol_or_device_fails_at_once(watch: Watch, scheme: str, reason: str) -> None:
    """It is a usage error, and there is no second attempt."""
    playing = watch(f"{scheme}://{USER}:{PASSWORD}@camera/1")
    playing.wait_until_over()

    assert [outcome.exit_code for outcome in playing.outcomes] == [2]
    assert reason in str(playing.outcomes[0].error)
    assert "\n" not in str(playing.outcomes[0].error)
    assert PASSWORD not in str(playing.outcomes)


def test_a_device_is_a_live_feed(watch: Watch) -> None:
    """It is opened by FFmpeg's name. The device here is a test pattern, which every machine has."""
    playing = watch("lavfi://testsrc2=size=160x96:rate=10,realtime")
    playing.wait_for_media(1, 6)
    playing.stop.set()
    playing.wait_until_over()

    records = playing.records()
    assert {record.tracks for record in records} == {("video",)}
    assert [outcome.status.state for outcome in playing.outcomes] == ["stopped"]


def test_a_file_at_a_url_is_played_to_its_end(watch: Watch, sample: Callable[[str], Path]) -> None:
    """A source with a duration is not live, and is not opened again."""
    media = sample("librivox_city_15s.mkv")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(media.parent))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        playing = watch(f"http://{USER}:{PASSWORD}@127.0.0.1:{server.server_port}/{media.name}")
        playing.wait_until_over()
        server.shutdown()

    records = playing.records()
    assert [outcome.status.state for outcome in playing.outcomes] == ["done"]
    assert len(playing.sessions()) == 1
    assert sum(isinstance(record, VideoFrame) for record in records) == 61
    assert sum(isinstance(record, End) for record in records) == 3
    assert PASSWORD not in str(playing.raw())
