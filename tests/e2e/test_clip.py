"""The sample clip through a real Kafka and a real Redis: the results are correct and stay available."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaTopicPartition
from numpy.typing import NDArray
from silero_vad import get_speech_timestamps, load_silero_vad

from tests.e2e.programs import Installation, assert_equal_results, by_id, status_response, wait_until
from tools.devservers.ports import free_ports
from triptych.schemas.names import INPUT_TOPICS
from triptych.schemas.results import Result

Install = Callable[..., Installation]
Clip = Callable[[str], str]
Sound = NDArray[np.float32]
Spans = Sequence[tuple[float, float]]

NAME = "librivox_city_15s"
FILM = f"{NAME}.mkv"
START = "2026-01-01T00:00:00Z"
START_NS = 1_767_225_600_000_000_000
RATE_HZ = 16_000
WINDOW_S = 2
WINDOW_NS = WINDOW_S * 1_000_000_000
WINDOWS = 8
BASE = {"TRIPTYCH_MODEL_NAME": "base"}
CUES = (
    (1.0, 3.99, "He was not an ill-disposed young man,"),
    (5.19, 10.49, "unless to be rather cold-hearted and rather selfish is to be ill-disposed."),
    (11.69, 14.98, "He might even have been made amiable himself."),
)
RETENTION_CHECKS = 4


@dataclass(frozen=True)
class Played:
    """The state after the clip was played, processed, and left to retention for a while."""

    inputs: Mapping[str, int]
    inputs_at_once: Mapping[str, int]
    topic: Sequence[Result]
    redis: Sequence[Result]

    @property
    def by_window(self) -> list[Result]:
        """The results in window order."""
        return sorted(self.topic, key=lambda result: result.start_ns)


@pytest.fixture(scope="module")
def played(install: Install, clip: Clip) -> Played:
    """Play the clip as a film of the past, with the real model."""
    here = install(**BASE)
    here.run("produce", clip(FILM), "--start-at", START).succeeded()
    here.run("work", "--until-end").succeeded()
    at_once = _count_inputs(here)
    for number in range(RETENTION_CHECKS):
        _wait_for_a_retention_check(here, f"{here.pipeline}.control-{number}")
    return Played(_count_inputs(here), at_once, here.in_topic(), here.in_redis())


def _count_inputs(here: Installation) -> dict[str, int]:
    return {topic: len(here.records(topic)) for topic in INPUT_TOPICS}


def _wait_for_a_retention_check(here: Installation, topic: str) -> None:
    """Wait until retention has deleted a topic's only, expired record."""
    tp = KafkaTopicPartition(topic, 0)
    with (
        closing(KafkaAdminClient(bootstrap_servers=here.bootstrap_servers)) as admin,
        closing(KafkaProducer(bootstrap_servers=here.bootstrap_servers)) as producer,
        closing(KafkaConsumer(bootstrap_servers=here.bootstrap_servers)) as consumer,
    ):
        configs = {"message.timestamp.type": "CreateTime"}
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1, "configs": configs}})
        admin.wait_for_topics([topic], timeout_ms=30_000)
        eight_days_ago_ms = int((time.time() - 8 * 24 * 3600) * 1000)
        producer.send(topic, b"old", timestamp_ms=eight_days_ago_ms, partition=0).get(timeout=30)
        wait_until(lambda: consumer.beginning_offsets([tp])[tp] == 1, "the broker to delete an old record")
        admin.delete_topics([topic])


# --- completeness -----------------------------------------------------------------------------------------------------


def test_the_clip_gives_eight_windows_in_the_topic_and_in_redis(played: Played) -> None:
    """The film is 15.2 s long: seven complete windows of 2 s, and a partial one."""
    starts_s = [(result.start_ns - START_NS) / 1e9 for result in played.by_window]

    assert starts_s == [0, 2, 4, 6, 8, 10, 12, 14]
    assert all(result.stream == NAME for result in played.topic)
    assert by_id(played.redis) == by_id(played.topic)
    assert [result.closed_by for result in played.by_window] == ["progress"] * 6 + [
        "end"
    ] * 2  # the last cue, at 11.69 s, had the last watermark of its track


def test_retention_does_not_delete_a_film_with_old_event_times(played: Played) -> None:
    """Retention uses arrival times. It did delete a record with an old arrival time."""
    assert played.inputs == played.inputs_at_once
    assert all(played.inputs.values())
    assert len(played.topic) == WINDOWS


def test_each_window_contains_all_three_modalities(played: Played) -> None:
    """8 frames and 4 chunks in each complete window; cues while they are shown."""
    for number, result in enumerate(played.by_window[:7]):
        video, audio = result.modalities.video, result.modalities.audio
        assert (video.state, video.items, video.used, video.gaps) == ("present", 8, 4, 0)
        assert (audio.state, audio.items, audio.gaps) == ("present", 4, 0)
        has_words = any(start < (number + 1) * WINDOW_S and end > number * WINDOW_S for start, end, _ in CUES)
        assert result.modalities.subtitles.state == ("present" if has_words else "empty")


# --- correctness -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(clip: Clip) -> Sound:
    """The clip's audio: its FLAC is 16 kHz mono."""
    with av.open(clip(FILM)) as film:
        frames = [frame.to_ndarray() for frame in film.decode(audio=0)]
    samples: Sound = np.concatenate(frames, axis=1)[0].astype(np.float32) / np.float32(32_768)
    return samples


def _cut(sound: Sound, window: int) -> Sound:
    return sound[window * WINDOW_S * RATE_HZ : (window + 1) * WINDOW_S * RATE_HZ]


def _overlap_s(spans: Spans, start_s: float, end_s: float) -> float:
    return sum(max(0.0, min(end, end_s) - max(start, start_s)) for start, end in spans)


def _speech(sound: Sound) -> list[tuple[float, float]]:
    """Return the speech intervals that silero's own package finds, in seconds, with its defaults."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch warns about how the original was exported
        original = load_silero_vad()
    found = get_speech_timestamps(torch.from_numpy(sound), original, sampling_rate=RATE_HZ)
    return [(span["start"] / RATE_HZ, span["end"] / RATE_HZ) for span in found]


def _shares(spans: Spans, sound: Sound) -> list[float]:
    """Return the share of each window's audio in intervals of the whole clip."""
    lengths_s = [len(_cut(sound, window)) / RATE_HZ for window in range(WINDOWS)]
    starts_s = [window * WINDOW_S for window in range(WINDOWS)]
    return [
        _overlap_s(spans, start_s, start_s + length_s) / length_s
        for start_s, length_s in zip(starts_s, lengths_s, strict=True)
    ]


def _speech_shares(played: Played) -> list[float]:
    shares = [result.observations.speech_share for result in played.by_window]
    assert all(share is not None for share in shares)
    return [share for share in shares if share is not None]


def test_the_speech_share_equals_that_of_silero_on_the_window(played: Played, sound: Sound) -> None:
    """Silero's own package with its defaults, on the window's samples."""
    alone = [
        _overlap_s(_speech(cut), 0, WINDOW_S) / (len(cut) / RATE_HZ)
        for cut in (_cut(sound, window) for window in range(WINDOWS))
    ]

    assert _speech_shares(played) == pytest.approx(alone, abs=0.02)


def test_the_speech_share_is_close_to_that_of_silero_on_the_whole_clip(played: Played, sound: Sound) -> None:
    """Only close: a window has no context from before it."""
    assert _speech_shares(played) == pytest.approx(_shares(_speech(sound), sound), abs=0.2)


def test_the_speech_share_is_close_to_the_time_with_cues(played: Played, sound: Sound) -> None:
    """The cues were written for the same speech."""
    shown = [(start_s, end_s) for start_s, end_s, _ in CUES]

    assert _speech_shares(played) == pytest.approx(_shares(shown, sound), abs=0.25)


def test_a_cue_is_in_every_window_that_it_overlaps_and_in_no_other(played: Played) -> None:
    """Complete, with its own times."""
    for number, result in enumerate(played.by_window):
        start_s, end_s = number * WINDOW_S, (number + 1) * WINDOW_S
        said = [
            (round((w.start_ns - START_NS) / 1e9, 3), round((w.end_ns - START_NS) / 1e9, 3), " ".join(w.text.split()))
            for w in result.observations.words
        ]
        assert said == [cue for cue in CUES if cue[0] < end_s and cue[1] > start_s]


def test_the_loudness_equals_that_of_ffmpeg(played: Played, sound: Sound, tmp_path: Path) -> None:
    """The filter `ebur128` over the samples of each window."""
    measured = [_loudness_lufs(_cut(sound, window), tmp_path / f"{window}.txt") for window in range(WINDOWS)]
    said = [result.observations.loudness_lufs for result in played.by_window]

    assert all(value is not None for value in said)
    assert said == pytest.approx(measured, abs=0.5)


def _loudness_lufs(sound: Sound, log: Path) -> float:
    """Return the last `I` that FFmpeg's filter prints."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=RATE_HZ, format="flt", layout="mono", time_base=None)
    meter = graph.add("ebur128", "metadata=1")
    printer = graph.add("ametadata", f"mode=print:key=lavfi.r128.I:file={log}")
    sink = graph.add("abuffersink")
    for one, other in pairwise((source, meter, printer, sink)):
        one.link_to(other)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(sound[np.newaxis], format="flt", layout="mono")
    frame.sample_rate, frame.pts = RATE_HZ, 0
    source.push(frame)
    source.push(None)
    while True:
        try:
            sink.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            break
    del graph, source, meter, printer, sink  # the log is written when the filter is freed
    return float(re.findall(r"lavfi\.r128\.I=(\S+)", log.read_text())[-1])


# --- reproducibility --------------------------------------------------------------------------------------------------


def test_another_installation_has_the_same_results(played: Played, install: Install, clip: Clip) -> None:
    """The same ids, and equal content except for times of processing."""
    there = install(**BASE)
    there.run("produce", clip(FILM), "--start-at", START).succeeded()
    there.run("work", "--until-end").succeeded()

    assert_equal_results(there.in_topic(), played.topic, same_records=False)
    assert_equal_results(there.in_redis(), played.redis, same_records=False)


def test_a_film_sent_twice_appears_once_and_its_second_pass_counts_as_late(install: Install, clip: Clip) -> None:
    """There are no duplicates; the worker counts the late records and logs why in one line."""
    here = install()
    here.run("produce", clip(FILM), "--start-at", START).succeeded()
    here.run("work", "--until-end").succeeded()
    once = here.in_topic()
    assert len(once) == WINDOWS

    here.run("produce", clip(FILM), "--start-at", START).succeeded()
    (port,) = free_ports(1)
    late = {"video": 61.0, "audio": 31.0, "subtitles": 3.0}  # all media records
    with here.running("work", TRIPTYCH_HTTP_PORT=str(port)) as worker:
        worker.wait_for("partitions_assigned")
        wait_until(lambda: _late_counts(port) == late, f"{late} to be counted as late")
        told = worker.stop().succeeded().events("items_late")

    assert [(event["stream"], "watermark" in event["hint"]) for event in told] == [(NAME, True)]
    assert by_id(here.in_topic()) == by_id(once)
    assert by_id(here.in_redis()) == by_id(once)
    for source in ("redis", "kafka"):
        assert by_id(here.delivered_results(source)) == by_id(once)


def _late_counts(port: int) -> dict[str, float]:
    counted = re.findall(
        r'^triptych_late_total\{modality="(\w+)"\} (\S+)$', status_response(port, "/metrics")[1], re.MULTILINE
    )
    return {modality: float(value) for modality, value in counted}
