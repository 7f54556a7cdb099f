"""The subtitles of a live HLS channel, which is written while it is played."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from tests.producers.live.conftest import Playing, wait_until
from tests.producers.live.relay import Relay
from triptych.schemas.records import InputRecord, SubtitleCue, VideoFrame

Watch = Callable[..., Playing]
MS = 1_000_000
TOKEN = "Geheim-7391"  # noqa: S105 - what must not be logged


def cues_of(playing: Playing) -> list[SubtitleCue]:
    """Return the cues that have arrived, in order."""
    return sorted(
        (one for one in playing.records() if isinstance(one, SubtitleCue)), key=lambda one: (one.start_ns, one.seq)
    )


def grey_at(records: list[InputRecord], at_ns: int) -> float:
    """Return the brightness of the first frame at this time or later."""
    frames = (one for one in records if isinstance(one, VideoFrame) and one.start_ns >= at_ns)
    first = min(frames, key=lambda one: one.start_ns)
    return float(np.mean(cv2.imdecode(np.frombuffer(first.data, np.uint8), cv2.IMREAD_GRAYSCALE)))


def test_the_cues_of_a_live_channel_come_at_their_frames(hls: Relay, watch: Watch) -> None:
    """Each second has a cue, whose text is the second and whose frame has a brightness of its own."""
    with capture_logs() as logs:
        playing = watch(f"http://127.0.0.1:{hls.port}/master.m3u8", fps=10, height=96)
        wait_until(lambda: len(cues_of(playing)) >= 8, "eight cues")
        playing.stop.set()
        playing.wait_until_over()

    records, cues = playing.records(), cues_of(playing)
    numbers = [int(cue.text.removeprefix("en ")) for cue in cues]
    assert numbers == list(range(numbers[0], numbers[0] + len(cues)))
    for number, cue in list(zip(numbers, cues, strict=True))[1:-1]:
        assert cue.end_ns - cue.start_ns == pytest.approx(600 * MS, abs=2 * MS)
        assert grey_at(records, cue.start_ns - 20 * MS) == pytest.approx(number * 50 % 250, abs=4)
    assert {record.tracks for record in records} == {("video", "audio", "subtitles")}
    assert [outcome.status.losses.late for outcome in playing.outcomes] == [0]
    assert TOKEN not in repr(logs) + repr(records)


def test_a_channel_goes_on_while_its_subtitles_are_away(hls: Relay, watch: Watch, tmp_path: Path) -> None:
    """This is logged once. When they are back, so are the cues."""
    with capture_logs() as logs:
        playing = watch(f"http://127.0.0.1:{hls.port}/master.m3u8")
        wait_until(lambda: len(cues_of(playing)) >= 2, "two cues")
        (tmp_path / "mute").touch()
        wait_until(lambda: any(log["event"] == "subtitles_unreadable" for log in logs), "the word that they are away")
        frames = sum(isinstance(one, VideoFrame) for one in playing.records())
        wait_until(
            lambda: sum(isinstance(one, VideoFrame) for one in playing.records()) >= frames + 8, "frames without cues"
        )
        before = len(cues_of(playing))
        (tmp_path / "mute").unlink()
        wait_until(lambda: len(cues_of(playing)) >= before + 2, "cues again")
        playing.stop.set()
        playing.wait_until_over()

    assert sum(log["event"] == "subtitles_unreadable" for log in logs) == 1
    assert len(playing.sessions()) == 1
