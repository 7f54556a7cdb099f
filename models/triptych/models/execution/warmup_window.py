"""A window that contains all modalities at maximum size, to warm up a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from triptych.models.window import DetectionPicture, PreparedCue, PreparedWindow
from triptych.units import NS_PER_S

if TYPE_CHECKING:
    from triptych.models.model import InputSpec


def full_window(window_ns: int, spec: InputSpec) -> PreparedWindow:
    """Return a window with `spec.frames` black frames, silent audio, one cue, and black pictures for detectors."""
    samples = window_ns * spec.sample_rate_hz // NS_PER_S
    return PreparedWindow(
        stream="warm",
        start_ns=0,
        end_ns=window_ns,
        frames_hwc_u8=(np.zeros((spec.height, spec.width, 3), np.uint8),) * spec.frames,
        frame_times_ns=(0,) * spec.frames,
        audio_f32=np.zeros(samples, np.float32),
        audio_present=((0, samples),),
        cues=(PreparedCue("A line to warm up with.", 0, window_ns),),
        pictures=() if spec.detection is None else (_black_picture(spec.detection.max_side),) * spec.detection.pictures,
    )


def _black_picture(side: int) -> DetectionPicture:
    return DetectionPicture(np.zeros((side, side, 3), np.uint8), time_ns=0, width=side, height=side)
