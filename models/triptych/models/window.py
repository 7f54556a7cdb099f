"""A window as a model receives it: decoded, resized and resampled, in plain NumPy arrays.

This module does not import torch, so the threads that prepare windows do not need it either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PreparedCue:
    """One subtitle cue that overlaps the window.

    Attributes:
        text: the whole text of the cue.
        start_ns: start of the cue, event time. It may lie before the window.
        end_ns: end of the cue, event time. It may lie after the window.
        language: language code as the source states it; None if unknown.
        generated: whether speech recognition produced the cue.
        generated_by: name of the speech recognition model, if one produced the cue.
    """

    text: str
    start_ns: int
    end_ns: int
    language: str | None = None
    generated: bool = False
    generated_by: str | None = None


@dataclass(frozen=True, slots=True)
class DetectionPicture:
    """One picture of the window as detectors see it: larger than the frames of the model, with its own proportions.

    Attributes:
        rgb_hwc_u8: the picture, RGB uint8 [H, W, 3]; its longer side is at most `DetectionSpec.max_side`.
        time_ns: its event time.
        width: width of the picture as it was sent, in pixels.
        height: height of the picture as it was sent, in pixels.
    """

    rgb_hwc_u8: NDArray[np.uint8]
    time_ns: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class PreparedWindow:
    """What a model sees of one window. A missing modality is empty; it is never filled with zeros.

    Attributes:
        stream: the stream that the window belongs to.
        start_ns: first instant of the window, event time.
        end_ns: first instant after the window, event time.
        frames_hwc_u8: RGB frames, each uint8 [H, W, 3] in the model's input size, in time order, at most
            `InputSpec.frames` of them.
        frame_times_ns: event time of each frame.
        audio_f32: mono samples of the whole window, float32 [S] in [-1, 1]; zeros where there is no audio.
        audio_present: half-open ranges of sample indices that hold real audio, in order and disjoint.
        cues: the cues that overlap the window, in time order.
        features: precomputed features by modality, each float32 [T, D] in time order. Only feature data sets have them.
            A modality with features has no media.
        pictures: pictures for detectors, in time order, at most `DetectionSpec.pictures` of them; empty if the model
            has no detector.
    """

    stream: str
    start_ns: int
    end_ns: int
    frames_hwc_u8: tuple[NDArray[np.uint8], ...]
    frame_times_ns: tuple[int, ...]
    audio_f32: NDArray[np.float32]
    audio_present: tuple[tuple[int, int], ...]
    cues: tuple[PreparedCue, ...]
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    pictures: tuple[DetectionPicture, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Return whether no modality has any data in this window."""
        return not (self.frames_hwc_u8 or self.audio_present or self.cues or any(map(len, self.features.values())))
