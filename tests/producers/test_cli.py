"""The command `triptych produce`, against a real Kafka."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from tools.devservers import DevKafka
from triptych.schemas.codec import decode
from triptych.schemas.names import INPUT_TOPICS, MODALITY_OF
from triptych.schemas.records import AudioChunk, End, InputRecord, Progress, SubtitleCue, VideoFrame
from triptych.settings.kafka import KafkaSettings
from triptych.transport.kafka.transport import KafkaTransport
from triptych.transport.records import TopicPartition
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics

Sample = Callable[[str], Path]
START_AT = "2026-01-01T00:00:00Z"
START_AT_NS = 1_767_225_600_000_000_000


@pytest.fixture
def topics(kafka: DevKafka) -> Iterator[KafkaTransport]:
    """Create the topics, and return a transport to read them."""
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    with closing(KafkaTransport(settings)) as transport:
        like = TopicSettings("", max_record_bytes=settings.max_record_bytes)
        create_topics(transport.admin(), "triptych", like)
        yield transport


def command(*args: str) -> list[str]:
    """Return the command line of `triptych produce`."""
    return [sys.executable, "-m", "triptych", "produce", *args]


def run(*args: str, kafka: DevKafka | None = None) -> subprocess.CompletedProcess[str]:
    """Run `triptych produce` to its end."""
    broker = () if kafka is None else ("--bootstrap-servers", kafka.bootstrap_servers)
    return subprocess.run(command(*args, *broker), capture_output=True, text=True, timeout=280, check=False)


def read_stream(transport: KafkaTransport, stream: str, *, at_least: str | None = None) -> dict[str, list[InputRecord]]:
    """Return the records of a stream by topic; wait until there is at least one on a topic."""
    found: dict[str, list[InputRecord]] = {topic: [] for topic in INPUT_TOPICS}
    with closing(transport.admin()) as admin:
        tps = [TopicPartition(topic, number) for topic in found for number in range(admin.partition_count(topic) or 0)]
    with closing(transport.reader(dict.fromkeys(tps, 0))) as reader:
        ends = reader.end_offsets(tps)
        while any(reader.position(tp) < ends[tp] for tp in tps) or (at_least and not found[at_least]):
            for one in reader.poll(1).records:
                if one.key == stream.encode():
                    modality = MODALITY_OF[one.topic]
                    found[one.topic].append(decode(one.key, one.value, one.headers, modality=modality))
    return found


def test_all_records_of_a_clip_arrive_in_kafka(kafka: DevKafka, topics: KafkaTransport, sample: Sample) -> None:
    """Video and audio begin with media, each track has an end, the frames decode, and the times are exact."""
    clip = str(sample("librivox_city_15s.mkv"))

    done = run(clip, "--stream", "whole", "--start-at", START_AT, kafka=kafka)

    video, audio, subtitles = read_stream(topics, "whole").values()
    assert (done.returncode, done.stdout) == (0, "")
    assert isinstance(video[0], VideoFrame)
    assert isinstance(audio[0], AudioChunk)
    assert [sum(isinstance(one, kind) for one in video) for kind in (VideoFrame, Progress, End)] == [61, 0, 1]
    assert [sum(isinstance(one, kind) for one in audio) for kind in (AudioChunk, End)] == [31, 1]
    assert [sum(isinstance(one, kind) for one in subtitles) for kind in (SubtitleCue, End)] == [3, 1]
    assert video[0].start_ns == audio[0].start_ns == START_AT_NS
    image = cv2.imdecode(np.frombuffer(video[0].data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (180, 320, 3)


def test_kcat_can_consume_a_jpeg(kafka: DevKafka, topics: KafkaTransport, sample: Sample) -> None:
    """The first record on the video topic is a frame, whatever its partition."""
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not installed: apt-get install kcat")
    del topics
    run(str(sample("bbb_5s_51ch.mp4")), "--stream", "kcat", kafka=kafka)

    consume = ["kcat", "-b", kafka.bootstrap_servers, "-C", "-t", "triptych.video", "-o", "beginning"]
    written = subprocess.run([*consume, "-c", "1", "-e", "-D", ""], capture_output=True, timeout=280, check=True).stdout

    assert cv2.imdecode(np.frombuffer(written, np.uint8), cv2.IMREAD_COLOR) is not None


def test_a_first_signal_ends_the_streams_and_exits_with_zero(
    kafka: DevKafka, topics: KafkaTransport, sample: Sample
) -> None:
    """Even in an endless real-time loop."""
    args = (str(sample("bbb_5s_51ch.mp4")), "--stream", "stopped", "--realtime", "--loop", "0")
    environment = os.environ | {"TRIPTYCH_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
    with subprocess.Popen(command(*args), stderr=subprocess.PIPE, text=True, env=environment) as process:
        read_stream(topics, "stopped", at_least="triptych.audio")
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=280)

    found = read_stream(topics, "stopped")
    assert process.returncode == 0, stderr
    assert isinstance(found["triptych.video"][-1], End)
    assert isinstance(found["triptych.audio"][-1], End)
    assert "source_stopped" in stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["no such file.mkv"], "no such file.mkv: no such file"),
        (["."], "got a folder"),
        (["rtsp://"], "rtsp://camera/stream"),
        (["rtsp://user:sec/ret@camera/1"], "%2F"),
        ([], "--feeds FILE"),
        (["CLIP", "--feeds", __file__], "got both"),
        (["--feeds", __file__], "expected TOML"),
        ([__file__], "expected a media file"),
        (["CLIP", "--fps", "0"], "--fps"),
        (["CLIP", "--start-at", "yesterday"], "2026-01-01T00:00:00Z"),
        (["CLIP", "--subtitles", __file__], "expected cues"),
        (["CLIP", "--stream", "a b"], "stream id"),
        (["CLIP", "CLIP", "--stream", "a"], "--stream"),
        (["CLIP", "--language", "?"], "--language"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_two(sample: Sample, args: list[str], message: str) -> None:
    """Without a broker, because mistakes are found before connecting."""
    clip = str(sample("bbb_5s_51ch.mp4"))

    done = run(*(clip if arg == "CLIP" else arg for arg in args))

    assert done.returncode == 2
    assert message in done.stderr
    assert "secret" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_password_on_the_command_line_is_said_without_repeating_it() -> None:
    """And where it belongs; a feeds file needs no such word."""
    done = run("rtsp://user:s3cret@127.0.0.1:1/live", "film://x", "--bootstrap-servers", "127.0.0.1:1")
    assert "1 of the URLs on the command line have credentials" in done.stderr
    assert "--feeds FILE" in done.stderr
    assert "s3cret" not in done.stderr
