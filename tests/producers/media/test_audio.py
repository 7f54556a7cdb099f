"""Audio: the value of each sample, and its exact time."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from triptych.producers.media.wav import to_wav
from triptych.schemas.records import AudioChunk, InputRecord

Play = Callable[..., list[InputRecord]]
MakeMedia = Callable[..., Path]
MS = 1_000_000
SAMPLE_NS = 62_500


def chunks_of(records: list[InputRecord]) -> list[AudioChunk]:
    """Return the audio chunks."""
    return [record for record in records if isinstance(record, AudioChunk)]


def samples_of(chunk: AudioChunk) -> NDArray[np.int16]:
    """Return the samples in a chunk's WAV file, int16 [N]."""
    with wave.open(io.BytesIO(chunk.data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def ramp(count: int) -> NDArray[np.int16]:
    """Return samples whose value is their number, int16 [1, N]."""
    return (np.arange(count) % 30_000 + 1).astype(np.int16)[np.newaxis]


def test_audio_comes_in_chunks_of_half_a_second(make_media: MakeMedia, play: Play) -> None:
    """No sample is lost or moved. The last chunk holds the rest."""
    media = make_media(video_codec=None, samples=ramp(20_000))

    chunks = chunks_of(play(media))

    assert [chunk.start_ns for chunk in chunks] == [0, 500 * MS, 1_000 * MS]
    assert [chunk.end_ns for chunk in chunks] == [500 * MS, 1_000 * MS, 1_250 * MS]
    assert [chunk.next_ns for chunk in chunks] == [chunk.end_ns for chunk in chunks]
    assert np.array_equal(np.concatenate([samples_of(chunk) for chunk in chunks]), ramp(20_000)[0])


def test_audio_that_begins_after_the_video_keeps_its_offset(make_media: MakeMedia, play: Play) -> None:
    """All tracks share one clock, and the session begins with the earliest track."""
    chunks = chunks_of(play(make_media(samples=ramp(8_000), sound_at_ms=[300])))

    assert chunks[0].start_ns == 300 * MS
    assert chunks[-1].end_ns == 800 * MS


def test_a_gap_in_the_timestamps_stays_open(make_media: MakeMedia, play: Play) -> None:
    """The samples before and after it keep their times."""
    media = make_media(samples=ramp(6_400), sound_at_ms=[0, 700])

    chunks = chunks_of(play(media))

    assert [(chunk.start_ns, chunk.end_ns) for chunk in chunks] == [(0, 200 * MS), (700 * MS, 900 * MS)]
    assert samples_of(chunks[1])[0] == 3_201


def test_overlapping_audio_is_trimmed(make_media: MakeMedia, play: Play) -> None:
    """No time is sent twice, and the remaining samples keep their times."""
    media = make_media(samples=ramp(6_400), sound_at_ms=[0, 190])

    chunks = chunks_of(play(media))

    assert [(chunk.start_ns, chunk.end_ns) for chunk in chunks] == [(0, 200 * MS), (200 * MS, 390 * MS)]
    assert samples_of(chunks[1])[0] == 3_201 + 160


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_resampling_keeps_duration_and_position(make_media: MakeMedia, play: Play, rate: int) -> None:
    """A click is within one sample of its time, whatever the sample rate of the source."""
    stereo = np.zeros((2, rate), np.int16)
    stereo[:, rate // 4 : rate // 4 + rate // 1000] = 20_000

    chunks = chunks_of(play(make_media(video_codec=None, samples=stereo, rate=rate)))

    decoded = np.concatenate([samples_of(chunk) for chunk in chunks]).astype(int)
    loud = np.flatnonzero(decoded > 10_000)
    assert len(decoded) == 16_000
    assert abs(loud[0] - 4_000) <= 1
    assert abs(loud[-1] - 4_015) <= 1
    assert chunks[-1].end_ns == 1_000 * MS


@pytest.mark.parametrize(
    "rates",
    [(44_100, 48_000), (48_000, 44_100), (24_000, 48_000), (48_000, 24_000), (48_000, 96_000), (22_050, 44_100)],
)
def test_a_sample_rate_may_change_in_mid_stream(
    make_media: MakeMedia, play: Play, tmp_path: Path, rates: tuple[int, int]
) -> None:
    """Joined transport streams give one run each. No sample is lost but where the two really overlap."""
    parts = [
        make_media(
            f"{rate}.ts", video_codec=None, samples=ramp(2 * rate), audio_codec="aac", rate=rate, sound_at_ms=[at_ms]
        )
        for rate, at_ms in zip(rates, (0, 2_100), strict=True)
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))

    chunks = chunks_of(play(joined))

    runs = 1 + sum(before.end_ns != after.start_ns for before, after in pairwise(chunks))
    assert runs == 2
    assert abs(sum(len(samples_of(chunk)) for chunk in chunks) - 4 * 16_000) < 2_500


@pytest.mark.parametrize("name", ["film.mkv", "film.wav"])
def test_channels_that_cancel_each_other_out_are_not_mixed(make_media: MakeMedia, play: Play, name: str) -> None:
    """Where one side is inverted, one channel is taken, from the first sample on, and that is logged once."""
    tone = (8_000 * np.sin(np.arange(16_000) / 10)).astype(np.int16)

    with capture_logs() as logs:
        inverted = play(make_media(name, video_codec=None, samples=np.stack([tone, -tone])), loops=2)
    alike = play(make_media(name, video_codec=None, samples=np.stack([tone, tone])))

    for records in (inverted, alike):
        decoded = np.concatenate([samples_of(chunk) for chunk in chunks_of(records)])[:16_000]
        assert np.abs(decoded - tone.astype(int)).max() <= 1
    assert [log["channel"] for log in logs if log["event"] == "audio_channel_taken"] == [1]


def test_declared_priming_and_padding_are_removed(make_media: MakeMedia, play: Play) -> None:
    """AAC in MP4 begins with priming samples and pads its last frame. The container declares both."""
    quiet_then_click = np.zeros((1, 16_000), np.int16)
    quiet_then_click[0, 8_000:] = (12_000 * np.sin(np.arange(8_000) / 4)).astype(np.int16)

    chunks = chunks_of(play(make_media("film.mp4", video_codec=None, samples=quiet_then_click, audio_codec="aac")))

    decoded = np.concatenate([samples_of(chunk) for chunk in chunks]).astype(int)
    assert chunks[-1].end_ns == len(decoded) * SAMPLE_NS == 1_000 * MS
    assert abs(int(np.flatnonzero(np.abs(decoded) > 6_000)[0]) - 8_000) < 32


def test_the_standard_library_reads_our_wav_files() -> None:
    """Channels, sample width, rate and number of samples are right."""
    with wave.open(io.BytesIO(to_wav(np.array([1, -2, 3], np.int16), 16_000))) as file:
        assert file.getparams()[:4] == (1, 2, 16_000, 3)
