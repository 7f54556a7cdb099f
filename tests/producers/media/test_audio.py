"""Sound: what each sample is, and exactly when."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from triptych.producers.media.wav import to_wav
from triptych.schemas.records import AudioChunk, InputRecord

Play = Callable[..., list[InputRecord]]
MakeFilm = Callable[..., Path]
MS = 1_000_000
SAMPLE_NS = 62_500


def chunks_of(records: list[InputRecord]) -> list[AudioChunk]:
    """Return the sound."""
    return [record for record in records if isinstance(record, AudioChunk)]


def samples_of(chunk: AudioChunk) -> NDArray[np.int16]:
    """Return what a chunk's WAV file holds."""
    with wave.open(io.BytesIO(chunk.data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def ramp(count: int) -> NDArray[np.int16]:
    """Return samples that each tell their own number."""
    return (np.arange(count) % 30_000 + 1).astype(np.int16)[np.newaxis]


def test_sound_comes_in_chunks_of_half_a_second_and_every_sample_in_its_place(make_film: MakeFilm, play: Play) -> None:
    """Nothing is lost, nothing moved; the last chunk is what is left."""
    film = make_film(video_codec=None, samples=ramp(20_000))

    chunks = chunks_of(play(film))

    assert [chunk.start_ns for chunk in chunks] == [0, 500 * MS, 1_000 * MS]
    assert [chunk.end_ns for chunk in chunks] == [500 * MS, 1_000 * MS, 1_250 * MS]
    assert [chunk.next_ns for chunk in chunks] == [chunk.end_ns for chunk in chunks]
    assert np.array_equal(np.concatenate([samples_of(chunk) for chunk in chunks]), ramp(20_000)[0])


def test_sound_that_begins_after_the_picture_keeps_its_distance(make_film: MakeFilm, play: Play) -> None:
    """One clock for all tracks: the session starts with the earliest."""
    chunks = chunks_of(play(make_film(samples=ramp(8_000), sound_at_ms=[300])))

    assert chunks[0].start_ns == 300 * MS
    assert chunks[-1].end_ns == 800 * MS


def test_a_gap_in_the_time_stamps_stays_open(make_film: MakeFilm, play: Play) -> None:
    """The samples before and after it keep their own times."""
    film = make_film(samples=ramp(6_400), sound_at_ms=[0, 700])

    chunks = chunks_of(play(film))

    assert [(chunk.start_ns, chunk.end_ns) for chunk in chunks] == [(0, 200 * MS), (700 * MS, 900 * MS)]
    assert samples_of(chunks[1])[0] == 3_201


def test_overlapping_sound_is_cut_to_what_is_new(make_film: MakeFilm, play: Play) -> None:
    """No moment is sent twice, and what remains is in its place."""
    film = make_film(samples=ramp(6_400), sound_at_ms=[0, 190])

    chunks = chunks_of(play(film))

    assert [(chunk.start_ns, chunk.end_ns) for chunk in chunks] == [(0, 200 * MS), (200 * MS, 390 * MS)]
    assert samples_of(chunks[1])[0] == 3_201 + 160


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_other_rates_keep_length_and_place(make_film: MakeFilm, play: Play, rate: int) -> None:
    """A click is heard within one sample of its moment, whatever the source's rate."""
    stereo = np.zeros((2, rate), np.int16)
    stereo[:, rate // 4 : rate // 4 + rate // 1000] = 20_000

    chunks = chunks_of(play(make_film(video_codec=None, samples=stereo, rate=rate)))

    heard = np.concatenate([samples_of(chunk) for chunk in chunks]).astype(int)
    loud = np.flatnonzero(heard > 10_000)
    assert len(heard) == 16_000
    assert abs(loud[0] - 4_000) <= 1
    assert abs(loud[-1] - 4_015) <= 1
    assert chunks[-1].end_ns == 1_000 * MS


def test_priming_and_padding_that_the_container_declares_are_no_sound(make_film: MakeFilm, play: Play) -> None:
    """AAC in MP4 begins with priming samples and fills its last frame; both are declared."""
    quiet_then_click = np.zeros((1, 16_000), np.int16)
    quiet_then_click[0, 8_000:] = (12_000 * np.sin(np.arange(8_000) / 4)).astype(np.int16)

    chunks = chunks_of(play(make_film("film.mp4", video_codec=None, samples=quiet_then_click, audio_codec="aac")))

    heard = np.concatenate([samples_of(chunk) for chunk in chunks]).astype(int)
    assert chunks[-1].end_ns == len(heard) * SAMPLE_NS == 1_000 * MS
    assert abs(int(np.flatnonzero(np.abs(heard) > 6_000)[0]) - 8_000) < 32


def test_a_wav_file_says_what_it_holds() -> None:
    """The header is that of the standard library's own reader."""
    with wave.open(io.BytesIO(to_wav(np.array([1, -2, 3], np.int16), 16_000))) as file:
        assert file.getparams()[:4] == (1, 2, 16_000, 3)
