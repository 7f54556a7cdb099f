"""Measures of technical quality on generated pictures and audio with known values."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.worker.media.studio import RATE_HZ, Studio
from triptych.models.window import PreparedWindow
from triptych.schemas.results import Quality
from triptych.worker.media.preparer import Preparer
from triptych.worker.media.quality import measure_quality

Frame = NDArray[np.uint8]


def grey(level: int) -> Frame:
    """Return a frame of one grey level."""
    return np.full((48, 64, 3), level, np.uint8)


def checked(cell: int, *, bright: int = 200) -> Frame:
    """Return a chequered frame with cells of this many pixels."""
    rows, columns = np.indices((48, 64)) // cell
    return np.repeat((((rows + columns) % 2) * bright).astype(np.uint8)[..., np.newaxis], 3, axis=2)


def measured(*frames: Frame, audio: NDArray[np.float32] | None = None) -> Quality:
    """Return the measures of a window with these frames and audio."""
    samples = np.zeros(RATE_HZ, np.float32) if audio is None else audio
    quality = measure_quality(
        PreparedWindow(
            stream="city",
            start_ns=0,
            end_ns=1_000_000_000,
            frames_hwc_u8=frames,
            frame_times_ns=tuple(range(len(frames))),
            audio_f32=samples,
            audio_present=() if audio is None else ((0, len(audio)),),
            cues=(),
        )
    )
    assert quality is not None
    return quality


def sine(amplitude: float) -> NDArray[np.float32]:
    """Return a second of 440 Hz, limited to full scale."""
    wave = amplitude * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)
    return np.clip(wave, -1, 1).astype(np.float32)


def test_brightness_and_dark_share() -> None:
    """A frame of which a quarter is black."""
    frame = grey(255)
    frame[:, :16] = 0
    assert measured(frame).brightness == pytest.approx(0.75, abs=0.001)
    assert measured(frame).dark_share == pytest.approx(0.25, abs=0.001)


def test_one_bright_frame_makes_the_window_not_dark() -> None:
    """The dark share is that of the frame with fewest dark pixels."""
    assert measured(grey(0), grey(0)).dark_share == 1
    assert measured(grey(0), grey(128), grey(0)).dark_share == 0


def test_change_is_the_largest_of_consecutive_frames() -> None:
    """A single frame has none."""
    assert measured(grey(0), grey(51), grey(51)).change == pytest.approx(0.2, abs=0.001)
    assert measured(grey(7), grey(7)).change == 0
    assert measured(grey(7)).change is None


def test_sharpness_falls_with_blur_and_not_with_contrast() -> None:
    """A picture without details has none."""
    sharp = measured(checked(4)).sharpness
    dim = measured(checked(4, bright=60)).sharpness
    blurred = measured(cv2.GaussianBlur(checked(4), (0, 0), 4).astype(np.uint8)).sharpness
    assert sharp is not None
    assert dim == pytest.approx(sharp, rel=0.01)
    assert blurred is None or blurred < sharp / 4
    assert measured(grey(128)).sharpness is None


def test_layouts_of_similar_views_differ_in_few_bits() -> None:
    """Noise changes few of the 64 bits, another view many."""
    random = np.random.default_rng(7)
    view = cv2.resize(random.integers(0, 255, (8, 9, 3), np.uint8), (64, 48), interpolation=cv2.INTER_CUBIC)
    noisy = np.clip(view.astype(int) + random.integers(-6, 7, view.shape), 0, 255).astype(np.uint8)
    layouts = [int(str(measured(np.asarray(frame, np.uint8)).layout), 16) for frame in (view, noisy, view[:, ::-1])]
    assert (layouts[0] ^ layouts[1]).bit_count() <= 4
    assert (layouts[0] ^ layouts[2]).bit_count() >= 20


def test_level_of_the_audio_that_is_present() -> None:
    """A sine of full scale has -3 dBFS; digital silence has the floor."""
    assert measured(grey(7), audio=sine(1)).level_dbfs == pytest.approx(-3.0, abs=0.1)
    assert measured(grey(7), audio=sine(0.001)).level_dbfs == pytest.approx(-63.0, abs=0.1)
    assert measured(grey(7), audio=sine(0)).level_dbfs == -120
    assert measured(grey(7)).level_dbfs is None


def test_clipped_share_counts_flat_tops_and_no_single_peaks() -> None:
    """A sine that just fits is not clipped at 8 kHz."""
    alternating = np.tile(np.array([1, -1, 0, 0], np.float32), RATE_HZ // 4)
    assert measured(audio=sine(0.9)).clipped_share == 0
    assert measured(audio=alternating).clipped_share == 0
    clipped = measured(audio=sine(4)).clipped_share
    assert clipped is not None
    assert clipped > 0.5


def test_a_window_without_media_is_not_measured(studio: Studio) -> None:
    """Words alone have no technical quality."""
    preparer = Preparer(studio.spec, measures_quality=True)
    assert preparer.prepare(studio.window(video="empty")).quality is None


def test_measuring_can_be_switched_off(studio: Studio) -> None:
    """Then a result has no `quality`."""
    items = [studio.frame(0.1, studio.picture((9, 9, 9)))]
    assert Preparer(studio.spec).prepare(studio.window(items)).quality is None
    quality = Preparer(studio.spec, measures_quality=True).prepare(studio.window(items)).quality
    assert quality is not None
    assert quality.brightness == pytest.approx(9 / 255, abs=0.002)
