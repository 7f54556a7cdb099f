"""`triptych evidence` on a clip on real servers: it returns what was sent."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2

from tests.e2e.programs import Installation
from triptych.schemas.names import AUDIO_TOPIC, VIDEO_TOPIC
from triptych.transport.records import TopicPartition

Install = Callable[..., Installation]
NAME = "librivox_city_15s"


def test_the_original_records_are_fetched_until_retention_deletes_them(
    install: Install, clip: Callable[[str], str], tmp_path: Path
) -> None:
    """From either source: images, two seconds of audio, cues. Then the missing records are reported, exit code 4."""
    here = install()
    here.run("produce", clip(f"{NAME}.mkv"), "--start-at", "2026-01-01T00:00:00Z").succeeded()
    here.run("work", "--until-end").succeeded()
    result = sorted(here.in_redis(), key=lambda result: result.start_ns)[2]
    sent = {record.offset: record for record in here.records(VIDEO_TOPIC)}
    for source in ("redis", "kafka"):
        out = tmp_path / source
        done = here.run("evidence", result.id, "--out", str(out), "--from", source).succeeded()
        assert f"video: present, {result.modalities.video.items} records" in done.out
        assert [file.read_bytes() for file in out.glob("video/*")] == [
            sent[int(file.stem)].value for file in out.glob("video/*")
        ]
        assert len(list(out.glob("video/*"))) == result.modalities.video.items
        assert all(cv2.imread(str(file)) is not None for file in out.glob("video/*"))
        with wave.open(str(out / "sound.wav")) as sound:
            assert (sound.getframerate(), sound.getnframes()) == (16_000, 32_000)
            assert any(sound.readframes(32_000))
        words = [file.read_text(encoding="utf-8") for file in sorted(out.glob("subtitles/*"))]
        assert any("unless to be rather" in text for text in words)
        assert json.loads((out / "result.json").read_text(encoding="utf-8"))["id"] == result.id
    video = result.modalities.video
    assert video.offsets is not None
    assert video.partition is not None
    with closing(here.transport()) as transport:
        transport.admin().delete_records({TopicPartition(VIDEO_TOPIC, video.partition): video.offsets[1]})
        transport.admin().delete_records({TopicPartition(AUDIO_TOPIC, video.partition): len(here.records(AUDIO_TOPIC))})
    done = here.run("evidence", result.id, "--out", str(tmp_path / "gone"))
    assert done.exit_code == 4
    gone = f"retention deleted offsets {video.offsets[0]} to {video.offsets[1] - 1} of triptych.video {video.partition}"
    assert gone in done.err
    assert f"audio: {result.modalities.audio.items} of {result.modalities.audio.items} records are missing" in done.err
    assert len(list((tmp_path / "gone").glob("video/*"))) == 1
    assert not (tmp_path / "gone" / "sound.wav").exists()
