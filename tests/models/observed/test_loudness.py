"""The loudness agrees with FFmpeg's `ebur128`."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from triptych.models.observed.loudness import integrated_loudness

RATE_HZ = 16_000
SECONDS = np.arange(2 * RATE_HZ) / RATE_HZ


def ffmpeg_loudness(sound: NDArray[np.float32]) -> float:
    """Return the integrated loudness of the samples by FFmpeg's `ebur128` filter."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="flt", sample_rate=RATE_HZ, layout="mono", time_base=Fraction(1, RATE_HZ))
    meter, sink = graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(sound[None], format="flt", layout="mono")
    frame.sample_rate, frame.pts = RATE_HZ, 0
    graph.push(frame)
    graph.push(None)
    loudness = ""
    while True:
        try:
            loudness = graph.pull().metadata.get("lavfi.r128.I", loudness)
        except (av.error.EOFError, av.error.BlockingIOError):
            return float(loudness)


@pytest.mark.parametrize("frequency_hz", [50, 200, 1_000, 3_000, 7_500])
@pytest.mark.parametrize("amplitude", [1.0, 0.01])
def test_a_tone_is_as_loud_as_for_ffmpeg(frequency_hz: int, amplitude: float) -> None:
    """At all frequencies, including full scale, where the K-weighting exceeds 1."""
    tone = (amplitude * np.sin(2 * np.pi * frequency_hz * SECONDS)).astype(np.float32)
    assert integrated_loudness(torch.from_numpy(tone), RATE_HZ) == pytest.approx(ffmpeg_loudness(tone), abs=0.1)


def test_a_tone_at_full_scale_has_the_level_of_the_recommendation() -> None:
    """A sine of 0 dBFS at 997 Hz on one front channel has -3.01 LKFS.

    Our filters are designed for another sample rate.
    """
    tone = torch.from_numpy(np.sin(2 * np.pi * 997 * SECONDS))
    assert integrated_loudness(tone, RATE_HZ) == pytest.approx(-3.01, abs=0.1)


@pytest.mark.parametrize("amplitude", [1.0, 0.1])
def test_noise_is_as_loud_as_for_ffmpeg(amplitude: float) -> None:
    """Noise has all frequencies at once."""
    noise = (amplitude * np.random.default_rng(1).uniform(-1, 1, SECONDS.size)).astype(np.float32)
    assert integrated_loudness(torch.from_numpy(noise), RATE_HZ) == pytest.approx(ffmpeg_loudness(noise), abs=0.1)


@pytest.mark.parametrize("window", range(8))
def test_speech_is_as_loud_as_for_ffmpeg(speech: NDArray[np.float32], window: int) -> None:
    """For each window of a real clip, whose pauses are gated and whose last window is shorter."""
    sound = speech[window * 2 * RATE_HZ : (window + 1) * 2 * RATE_HZ]
    assert integrated_loudness(torch.from_numpy(sound), RATE_HZ) == pytest.approx(ffmpeg_loudness(sound), abs=0.1)


def test_a_pause_does_not_make_a_window_quieter() -> None:
    """The relative gate excludes the pause."""
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, SECONDS.size).astype(np.float32)
    paused = np.where(SECONDS < 1, noise, noise * np.float32(1e-3))
    expected = integrated_loudness(torch.from_numpy(noise), RATE_HZ)
    assert integrated_loudness(torch.from_numpy(paused), RATE_HZ) == pytest.approx(expected, abs=0.8)
    assert integrated_loudness(torch.from_numpy(paused), RATE_HZ) == pytest.approx(ffmpeg_loudness(paused), abs=0.1)


def test_below_the_gate_there_is_no_loudness() -> None:
    """Neither digital silence nor very faint noise has a loudness."""
    assert integrated_loudness(torch.zeros(2 * RATE_HZ), RATE_HZ) is None
    assert integrated_loudness(torch.full((2 * RATE_HZ,), 1e-5).normal_(std=1e-5), RATE_HZ) is None


def test_less_than_a_block_has_no_loudness() -> None:
    """399 ms of audio have no loudness, 400 ms have one."""
    assert integrated_loudness(torch.ones(RATE_HZ * 399 // 1000), RATE_HZ) is None
    assert integrated_loudness(torch.ones(RATE_HZ * 400 // 1000).normal_(), RATE_HZ) is not None
